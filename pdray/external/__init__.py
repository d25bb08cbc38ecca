"""Scores the models of a study on recordings from elsewhere: external validation."""
