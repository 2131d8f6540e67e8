"""A SLURM cluster on this machine, and runs of the workflow on it.

`.venv-dev/bin/python -m tests.tools.slurm --configfile config/default.yaml` runs a configuration on it, case by case:
undisturbed, and with jobs cancelled, requeued, out of time, and on a node that is lost.
"""
