"""Runs and prints the tables of the papers, on their data or other data."""
