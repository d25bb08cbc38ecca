"""How severe a SYNTHETIC subject is, and how severity changes a movement."""
