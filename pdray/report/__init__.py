"""The report of a finished study, made from its log."""
