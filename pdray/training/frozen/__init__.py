"""Outputs of frozen layers, computed once per recording and kept beside its frames."""
