"""Networks on pictures, one architecture per file."""
