"""Progress: a bar on a terminal, plain lines in a log file."""

import logging
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories of characters that steer and are not seen
log = logging.getLogger("segcert")
Item = TypeVar("Item")


def printable(text: str) -> str:
    """Text for a terminal or a log, with what would steer it (escape codes, turned writing) spelled out.

    Names come from files of others. Ends of lines and tabs stay.
    """
    return "".join(
        char.encode("unicode_escape").decode() if char not in "\n\t" and unicodedata.category(char) in HIDDEN else char
        for char in text
    )


def log_to(path: str) -> None:
    """Append the library's messages to the file at `path`, one line each with its time."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Iterate over `items`, saying how far it is: a bar on a terminal, and some ten log lines."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    every = max(1, total // 10) if total else 100
    for done, item in enumerate(tqdm(items, what, total, disable=not sys.stderr.isatty(), leave=False), start=1):
        yield item
        if done % every == 0 or done == total:
            log.info("%s: %d of %s", what, done, total or "?")
