"""A real Chromium without a network, and simulated runs for it to open, each rendered once for all tests."""

import contextlib
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from tests.browser.opened import Opened, launch, opened
from tests.simulated import SimulatedRun, make_run
from tests.simulated.variants import VARIANTS
from tests.workflow.conftest import make_checkout


@pytest.fixture(scope="package")  # not session: while it runs, no other test of this process can start an event loop
def browser() -> Iterator[Browser]:
    """A headless Chromium. Without one, tests are skipped; in continuous integration they fail."""
    with sync_playwright() as playwright:
        try:
            launched = launch(playwright)
        except Error as error:
            reason = f"no Chromium could be started ({str(error).splitlines()[0]}): apt-get install chromium"
            if os.environ.get("CI"):
                pytest.fail(reason)
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
def simulated(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], SimulatedRun]:
    """A function that renders a variant of tests/simulated/variants.py, audited, once for all processes of pytest."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def simulate(variant: str) -> SimulatedRun:
        folder, done = shared / f"simulated-{variant}", shared / f"simulated-{variant}.pickle"
        with filelock.FileLock(f"{folder}.lock"):
            if not done.exists():
                checkout = make_checkout(folder).path
                run = make_run(checkout, VARIANTS[variant](checkout), "work" if variant == "usual" else "all")
                if variant == "usual":
                    run.render()
                run.audit()
                done.write_bytes(pickle.dumps(run))
            made: SimulatedRun = pickle.loads(done.read_bytes())
            return made

    return simulate
