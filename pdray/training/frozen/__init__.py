"""Outputs of frozen layers, computed once per recording."""
