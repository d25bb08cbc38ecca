"""Recordings, their files, and the tensors made of them."""
