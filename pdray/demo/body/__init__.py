"""Draws SYNTHETIC limbs and movements, one item per file."""
