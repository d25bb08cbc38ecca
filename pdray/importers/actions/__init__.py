"""Public data sets of actions become manifests."""
