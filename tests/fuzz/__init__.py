"""Coverage-guided fuzzing (atheris) of everything that reads files of others: `python -m tests.fuzz TARGET --minutes 5`."""
