"""A study: search space, trials, folds, pruning and refit."""
