"""Files become frames, sound and tracks on one clock."""
