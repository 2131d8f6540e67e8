"""A real Chromium without a network, and simulated runs for it to open, each rendered once for all tests."""

import contextlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, sync_playwright
from tests.support.checkout import make_checkout
from tests.support.shared import made_once
from tests.system.browser.opened import Opened, launch, opened
from tests.tools.simulated import SimulatedRun, make_run
from tests.tools.simulated.variants import VARIANTS


@pytest.fixture(scope="package")  # not session: while it runs, no other test of this process can start an event loop
def browser() -> Iterator[Browser]:
    """A headless Chromium. Without one, tests are skipped."""
    with sync_playwright() as playwright:
        try:
            launched = launch(playwright)
        except Error as error:
            reason = f"no Chromium could be started ({str(error).splitlines()[0]}): apt-get install chromium"
            pytest.skip(reason)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """A function that opens a file: open_page(path, width=1280, fragment="", color_scheme="dark", ...)."""
    with contextlib.ExitStack() as stack:

        def open_one(path: Path, width: int = 1280, fragment: str = "", **options: object) -> Opened:
            return stack.enter_context(opened(browser, path, width, fragment, **options))

        yield open_one


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SimulatedRun]:
    """A function that gives a variant of tests/tools/simulated/variants.py, rendered and audited; one by Snakemake."""

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
