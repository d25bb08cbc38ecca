"""Says what this machine can do for searches, and what the videos of a manifest would cost."""
