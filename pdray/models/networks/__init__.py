"""Networks that see pictures, an architecture per file."""
