"""The papers' tables, on their data or any other."""
