"""Predictions tables become scores, intervals and reports."""
