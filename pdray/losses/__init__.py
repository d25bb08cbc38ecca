"""Losses of grades."""
