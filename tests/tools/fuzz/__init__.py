"""Coverage-guided fuzzing (atheris) of readers of foreign files: `python -m tests.tools.fuzz TARGET --minutes 5`."""
