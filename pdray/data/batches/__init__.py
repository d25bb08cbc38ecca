"""From entries of the frame store to tensors: snippet, plan, augmentation, reader, stream."""
