"""The model card: the TRIPOD+AI checklist, filled from the log or asked of the owner."""
