"""Outputs that are not logits are refused with the line that makes logits of them, and the line works."""

import collections
import re
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import segcert
from segcert.networks.folders import ModelError
from segcert.networks.outputs import OutputError, check_logits
from segcert.networks.probe import check_output
from segcert.smoothing.noise import SamplingError

torch.manual_seed(0)
X = torch.rand(3, 1, 8, 6)
SHAPE = (3, 2, 8, 6)
LOGITS = torch.randn(SHAPE)
Z = LOGITS[:, 1:] - LOGITS[:, :1]  # logits of the second class
P = Z.sigmoid()
Pair = collections.namedtuple("Pair", ["logits", "features"])


# Each remedy is Python: `output` is what the network returned, whatever the remedy calls it.
REMEDIED = {
    "dict": {"out": LOGITS, "aux": X},
    "ordered dict": collections.OrderedDict(features=X, logits=LOGITS),
    "tuple": (LOGITS, X),
    "list": [X, LOGITS],
    "named tuple": Pair(LOGITS, X),
    "object": types.SimpleNamespace(logits=LOGITS),
    "labels": LOGITS.argmax(1),
    "labels with a channel": LOGITS.argmax(1, keepdim=True),
    "mask": LOGITS[:, 1] > LOGITS[:, 0],
    "one channel": Z,
    "no channel": Z[:, 0],
    "probabilities": P,
    "probabilities without a channel": P[:, 0],
    "half the size": LOGITS[:, :, ::2, ::2],
    "channels last": LOGITS.movedim(1, -1),
    "a third axis": LOGITS[:, :, None],
    "booleans": LOGITS > 0,
}


@pytest.mark.parametrize("name", REMEDIED)
def test_the_remedy_makes_logits(name):
    output = REMEDIED[name]
    with pytest.raises(OutputError, match=r"^returns .*; expected logits \(3, 2, 8, 6\)\. ") as refusal:
        check_logits(output, SHAPE)
    line = re.findall("`(.*?)`", str(refusal.value))[-1]
    known = dict.fromkeys(["output", "logits", "labels", "z", "p"], output)
    known |= {"torch": torch, "x": X, "one_hot": F.one_hot, "network": lambda _: output}
    remedied = eval(line, known)  # noqa: S307
    check_logits(remedied, SHAPE)
    if name not in ("half the size", "booleans"):
        assert torch.equal(remedied.argmax(1), LOGITS.argmax(1))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "returns a NoneType; .*as one tensor"),
        ((X, X), r"returns a tuple with \[0\] \(3, 1, 8, 6\), \[1\] .*as one tensor"),
        (np.zeros(SHAPE), "returns a ndarray"),
        (LOGITS[:, :1].expand(-1, 5, -1, -1), "one channel for each class, the background included"),
        (LOGITS[:1], "one channel for each class"),
        (LOGITS.to(torch.complex64), r"real numbers"),
        ([[LOGITS]], "returns a list; .*as one tensor"),
    ],
)
def test_other_outputs_say_what_was_found(output, message):
    with pytest.raises(OutputError, match=message):
        check_logits(output, SHAPE)


@pytest.mark.parametrize("output", [LOGITS, LOGITS.half(), LOGITS.bfloat16(), LOGITS.double(), LOGITS.long()])
def test_logits_may_have_any_type_of_number(output):
    check_logits(output, SHAPE)


class Returning(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: {"out": torch.cat([x, -x], 1)}, r"`network\(x\)\['out'\]`"),
        (lambda x: x, "seem to be logits z"),
        (lambda x: x.sigmoid(), "seem to be probabilities p"),
        (lambda x: x.sigmoid()[:, 0], r"torch\.cat\(\[1 - p\[:, None\]"),
        (lambda x: torch.cat([x, -x], 1)[:, :, ::2, ::2], "interpolate"),
    ],
)
def test_the_import_and_the_smoothed_model_refuse_them_alike(function, message):
    network = Returning(function).eval()
    with pytest.raises(ModelError, match=rf"net: returns .*{message}"):
        check_output(network, "net", (1, 8, 6), ["background", "lung"])
    with pytest.raises(SamplingError, match=rf"model: returns .*{message}"):
        segcert.SmoothedSegmenter(network, 0.25, 2).sample(X[0].numpy(), 2, 2)


def test_large_half_precision_logits_are_finite():
    network = Returning(lambda x: 60000 * torch.cat([-x.abs(), x.abs()], 1).clamp(-1, 1).half())
    votes = segcert.SmoothedSegmenter(network.eval(), 0.25, 2).sample(X[0].numpy(), 2, 4)
    assert int(votes.estimation[1].min()) == 4
