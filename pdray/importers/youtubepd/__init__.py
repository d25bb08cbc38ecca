"""Makes a manifest, tracks and marks from YouTubePD."""
