"""Coverage-guided fuzzing (atheris) of what reads files of others: `python -m tests.tools.fuzz TARGET --minutes 5`."""
