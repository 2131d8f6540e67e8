"""Runs with made-up networks; everything else is the pipeline itself.

`make_run` writes all inputs of the report; `SimulatedRun.render` lets Snakemake run the rules of the report. No network
is trained and torch is never loaded, so a run takes seconds instead of hours.

    python -m tests.tools.simulated VARIANT FOLDER     renders a variant (tests/tools/simulated/variants.py) to look at
"""

from tests.tools.simulated.run import SimulatedRun, make_run

__all__ = ["SimulatedRun", "make_run"]
