"""A SLURM cluster on this machine, and runs of the workflow on it.

`.venv-dev/bin/python -m tests.tools.slurm --configfile config/default.yaml` runs a configuration on it. `--faults`
cancels and requeues jobs, lets them run out of time, and takes nodes away.
"""
