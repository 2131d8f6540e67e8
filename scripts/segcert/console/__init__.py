"""Progress of a run, for a person at a terminal or a reader of a CI log."""
