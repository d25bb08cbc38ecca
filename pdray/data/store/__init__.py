"""The frame store: each recording decoded once."""
