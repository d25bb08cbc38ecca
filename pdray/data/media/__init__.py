"""From files to frames, sound and tracks on one clock."""
