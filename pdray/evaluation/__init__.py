"""Computes scores, intervals and reports from predictions tables."""
