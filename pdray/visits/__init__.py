"""Joins the items of a visit into one score of a patient."""
