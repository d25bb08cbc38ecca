"""Loss functions for grades."""
