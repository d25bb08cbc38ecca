"""Class activation maps, attention and embeddings."""
