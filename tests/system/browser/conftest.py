"""Fixtures: a real Chromium without a network."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.system.browser.opened import Opened, chromium, opened


@pytest.fixture(scope="package")  # not session: an open browser blocks event loops of other tests
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Return a function that opens a file: open_page(path, width=1280, fragment="", color_scheme="dark", ...)."""
    with contextlib.ExitStack() as stack:

        def open_one(path: Path, width: int = 1280, fragment: str = "", **options: object) -> Opened:
            return stack.enter_context(opened(browser, path, width, fragment, **options))

        yield open_one
