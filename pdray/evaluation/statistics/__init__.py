"""Formulas of statistics on arrays, without files or printing."""
