"""Fuzz readers of untrusted files, guided by coverage (atheris): `python -m tests.tools.fuzz TARGET --minutes 5`."""
