"""What a trained model looks at: maps over videos, and embeddings of recordings."""
