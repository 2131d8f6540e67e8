"""Exported networks: TorchScript and torch.export files."""

import collections
import contextlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from segcert.networks.folders import ModelError
from segcert.provenance.digests import file_digest

TORCHSCRIPT, EXPORT = "torchscript", "torch.export"
OBJECTS = ("data/constants/custom_obj", "data/constants/opaque_obj", "data/aotinductor/")


class Accepted(NamedTuple):
    """The batch sizes and the data type that an exported program accepts.

    A batch may contain `least` to `most` images. If `most` is None, there is no upper limit.
    """

    least: int = 1
    most: int | None = None
    number_type: torch.dtype = torch.float32


class ExportedNetwork(nn.Module):
    """An exported network, which maps images of shape (B, C, H, W) to logits. It is always in eval mode.

    It accepts any number of float32 images on any device. Images are converted to the program's data type. Logits of
    fewer than 32 bits are converted to float32, which is exact. Batches that are too large for the program are split,
    and batches that are too small are filled with copies of their last image. Constants that the program creates while
    it runs are placed on the device of the first images.

    Attributes
    ----------
    kind
        "torchscript" or "torch.export".
    accepts
        The batches that the program itself accepts.
    digest
        SHA-256 of the exported file.

    Raises
    ------
    ModelError
        If a torch.export network does not accept the shape of the images, or if the network is switched to train mode.
    """

    def __init__(self, program: ExportedProgram | nn.Module, kind: str, accepts: Accepted, digest: str) -> None:
        super().__init__()
        self._exported = program if isinstance(program, ExportedProgram) else None
        self.program: nn.Module = program.module() if isinstance(program, ExportedProgram) else program
        self.kind, self.accepts, self.digest = kind, accepts, digest
        # The device of the program's constants. None means unknown: a TorchScript network may have been traced on any
        # device.
        self._device = None if self._exported is None else torch.device("cpu")
        self._set_eval_mode()

    def forward(self, x: Tensor) -> Tensor:
        if x.device != self._device:
            self._bind(x.device)
        least, most, number_type = self.accepts
        batches = x.to(number_type).split(most or max(len(x), 1))  # type: ignore[no-untyped-call]
        outputs = []
        for batch in batches:
            output = self._run(_filled(batch, least))
            if not isinstance(output, Tensor):
                return output  # type: ignore[no-any-return]  # the caller rejects it
            short = output.is_floating_point() and output.dtype.itemsize < torch.float32.itemsize
            outputs.append((output.float() if short else output)[: len(batch)])
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _run(self, x: Tensor) -> Any:
        try:
            # TorchScript's optimiser rewrites a network after the first batches, but all votes need the same function.
            unoptimised = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
            with unoptimised if self.kind == TORCHSCRIPT else contextlib.nullcontext():
                output = self.program(x)
        except AssertionError as error:  # raised by the guards of torch.export
            raise ModelError(
                f"`program`: the exported network does not accept images of shape {tuple(x.shape)} ({error}). Export "
                "it for this number of channels and this image size"
            ) from error
        return output

    def _bind(self, device: torch.device) -> None:
        """Make the program create its constants on a device."""
        if self._exported is not None:
            self.program = move_to_device_pass(self._exported, str(device)).module()
            self._set_eval_mode()
        elif self._device is None:
            _replace_devices(self.program, device)
        elif _devices(self.program):  # a program that has run cannot be changed
            raise ModelError(
                f"`program`: the exported network creates constants on {self._device}; load the network again to run "
                f"it on {device}"
            )
        self._device = device

    def _set_eval_mode(self) -> None:
        for module in self.modules():
            module.training = False

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

    An exported network is code, so load only files from sources that you trust. Pickled code is not run. In torch 2.13,
    `torch.export.load` reads pickled weights and constants without `weights_only=True`. It reads example inputs in the
    same way if it cannot read them with `weights_only=True`. An archive that contains anything but tensors is therefore
    rejected before it is loaded. TorchScript has a separate interpreter, which does not load Python objects.

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
            program: Any = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
            accepts = Accepted(number_type=_number_type(program))
        else:
            program, accepts = _load_export(path)
        return ExportedNetwork(program, kind, accepts, file_digest(path))
    except ModelError:
        raise
    except Exception as error:  # torch raises many kinds of errors for damaged files and other versions
        first = str(error).partition("\n")[0]
        raise ModelError(
            f"{path}: cannot be loaded as {kind} by torch {torch.__version__} ({type(error).__name__}: {first}). "
            "Export it again with this version of torch"
        ) from error


def kind_of(path: Path) -> str | None:
    """Return the kind of an exported network, recognised from the file's content; None for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _kind(archive, path)
    except Exception:  # zipfile, JSON and torch raise many kinds of errors
        return None


def _kind(archive: zipfile.ZipFile, path: Path) -> str:
    """Return the kind of exported network in an archive, based on its members. Raises ModelError for a pickle."""
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
            except Exception:  # torch's unpickler raises many kinds of errors for other content
                objects = True
        if objects:
            raise ModelError(
                f"{path}: {member} contains pickled objects, so the file is not loaded. Export the network again: it "
                "must contain only plain tensors, and images must be its only example input"
            )


def _load_export(path: Path) -> tuple[ExportedProgram, Accepted]:
    """Load a torch.export file. Return the program and the batches that it accepts.

    Raises ModelError if the program has inputs other than images.
    """
    exported: ExportedProgram = torch.export.load(_without_gpus(path))
    inputs = exported.graph_signature.user_inputs
    images = [node.meta["val"] for node in exported.graph.nodes if node.name in inputs]
    if len(images) != 1 or not isinstance(images[0], Tensor) or images[0].ndim != 4:
        raise ModelError(
            f"{path}: the network takes {len(inputs)} inputs; expected only images, (B, C, H, W). Export it with "
            "images as its only input"
        )
    number_type = images[0].dtype
    batch = images[0].shape[0]
    if isinstance(batch, int):
        return exported, Accepted(batch, batch, number_type)
    limits = exported.range_constraints.get(batch.node.expr)
    least, most = (1, None) if limits is None else (_finite(limits.lower), _finite(limits.upper))
    return exported, Accepted(least or 1, most, number_type)


def _finite(limit: Any) -> int | None:
    """Return a size limit as a number; None if there is no limit."""
    try:
        return int(limit)
    except Exception:  # sympy and torch have infinite integers that cannot be converted
        return None


def _without_gpus(path: Path) -> BinaryIO:
    """Open a torch.export archive such that all tensors are loaded onto the CPU, even if it was exported on a GPU.

    torch loads each tensor onto the device that is named in the archive, and fails if the machine does not have this
    device.
    """
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist() if name.endswith(".json")}
        if not any(b'"cuda"' in text for text in texts.values()):
            return path.open("rb")
        moved = io.BytesIO()
        with zipfile.ZipFile(moved, "w") as copy:
            for name in archive.namelist():
                text = json.dumps(_on_cpu(json.loads(texts[name]))) if name in texts else None
                copy.writestr(name, archive.read(name) if text is None else text)
    moved.seek(0)
    return moved


def _on_cpu(value: Any) -> Any:
    """Replace each GPU in the JSON of a torch.export archive with the CPU."""
    if isinstance(value, dict):
        if value.keys() == {"type", "index"} and value["type"] == "cuda":
            return {"type": "cpu", "index": None}
        return {key: _on_cpu(each) for key, each in value.items()}
    return [_on_cpu(each) for each in value] if isinstance(value, list) else value


def _number_type(program: nn.Module) -> torch.dtype:
    """Return the data type of a TorchScript network's first floating-point weights, or float32 if it has none."""
    floating = (each.dtype for each in program.parameters() if each.is_floating_point())
    return next(floating, torch.float32)


def _devices(program: nn.Module) -> list[Any]:
    """Return the constants of a TorchScript network that are devices."""
    constants: list[Any] = []
    for module in program.modules():
        if hasattr(module, "forward") and hasattr(module.forward, "graph"):
            constants += module.forward.graph.findAllNodes("prim::Constant")
    return [constant for constant in constants if constant.output().type().kind() == "DeviceObjType"]


def _replace_devices(program: nn.Module, device: torch.device) -> None:
    """Replace the devices that tracing stored in a TorchScript network. The network must not have run before."""
    for constant in _devices(program):
        constant.s_("value", str(device))


def _filled(batch: Tensor, least: int) -> Tensor:
    """Fill a batch up to at least `least` images with copies of its last image.

    Constant images are not used, because a network might return NaN for them.
    """
    lacking = least - len(batch)
    return torch.cat([batch, batch[-1:].expand(lacking, *batch.shape[1:])]) if lacking > 0 else batch
