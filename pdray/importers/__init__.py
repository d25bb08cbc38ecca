"""Data of other projects become manifests."""
