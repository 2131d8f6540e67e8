"""Fault injection: small runs meet every fault that we could think of, and must end as if nothing had happened.

    .venv-dev/bin/python -m tests.tools.faults --seed 0 --output tests/tools/faults/results.json

kills, starves, damages and misleads runs of `small.yaml` and resumes them as docs/how-to/survive.md says. It compares
the digests of all files with those of an untouched run. `--kinds kills` (several names, see `--help`) injects only some
kinds. tests/system/faults/test_faults.py injects a sample.
"""
