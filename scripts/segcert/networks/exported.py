"""Networks that come as a program: TorchScript and torch.export files."""

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


class Program(nn.Module):
    """Images (B, C, H, W) to what a program makes of them; in eval mode, for good.

    Attributes
    ----------
    kind
        "torchscript" or "torch.export".
    batch_size
        The only B that the program itself takes: other batches are cut and filled up to it. None: any.

    Raises ModelError for images of a shape that a torch.export program was not made for.
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
            # TorchScript's optimiser rewrites a program after its first batches; votes are of one function
            unoptimised = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
            with unoptimised if self.kind == TORCHSCRIPT else contextlib.nullcontext():
                output: Tensor = self.program(x)
        except AssertionError as error:  # the guards of torch.export
            raise ModelError(
                f"program: does not take images of shape {tuple(x.shape)} ({error}). Export it "
                "for this number of channels and size"
            ) from error
        return output

    def train(self, mode: bool = True) -> "Program":
        if mode:
            raise ModelError("program: cannot be trained. To train the network here, give it as package.module:factory")
        return self

    def extra_repr(self) -> str:
        return f"kind={self.kind}, digest={self.digest}"


def load_program(path: str | Path) -> Program:
    """Read a TorchScript or torch.export (.pt2) file; which of the two, its content says.

    A program is code: load only one that you would run. What is not run are pickles. `torch.export.load` of torch 2.13
    reads example inputs with `weights_only=True` at first and without it where that fails, and pickled weights and
    constants without it at once; so an archive that holds more than tensors is refused before it is loaded. TorchScript
    files are read by their own interpreter, which knows no Python objects.

    Tensors that a program makes while it runs stay on the device on which it was exported.

    Raises ModelError for what is no program (a pickled network, say), holds pickled objects, or cannot be read.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            kind = _kind(archive, path)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: missing; expected a TorchScript or torch.export file") from error
    except ModelError:
        raise
    except Exception as error:  # zipfile, JSON and torch fail in many ways
        raise ModelError(
            f"{path}: is neither a TorchScript nor a torch.export file ({error}). Write one with "
            "torch.export.save(torch.export.export(model, (images,)), path)"
        ) from error
    try:
        if kind == TORCHSCRIPT:
            program, batch_size = torch.jit.load(path, map_location="cpu").eval(), None  # type: ignore[no-untyped-call]
        else:
            program, batch_size = _exported(path)
    except ModelError:
        raise
    except Exception as error:  # torch raises nearly anything for a file that is broken or of another version
        first = str(error).partition("\n")[0]
        raise ModelError(
            f"{path}: cannot be loaded as {kind} by torch {torch.__version__} ({type(error).__name__}: {first}). "
            "Export it again, on the CPU and with this version of torch"
        ) from error
    return Program(program, kind, batch_size, file_digest(path))


def _kind(archive: zipfile.ZipFile, path: Path) -> str:
    """What an archive holds, by its members without their common folder. Refuses pickles."""
    members = {name.partition("/")[2]: name for name in archive.namelist()}
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
                "networks are not loaded. Save torch.save(model.state_dict(), path) and give it as `weights` with a "
                "`target`, or write torch.export.save(torch.export.export(model, (images,)), path)"
            )
    raise ValueError("an archive of other members")


def _refuse_objects(archive: zipfile.ZipFile, members: dict[str, str], path: Path) -> None:
    """Raise ModelError for members of a torch.export archive that are more than tensors."""
    for member, name in members.items():
        objects = member.startswith(OBJECTS)
        if member.endswith("_config.json"):
            objects |= any(entry.get("use_pickle") for entry in json.loads(archive.read(name))["config"].values())
        if member.endswith(".pt") and (content := archive.read(name)):
            try:
                torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            except Exception:  # torch's unpickler meets foreign bytes with errors of many kinds
                objects = True
        if objects:
            raise ModelError(
                f"{path}: {member} holds objects that only code could read, so it is not loaded. Export the network "
                "again, from plain tensors and with images as its only example input"
            )


def _exported(path: Path) -> tuple[nn.Module, int | None]:
    """The program, and the batch size that it was exported for unless that is dynamic."""
    with path.open("rb") as file:
        exported: ExportedProgram = torch.export.load(file)
    inputs = exported.graph_signature.user_inputs
    if len(inputs) != 1:
        raise ModelError(f"{path}: takes {len(inputs)} inputs; expected one, images (B, C, H, W). Export it for images")
    node = next(node for node in exported.graph.nodes if node.name == inputs[0])
    batch_size = node.meta["val"].shape[0]
    return exported.module(), batch_size if isinstance(batch_size, int) else None
