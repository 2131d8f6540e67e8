"""A run as a person at a terminal, or a reader of a CI log, follows it."""
