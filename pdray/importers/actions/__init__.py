"""Makes manifests from public data sets of actions."""
