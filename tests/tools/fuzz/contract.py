"""The contract for readers of hostile files: return a result, or raise an error of the reader that names the file."""

import dataclasses
import os
import re
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CPU_SECONDS = 5.0  # limit for one input: a hundred times the time that any seed takes
MEMORY_MIB = 500  # limit by which one input may increase the peak memory
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen",
    "pickle.find_class", "socket.connect", "socket.getaddrinfo",
    "urllib.Request", "ctypes.dlopen", "webbrowser.open", "shutil.unpack_archive", "os.setxattr",
)  # fmt: skip
WRITING = (
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
    "os.utime", "shutil.copyfile", "shutil.move", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp",
)  # fmt: skip
# Events whose path may be relative to a folder's descriptor
RELATIVE = ("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.utime")


class BrokenContractError(Exception):
    """The reader did something forbidden."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader to fuzz.

    Attributes
    ----------
    read
        Function that is called with the path of the hostile file, in an otherwise empty folder. Its result is ignored.
    seeds
        Function that returns the bytes of valid files.
    errors
        The errors that the reader may raise.
    file
        Name of the file.
    named
        True if the errors must name the file.
    build
        Function that converts the fuzzer's bytes to the file's bytes, so that mutations get past checksums; None: use
        the fuzzer's bytes unchanged.
    longest
        Maximum length of an input in bytes.
    """

    read: Callable[[Path], Any]
    seeds: Callable[[], Sequence[bytes]]
    errors: tuple[type[Exception], ...]
    file: str = "input"
    named: bool = True
    build: Callable[[bytes], bytes] | None = None
    longest: int = 4096


class Guard:
    """Forbid Python to start processes, load pickles, open connections, or write outside a folder.

    The guard is active while `folder` is set.
    """

    def __init__(self) -> None:
        self.folder: str | None = None
        sys.dont_write_bytecode = True
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in FORBIDDEN:
            raise BrokenContractError(f"{event} {arguments!r}"[:300])
        if event == "open":
            path, mode, flags = arguments
            writes = set(mode) & set("wax+") if isinstance(mode, str) else flags & (os.O_WRONLY | os.O_RDWR)
            paths = [path] if writes else []
        elif event in WRITING:
            made = slice(1, 2) if event in ("os.link", "os.symlink", "shutil.copyfile") else slice(0, 1)
            paths = list(arguments[:2] if event in ("os.rename", "shutil.move") else arguments[made])
        else:
            return
        at = arguments[-1] if event != "open" and type(arguments[-1]) is int and arguments[-1] >= 0 else None
        base = os.readlink(f"/proc/self/fd/{at}") if at is not None and event in RELATIVE else ""
        for each in paths:
            if isinstance(each, str | bytes):
                path = os.path.realpath(os.path.join(base, os.fsdecode(each)))
                if path != os.devnull and not path.startswith(self.folder):
                    raise BrokenContractError(f"{event} outside the folder: {each!r}")


def broken(target: Target, data: bytes, guard: Guard) -> str | None:
    """Let a target read some bytes. Return a description of the broken contract, or None if the contract is kept."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(os.path.realpath(name), "folder")
        folder.mkdir()
        path = folder / target.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(target.build(data) if target.build else data)
        here, before, start = os.getcwd(), _peak_mib(), time.process_time()
        guard.folder = str(folder.parent)
        try:
            target.read(path)
        except target.errors as error:
            guard.folder = None
            if target.named and str(path) not in str(error) and path.name not in str(error):
                return f"the error does not name the file: {type(error).__name__}: {error}"
        except BaseException as error:
            guard.folder = None
            if isinstance(error, KeyboardInterrupt):
                raise
            return _signature(error)
        finally:
            guard.folder = None
            os.chdir(here)
        if (seconds := time.process_time() - start) > CPU_SECONDS:
            return f"took {seconds:.0f} s"
        if (grown := _peak_mib() - before) > MEMORY_MIB:
            return f"took {grown} MiB"
    return None


def warm_up(target: Target, seed: bytes) -> None:
    """Read a seed without a guard, so that libraries such as pydicom and py7zr are imported before fuzzing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "folder", target.file)
        path.parent.mkdir(parents=True)
        path.write_bytes(target.build(seed) if target.build else seed)
        try:
            target.read(path)
        except target.errors as error:
            print(f"a seed is refused: {error}")


def kind_of(problem: str) -> str:
    """Return a problem's description without the parts that depend on the input."""
    return re.sub(r"/\S*|'[^']*'|\"[^\"]*\"|\d+", "?", problem.partition("\n")[0])[:100]


def limit_memory(mib: int) -> None:
    """Limit the process's memory to its present size plus `mib` MiB. Larger allocations raise MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _signature(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/segcert/" in f.filename]
    where = f"{frames[-1].filename.rpartition('/segcert/')[2]}:{frames[-1].name}" if frames else "?"
    return f"{type(error).__name__} in {where}: {str(error)[:200]}"


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
