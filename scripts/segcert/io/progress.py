"""Show progress as a bar on a terminal and as plain lines in a log file."""

import logging
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode categories of invisible control characters
log = logging.getLogger("segcert")
Item = TypeVar("Item")


def printable(text: str) -> str:
    """Escape control characters, such as terminal escape codes and changes of text direction.

    Line breaks and tabs are kept. Names from untrusted files should be escaped before they are printed or logged.
    """
    return "".join(
        char.encode("unicode_escape").decode() if char not in "\n\t" and unicodedata.category(char) in HIDDEN else char
        for char in text
    )


def log_to(path: str) -> None:
    """Append the library's log messages to the file at `path`, each on its own line with the time of day."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Iterate over `items` and show progress: a bar on a terminal, and about ten log lines.

    `what` is the label of the bar and of the lines. If the number of items is unknown, there is one line per 100 items.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    every = max(1, total // 10) if total else 100
    for done, item in enumerate(tqdm(items, what, total, disable=not sys.stderr.isatty(), leave=False), start=1):
        yield item
        if done % every == 0 or done == total:
            log.info("%s: %d of %s", what, done, total or "?")
