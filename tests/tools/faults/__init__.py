"""Fault injection: a small run is disturbed in every way we could think of, and must end as if it had not been.

    .venv-dev/bin/python -m tests.tools.faults --seed 0 --output tests/tools/faults/results.json

breaks off, starves, damages and misleads runs of `small.yaml`, goes on as docs/how-to/survive.md says, and compares the
digests of everything with those of an undisturbed run. `--kinds kills` (several names, see `--help`) does a part.
tests/system/faults/test_faults.py does a sample of it.
"""
