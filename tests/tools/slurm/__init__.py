"""Start a SLURM cluster on this machine and run the workflow on it.

`.venv-dev/bin/python -m tests.tools.slurm --configfile config/default.yaml` runs a configuration on the cluster.
`--faults` cancels and requeues jobs, lets them exceed their time limit, and takes nodes down.
"""
