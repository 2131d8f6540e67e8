"""Runs whose networks are made up: everything else in them is the pipeline's own.

`make_run` writes what a run leaves behind up to what its report is rendered from; `SimulatedRun.render` has Snakemake
run the rules of the report on it. No network is trained, torch is never loaded: a run takes seconds instead of hours.

    python -m tests.tools.simulated VARIANT FOLDER     renders a variant (tests/tools/simulated/variants.py) to look at
"""

from tests.tools.simulated.run import SimulatedRun, make_run

__all__ = ["SimulatedRun", "make_run"]
