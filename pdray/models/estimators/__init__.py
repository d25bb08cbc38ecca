"""Settings of models that learn from numbers which describe a recording."""
