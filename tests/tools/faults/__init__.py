"""Inject faults into small runs. After resumption, the files must be identical to those of an undisturbed run.

    .venv-dev/bin/python -m tests.tools.faults --seed 0 --output tests/tools/faults/results.json

The command injects every kind of fault into runs of `small.yaml` and resumes them as described in
docs/how-to/survive.md. It compares the digests of all files with those of an undisturbed run. To inject only some kinds
of faults, list them: `--kinds kills` (see `--help`). tests/system/faults/test_faults.py injects a sample.
"""
