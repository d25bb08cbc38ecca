"""Tables of numbers that describe recordings."""
