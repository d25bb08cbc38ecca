"""Who takes part, with which grade, on which side of a split."""
