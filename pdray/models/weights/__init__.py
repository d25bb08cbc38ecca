"""Files of weights, ours and published ones, and how they fit a network."""
