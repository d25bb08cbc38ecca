"""Fits of estimators, which learn from all recordings at once."""
