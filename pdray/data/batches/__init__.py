"""Makes batches of tensors from entries of the frame store."""
