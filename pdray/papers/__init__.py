"""Tables of the papers, on their data or any other."""
