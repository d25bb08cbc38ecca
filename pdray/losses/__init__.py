"""Loss functions for grades, and for translated pictures."""
