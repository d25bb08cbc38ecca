"""Makes manifests from a folder of videos and a sheet of ratings."""
