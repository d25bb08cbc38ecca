"""Published weights files, and how they fit a network."""
