"""The 106 landmarks of a face as shapes and motion, and intensities of expressions."""
