"""One fit: its settings, its network, what is computed once, and the training loop."""
