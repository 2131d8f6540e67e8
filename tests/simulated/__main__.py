"""Render a variant: python -m tests.simulated VARIANT FOLDER; FOLDER becomes a checkout with the run in it."""

import sys
from pathlib import Path

from tests.simulated.run import make_run
from tests.simulated.variants import VARIANTS
from tests.workflow.conftest import make_checkout

variant, folder = sys.argv[1:]
checkout = make_checkout(Path(folder).resolve()).path
run = make_run(checkout, VARIANTS[variant](checkout))
run.render()
print(f"The report: {run.report / 'index.html'}")
