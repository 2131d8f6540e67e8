"""A bar at the foot of a terminal, lines above it; on a pipe the lines alone."""

import os
import sys
import threading
import time
from typing import Any, TextIO

from tqdm import tqdm

BAR = "{n_fmt}/{total_fmt} {bar:20} {elapsed} {desc}"


class Screen:
    """The screen that shows a run. What jobs write on a terminal goes above the bar as well, line by line."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.bar: tqdm[Any] | None = None
        self.muted = False  # for jobs that are being ended
        self._relays: list[Relay] = []
        # CI and editors give programs a terminal that shows no bar
        self.terminal = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")

    def write(self, line: str) -> None:
        """Write a line, above the bar if there is one."""
        if self.bar is None:
            print(line, file=self.stream, flush=True)
        else:
            tqdm.write(line, file=self.stream)

    def show_bar(self, done: int, total: int | None, doing: str) -> None:
        """Draw the bar, on a terminal."""
        if not self.terminal:
            return
        if self.bar is None:
            self._relays = [Relay(name, self) for name in ("stdout", "stderr") if getattr(sys, name).isatty()]
            self.stream = sys.stderr
            self.bar = tqdm(total=total, file=self.stream, dynamic_ncols=True, leave=False, bar_format=BAR)
        if (self.bar.n, self.bar.desc) != (done, doing):
            self.bar.n = done
            self.bar.set_description_str(doing)

    def hide_bar(self) -> None:
        """Take the bar away; lines go on."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def close(self) -> None:
        """Give the terminal back."""
        self.hide_bar()
        for relay in self._relays:
            relay.close()
        self._relays = []


class Relay:
    """Passes on what this process's children write to their stdout or stderr, in whole lines.

    The children's end is a pipe: they see no terminal, and draw no bars of their own. This process goes on
    writing to the terminal.
    """

    def __init__(self, name: str, screen: Screen) -> None:
        stream = getattr(sys, name)
        stream.flush()
        self.descriptor = stream.fileno()
        self.terminal = os.dup(self.descriptor)
        reading, writing = os.pipe()
        os.dup2(writing, self.descriptor)
        os.close(writing)
        setattr(sys, name, open(self.terminal, "w", buffering=1, encoding=stream.encoding, errors="replace"))  # noqa: SIM115
        self._thread = threading.Thread(target=self._pass_on, args=(reading, screen), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the terminal back to children to come, once those that run have said what they had to."""
        os.dup2(self.terminal, self.descriptor)
        self._thread.join(timeout=1)

    @staticmethod
    def _pass_on(reading: int, screen: Screen) -> None:
        with open(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("Traceback"):
                    time.sleep(0.2)  # Ctrl-C reaches a job before this process has heard of it
                if not screen.muted:
                    screen.write(line.rstrip("\n"))
