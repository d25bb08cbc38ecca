"""Lists and deletes what is left of a person who withdraws consent."""
