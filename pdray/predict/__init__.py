"""Grades new recordings with the winner of a study, for research."""
