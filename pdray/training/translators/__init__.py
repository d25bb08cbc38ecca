"""Optimisation steps of translators, which change the class of a picture."""
