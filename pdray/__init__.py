"""Train and search video models of Parkinson's disease severity on Ray."""
