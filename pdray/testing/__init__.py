"""Checks that every network, loss, metric and job must pass, of pdray and of plug-ins."""
