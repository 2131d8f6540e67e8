"""Replace values in valid documents. Mutations of bytes hardly ever produce valid JSON with such replacements.

An input that begins with MARK represents edits of two bytes each: the first selects a value in the document, the second
selects its replacement.
"""

import copy
import json
from typing import Any

MARK = b"edits\n"
MOST = 6
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "..",
    "../../x", "/etc/passwd", "a\0b", "\x1b[2J", "\u202eabc", "0" * 64, "f" * 64, "$(touch x)", "<script>", "1e5",
    [], [0], ["x"], [[[]]], {}, {"x": 1}, {"../x": "0" * 64}, {"x": {"x": {}}}, "x" * 5000, "é\udc80",
    "results/run/x.csv", "os:system", "subprocess:run", "torch.nn:Linear", "unet", "DELETE",
]  # fmt: skip


def edited(document: dict[str, Any], data: bytes) -> bytes | None:
    """Apply an input's edits to a document and return its JSON; return None if the input does not represent edits."""
    if not data.startswith(MARK):
        return None
    document, edits = copy.deepcopy(document), data.removeprefix(MARK)[: 2 * MOST]
    for which, value in zip(edits[::2], edits[1::2], strict=False):
        places = list(_places(document))
        if not places:
            break
        holder, key = places[which % len(places)]
        chosen = VALUES[value % len(VALUES)]
        if chosen == "DELETE":
            del holder[key]
        else:
            holder[key] = copy.deepcopy(chosen)
    return json.dumps(document).encode()


def _places(value: Any):
    """Yield the container and the key of every value in a document, at every depth."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(items):
        yield value, key
        yield from _places(each)
