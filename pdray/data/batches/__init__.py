"""Entries of the frame store become batches of tensors."""
