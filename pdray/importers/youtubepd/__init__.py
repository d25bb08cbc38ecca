"""YouTubePD becomes a manifest, tracks and marks."""
