"""The log of a study on disk, and its mirror in MLflow."""
