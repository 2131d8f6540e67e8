"""Simulate runs: replace the networks with stand-ins, and run all other parts of the pipeline.

`make_run` writes all inputs of the report, and `SimulatedRun.render` makes Snakemake run the report's rules. No network
is trained and torch is never loaded, so a run takes seconds instead of hours.

To look at the report of a variant (tests/tools/simulated/variants.py):

    python -m tests.tools.simulated VARIANT FOLDER
"""

from tests.tools.simulated.run import SimulatedRun, make_run

__all__ = ["SimulatedRun", "make_run"]
