"""One fit: its settings, its network and its training."""
