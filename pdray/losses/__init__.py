"""Loss functions of grades."""
