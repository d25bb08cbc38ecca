"""Draws SYNTHETIC limbs and movements, an item per file."""
