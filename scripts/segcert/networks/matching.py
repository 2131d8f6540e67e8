"""Match the tensors of a checkpoint with the tensors of a network, by name."""

import collections
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from segcert.networks.checkpoints import Found
from segcert.networks.folders import ModelError
from segcert.networks.weights import NAMED, mismatches, problems_listed

# Components that wrappers insert into the names of tensors: DataParallel, torch.compile, FSDP, activation checkpoints
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


class Match(NamedTuple):
    """Weights for a network: their prefix in the checkpoint, and their values, keyed by the network's names."""

    key: str
    state: dict[str, Tensor]


def fill_from_checkpoint(
    model: nn.Module, tensors: Mapping[str, Found], what: str, advice: str, key: str | None = None
) -> str:
    """Load a network's weights from the tensors of a checkpoint, and return their prefix in it. See `match`."""
    found = match(model, tensors, what, advice, key)
    model.load_state_dict(found.state, strict=False)
    return found.key


def match(model: nn.Module, tensors: Mapping[str, Found], what: str, advice: str, key: str | None = None) -> Match:
    """Find a network's weights among the tensors of a checkpoint.

    The names in the checkpoint may have a prefix: the keys of the dictionaries that contain them, or the name of a
    wrapper (`model.`, `module.`). The names in the network may have a prefix, too. The tensors with one prefix must be
    exactly the weights of the network. Tensors without this prefix, such as those of a loss, are ignored. A tensor that
    the network uses under several names needs to be present under only one of them.

    Parameters
    ----------
    model
        The network.
    tensors
        Dict that maps names to the tensors of a checkpoint, as returned by
        segcert.networks.checkpoints.read_checkpoint.
    what
        Name of the network, for messages.
    advice
        Advice at the end of the error message, if no weights fit.
    key
        Prefix of the weights to use, without its last dot. It is needed only if several prefixes fit.

    Raises
    ------
    ModelError
        If no prefix fits, or if several prefixes with different values fit and `key` is None. The message names the
        first tensors that are missing, unexpected or of the wrong shape, or lists the prefixes to choose from.
    """
    expected = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    if lazy := [name for name, tensor in expected.items() if is_lazy(tensor)]:
        raise ModelError(
            f"does not fit {what}: its layer {lazy[0]} has no size before its first call. Call the network once in "
            "the factory"
        )
    tried: list[_Candidate] = []
    fits: list[_Candidate] = []
    for named in _spellings(tensors):
        tried += _candidates(expected, named)
        fits = [candidate for candidate in tried if not candidate.problems]
        if fits:
            break
    keys = [fit.key for fit in fits]
    if key is not None:
        fits = [fit for fit in fits if fit.key == key]
        tried = [candidate for candidate in tried if candidate.key == key]
        if not tried:
            raise ModelError(f"`weights_key`: found {key!r}; {_choice(keys, tensors)}")
    if not fits:
        if not tried:
            state = {name: found.tensor for name, found in tensors.items()}
            tried = [_Candidate("", state, mismatches(expected, state))]
        closest = max(tried, key=lambda candidate: candidate.score)
        below = f"below {closest.key!r}, " if closest.key else ""
        raise ModelError(f"does not fit {what} ({below}{problems_listed(closest.problems)}). {advice}")
    if others := [fit.key for fit in fits[1:] if not _equal(fit.state, fits[0].state)]:
        named_keys = " and ".join(repr(each) for each in [fits[0].key, *others])
        raise ModelError(
            f"contains several sets of weights that fit {what}: {named_keys}. Choose one of them. Write, for example: "
            f"`weights_key: {others[0]}`"
        )
    return Match(fits[0].key, fits[0].state)


class _Candidate(NamedTuple):
    """The tensors with one prefix in a checkpoint, keyed by their names in the network."""

    key: str
    state: dict[str, Tensor]
    problems: dict[str, list[str]]

    @property
    def score(self) -> float:
        """Number of tensors minus the number of problems."""
        wrong = sum(map(len, self.problems.values()))
        return len(self.state) - wrong if self.state else -math.inf


def _candidates(expected: Mapping[str, Tensor], tensors: Mapping[str, Found]) -> Iterator[_Candidate]:
    """Yield the tensors below each prefix under which names of the network occur. Duplicates are skipped."""
    seen: set[tuple[tuple[str, str], ...]] = set()
    for inner in _own_prefixes(expected):
        names = {name.removeprefix(inner): name for name in expected}
        for prefix in _prefixes(names, tensors):
            below = {name: name.removeprefix(prefix) for name in tensors if name.startswith(prefix)}
            places = {tensors[name].place for name, rest in below.items() if rest in names}
            sources = {names.get(rest, rest): name for name, rest in below.items() if tensors[name].place in places}
            pairs = tuple(sources.items())
            if pairs in seen:
                continue
            seen.add(pairs)
            state = {name: tensors[source].tensor for name, source in pairs}
            yield _Candidate(prefix.removesuffix("."), state, mismatches(expected, state))


def _spellings(tensors: Mapping[str, Found]) -> Iterator[Mapping[str, Found]]:
    """Yield the tensors with their original names, and then with names from which wrappers' components are removed."""
    yield tensors
    plain: dict[str, Found] = {}
    for name, found in tensors.items():
        place = ".".join(part for part in found.place.split(".") if part not in WRAPPERS)
        plain[".".join(part for part in name.split(".") if part not in WRAPPERS)] = Found(found.tensor, place)
    if plain.keys() != tensors.keys() and len(plain) == len(tensors):
        yield plain


def _own_prefixes(expected: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield "" and each prefix that all names of the network share.

    A prefix is left out if no name contains a dot after the prefix is removed.
    """
    yield ""
    parts = [name.split(".") for name in expected]
    prefix = ""
    for level in zip(*parts, strict=False):
        prefix += f"{level[0]}."
        rest = [name.removeprefix(prefix) for name in expected]
        if len(set(level)) > 1 or not any("." in name for name in rest):
            return
        yield prefix


def _prefixes(names: Mapping[str, str], tensors: Mapping[str, Found]) -> list[str]:
    """Return the prefixes with which names of the network occur in a checkpoint, in order of decreasing frequency.

    Prefixes that occur less than half as often as the most frequent prefix are left out.
    """
    counts: collections.Counter[str] = collections.Counter()
    for name in tensors:
        parts = name.split(".")
        for level in range(len(parts)):
            if ".".join(parts[level:]) in names:
                counts["".join(f"{part}." for part in parts[:level])] += 1
    most = max(counts.values(), default=0)
    return [prefix for prefix, count in counts.most_common() if 2 * count >= most]


def _equal(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    same = state.keys() == other.keys()
    return same and all(torch.equal(tensor, other[name]) for name, tensor in state.items())


def _choice(keys: Sequence[str], tensors: Mapping[str, Found]) -> str:
    if keys:
        return f"expected one of {', '.join(map(repr, keys))}"
    places = sorted({found.place for found in tensors.values() if found.place})
    return f"the file has tensors below {', '.join(map(repr, places[:NAMED])) or 'no key'}"
