"""Makes manifests from data of other projects."""
