"""Severity of a SYNTHETIC subject and its effect on movement."""
