"""Which draws belong to which block."""

from typing import NamedTuple

from segcert.smoothing.noise import Stream


class Span(NamedTuple):
    """Consecutive draws of a stream: one block."""

    stream: Stream
    start: int
    stop: int


def spans_of(n0: int, n: int, block_size: int) -> list[Span]:
    """The blocks of n0 selection and n estimation draws."""
    streams: tuple[tuple[Stream, int], ...] = (("selection", n0), ("estimation", n))
    return [
        Span(stream, start, min(start + block_size, draws))
        for stream, draws in streams
        for start in range(0, draws, block_size)
    ]
