"""Models that learn from numbers which describe a recording."""
