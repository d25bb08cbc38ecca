"""A study: its settings, trials, folds, pruning, and the refit of the winner."""
