"""Every fuzz target on its seeds, its corpus and some mutations. More: python -m tests.tools.fuzz."""

import sys

from tests.support.checkout import ROOT, run_in


def test_a_sample_of_every_fuzz_target_keeps_the_contract():
    environment = {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    run_in(ROOT, sys.executable, "-m", "tests.tools.fuzz", "--sample", "12", **environment)
