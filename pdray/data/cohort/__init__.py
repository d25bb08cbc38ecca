"""Who takes part, with which grade, on which side: rows, manifest, folds, raters, marks."""
