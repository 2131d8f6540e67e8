"""A real Chromium without a network."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, sync_playwright
from tests.system.browser.opened import Opened, launch, opened


@pytest.fixture(scope="package")  # not session: while it runs, no other test of this process can start an event loop
def browser() -> Iterator[Browser]:
    """A headless Chromium. Tests are skipped if there is none."""
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
    """Return a function that opens a file: open_page(path, width=1280, fragment="", color_scheme="dark", ...)."""
    with contextlib.ExitStack() as stack:

        def open_one(path: Path, width: int = 1280, fragment: str = "", **options: object) -> Opened:
            return stack.enter_context(opened(browser, path, width, fragment, **options))

        yield open_one
