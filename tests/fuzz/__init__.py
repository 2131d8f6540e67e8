"""Coverage-guided fuzzing (atheris) of what reads files of others: `python -m tests.fuzz TARGET --minutes 5`."""
