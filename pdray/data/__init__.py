"""Recordings: who takes part, their files, and the tensors made of them."""
