"""Makes manifests and tables of features from published tables of numbers."""
