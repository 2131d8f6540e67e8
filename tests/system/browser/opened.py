"""Pages in a browser, with their messages, errors and requests."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright

LOCAL = ("file:", "data:", "blob:", "about:")
SERIOUS = ("serious", "critical")
HEIGHT = 900
INSTALLED = ("chromium", "chromium-browser", "google-chrome")


@dataclasses.dataclass
class Opened:
    """A page that was opened from a file.

    Attributes
    ----------
    page
        Page of Playwright.
    messages
        Errors and warnings of its console.
    errors
        Uncaught exceptions.
    requests
        Requested addresses outside this machine.
    """

    page: Page
    messages: list[str] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """Everything that must not happen on a page that opens offline."""
        return self.messages + self.errors + self.requests

    def faults(self) -> list[str]:
        """Return serious and critical faults that axe-core finds, one per line with the element."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{fault['id']} ({fault['impact']}): {node['target']} {node['html'][:120]} {node.get('failureSummary', '')}"
            for fault in found
            if fault["impact"] in SERIOUS
            for node in fault["nodes"]
        ]

    def overflow(self) -> int:
        """Return the pixels by which the page is wider than its window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return width

    def open_details(self) -> None:
        """Unfold all folded parts."""
        self.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run a headless Chromium during the block. Skip the test if there is none."""
    with sync_playwright() as playwright:
        try:
            launched = launch(playwright)
        except Error as error:
            reason = f"no Chromium could be started ({str(error).splitlines()[0]}): apt-get install chromium"
            pytest.skip(reason)
        yield launched
        launched.close()


def launch(playwright: Playwright) -> Browser:
    """Launch the Chromium of this machine or of Playwright. Raise playwright's Error if there is none."""
    found = next(filter(None, map(shutil.which, INSTALLED)), None)
    return playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


@contextlib.contextmanager
def opened(browser: Browser, path: Path, width: int, fragment: str = "", **options: Any) -> Iterator[Opened]:
    """Open a file in a new window without a network; `options` are those of Playwright's `new_context`."""
    context = browser.new_context(
        **{"offline": True, "viewport": {"width": width, "height": HEIGHT}, "reduced_motion": "reduce"} | options
    )
    seen = Opened(context.new_page())
    seen.page.on("console", lambda said: said.type in ("error", "warning") and seen.messages.append(said.text))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("request", lambda asked: asked.url.startswith(LOCAL) or seen.requests.append(asked.url[:200]))
    seen.page.goto(path.resolve().as_uri() + fragment, wait_until="load")
    try:
        yield seen
    finally:
        context.close()
