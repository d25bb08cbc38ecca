"""Draws the SYNTHETIC cohort; no other package imports it."""
