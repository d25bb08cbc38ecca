"""Draws SYNTHETIC faces that talk, and their voices."""
