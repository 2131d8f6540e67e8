"""Order of these tests, and simulated runs (tests/tools/simulated): each is made and rendered once for all tests."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.checkout import make_checkout
from tests.support.shared import made_once
from tests.tools.simulated import SimulatedRun, make_run
from tests.tools.simulated.variants import VARIANTS

# Each module runs in one process. Long ones go first, so that no process still runs one when the others are done.
LONG = ("tutorial", "slurm", "storage", "networks", "data_kinds", "determinism", "audit", "browser", "restore")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders of `LONG` first, in its order."""
    items.sort(key=lambda item: LONG.index(item.path.parent.name) if item.path.parent.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SimulatedRun]:
    """Return a function that renders and audits a variant of tests/tools/simulated/variants.py; one by Snakemake."""

    def simulate(variant: str) -> SimulatedRun:
        def make(folder: Path) -> None:
            checkout = make_checkout(folder / "repo").path
            run = make_run(checkout, VARIANTS[variant](checkout), "work" if variant == "usual" else "all")
            if variant == "usual":
                run.render()
            run.audit()
            (folder / "run.pickle").write_bytes(pickle.dumps(run))

        folder = made_once(tmp_path_factory, f"simulated-{variant}", make)
        made: SimulatedRun = pickle.loads((folder / "run.pickle").read_bytes())
        return made

    return simulate
