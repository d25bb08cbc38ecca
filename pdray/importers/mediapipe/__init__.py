"""Makes tracks from landmarks that MediaPipe finds."""
