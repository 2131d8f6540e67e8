"""Display of a run's progress, on a terminal or in a CI log."""
