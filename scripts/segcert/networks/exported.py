"""Exported networks: TorchScript and torch.export files."""

import collections
import contextlib
import io
import json
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from segcert.networks.folders import ModelError
from segcert.provenance.digests import file_digest

TORCHSCRIPT, EXPORT = "torchscript", "torch.export"
OBJECTS = ("data/constants/custom_obj", "data/constants/opaque_obj", "data/aotinductor/")


class ExportedNetwork(nn.Module):
    """An exported network, which maps images (B, C, H, W) to logits. It is always in eval mode.

    Attributes
    ----------
    kind
        "torchscript" or "torch.export".
    batch_size
        The only batch size that the exported program accepts. Other batches are split and padded to this size. None
        means that the program accepts any batch size.
    digest
        SHA-256 of the exported file.

    Raises
    ------
    ModelError
        If a torch.export network does not accept the shape of the images, or if a network is switched to train mode.
    """

    def __init__(self, program: nn.Module, kind: str, batch_size: int | None, digest: str) -> None:
        super().__init__()
        self.program, self.kind, self.batch_size, self.digest = program, kind, batch_size, digest
        for module in self.modules():
            module.training = False

    def forward(self, x: Tensor) -> Tensor:
        if self.batch_size in (None, len(x)):
            return self._run(x)
        batches: tuple[Tensor, ...] = x.split(self.batch_size)  # type: ignore[no-untyped-call]
        filling = x.new_zeros(self.batch_size - len(batches[-1]), *x.shape[1:])
        full = (*batches[:-1], torch.cat([batches[-1], filling]))
        return torch.cat([self._run(batch) for batch in full])[: len(x)]

    def _run(self, x: Tensor) -> Tensor:
        try:
            # TorchScript's optimiser rewrites the network after its first batches. All votes need the same function.
            unoptimised = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
            with unoptimised if self.kind == TORCHSCRIPT else contextlib.nullcontext():
                output: Tensor = self.program(x)
        except AssertionError as error:  # raised by the guards of torch.export
            raise ModelError(
                f"`program`: the exported network does not accept images of shape {tuple(x.shape)} ({error}). Export "
                "it for this number of channels and this image size"
            ) from error
        return output

    def train(self, mode: bool = True) -> "ExportedNetwork":
        if mode:
            raise ModelError(
                "`program`: an exported network cannot be trained. To train the network, set "
                "`target: package.module:factory` instead"
            )
        return self

    def extra_repr(self) -> str:
        return f"kind={self.kind}, digest={self.digest}"


def load_exported(path: str | Path) -> ExportedNetwork:
    """Read a TorchScript or torch.export (.pt2) file. The format is recognised from the file's content.

    An exported network is code: load only files that you would run. Pickled code is not run. In torch 2.13,
    `torch.export.load` reads pickled weights and constants without `weights_only=True`. It does the same with example
    inputs if reading them with `weights_only=True` fails. An archive that contains anything but tensors is therefore
    refused before it is loaded. TorchScript has a separate interpreter, which does not load Python objects.

    Tensors that the network creates while it runs stay on the device on which the network was exported.

    Raises ModelError for a file that is not an exported network (such as a pickled network), contains pickled objects,
    or cannot be read.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            kind = _kind(archive, path)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: missing; expected a TorchScript or torch.export file") from error
    except ModelError:
        raise
    except Exception as error:  # zipfile, JSON and torch raise many kinds of errors
        raise ModelError(
            f"{path}: is neither a TorchScript nor a torch.export file ({error}). Write one with "
            "torch.export.save(torch.export.export(model, (images,)), path)"
        ) from error
    try:
        if kind == TORCHSCRIPT:
            program, batch_size = torch.jit.load(path, map_location="cpu").eval(), None  # type: ignore[no-untyped-call]
        else:
            program, batch_size = _load_export(path)
    except ModelError:
        raise
    except Exception as error:  # torch raises many kinds of errors for damaged files and other versions
        first = str(error).partition("\n")[0]
        raise ModelError(
            f"{path}: cannot be loaded as {kind} by torch {torch.__version__} ({type(error).__name__}: {first}). "
            "Export it again on the CPU with this version of torch"
        ) from error
    return ExportedNetwork(program, kind, batch_size, file_digest(path))


def _kind(archive: zipfile.ZipFile, path: Path) -> str:
    """Return the kind of exported network in an archive, by its member names. Raises ModelError for pickles."""
    members = {name.partition("/")[2]: name for name in archive.namelist()}  # without their common folder
    folders = collections.Counter(name.partition("/")[0] for name in archive.namelist())
    if len(folders) == 1 and len(members) == folders.total():
        if "archive_format" in members and archive.read(members["archive_format"]) == b"pt2":
            _refuse_objects(archive, members, path)
            return EXPORT
        if "constants.pkl" in members and "data.pkl" in members:
            return TORCHSCRIPT
        if "data.pkl" in members:
            raise ModelError(
                f"{path}: is a pickle, written by torch.save; expected a TorchScript or torch.export file. Pickled "
                "networks are not loaded. Save the weights with torch.save(model.state_dict(), path) and set `weights` "
                "and `target`, or use torch.export.save(torch.export.export(model, (images,)), path)"
            )
    raise ValueError("the archive has unexpected members")


def _refuse_objects(archive: zipfile.ZipFile, members: dict[str, str], path: Path) -> None:
    """Raise ModelError if a member of a torch.export archive contains anything but tensors."""
    for member, name in members.items():
        objects = member.startswith(OBJECTS)
        if member.endswith("_config.json"):
            objects |= any(entry.get("use_pickle") for entry in json.loads(archive.read(name))["config"].values())
        if member.endswith(".pt") and (content := archive.read(name)):
            try:
                torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            except Exception:  # torch's unpickler raises many kinds of errors for foreign bytes
                objects = True
        if objects:
            raise ModelError(
                f"{path}: {member} contains pickled objects, so the file is not loaded. Export the network again with "
                "only plain tensors, and with images as its only example input"
            )


def _load_export(path: Path) -> tuple[nn.Module, int | None]:
    """Return the network and the batch size for which it was exported, or None if the batch size is dynamic."""
    with path.open("rb") as file:
        exported: ExportedProgram = torch.export.load(file)
    inputs = exported.graph_signature.user_inputs
    if len(inputs) != 1:
        raise ModelError(
            f"{path}: the network takes {len(inputs)} inputs; expected only images, (B, C, H, W). Export it with "
            "images as its only input"
        )
    node = next(node for node in exported.graph.nodes if node.name == inputs[0])
    batch_size = node.meta["val"].shape[0]
    return exported.module(), batch_size if isinstance(batch_size, int) else None
