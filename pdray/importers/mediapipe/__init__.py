"""Landmarks that MediaPipe finds become tracks."""
