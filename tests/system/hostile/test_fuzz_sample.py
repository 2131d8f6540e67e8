"""Every target of the fuzzer on its seeds, its corpus and some changes of them; more: python -m tests.tools.fuzz."""

import os
import subprocess
import sys

from tests.support.checkout import ROOT


def test_a_sample_of_every_target_of_the_fuzzer_keeps_the_contract():
    command = [sys.executable, "-m", "tests.tools.fuzz", "--sample", "12"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
