"""Writes a model as a folder that works without pdray."""
