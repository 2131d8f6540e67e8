"""Calls to the DVC program. No other segcert module calls DVC, and no module imports it.

DVC has two caches: one for file contents, and a site cache for information about files. By default, all users of a
machine share the site cache (/var/tmp/dvc), and DVC unpickles its contents (diskcache, CVE-2025-69872). Calls from this
module therefore use a site cache inside the checkout, in a folder that only its owner can enter.
"""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from segcert.io.progress import log, printable

PROGRAM = "SEGCERT_DVC"  # environment variable: path of the DVC program
SITE_CACHE = "DVC_SITE_CACHE_DIR"  # DVC's environment variable: folder of its site cache
PRIVATE = Path(".dvc/tmp/site-cache")
PYTHON = Path(".venv-dvc/bin/python")
AGAIN = "snakemake -R version_data version_models version_results -- push"


class LinkError(ValueError):
    """Error for a folder that DVC refuses because the folder or one of its parents is a symbolic link."""


def run_dvc(*arguments: str, root: str | Path = ".", capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run DVC in a checkout, with the site cache from `private_cache`. Raises SystemExit if DVC is not installed."""
    return subprocess.run(
        [*dvc_command(root), *arguments],
        cwd=root,
        env=os.environ | {SITE_CACHE: str(private_cache(root))},
        capture_output=capture,
        text=True,
        check=False,
    )


def dvc_command(root: str | Path = ".") -> list[str]:
    """Return the command that starts DVC.

    If the environment variable SEGCERT_DVC is set, the command starts the program at that path. Otherwise, it starts
    the DVC that is installed alongside the running Python, as in conda or in a container. If there is none, it starts
    the DVC in .venv-dvc. Raises SystemExit if DVC is not found.
    """
    if named := os.environ.get(PROGRAM):
        if program := shutil.which(named):
            return [os.path.abspath(program)]
        raise SystemExit(
            f"segcert: {PROGRAM}={named}: no such program; expected the path of the DVC program. To use the installed "
            f"DVC: unset {PROGRAM}"
        )
    if importlib.util.find_spec("dvc"):
        return [sys.executable, "-P", "-m", "dvc"]
    python = Path(root, PYTHON).absolute()
    if python.exists():
        return [str(python), "-P", "-m", "dvc"]  # not bin/dvc, because a long path does not fit into its first line
    raise SystemExit(f"segcert: DVC is installed neither for {sys.executable} nor in .venv-dvc. Run: make dvc")


def private_cache(root: str | Path = ".") -> Path:
    """Return the folder of DVC's site cache, and create it if it is missing. Its mode is 0700, regardless of the umask.

    Raises SystemExit if another user could have written to the folder.
    """
    place = Path(os.environ.get(SITE_CACHE) or Path(root, PRIVATE)).absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode):
        fault = "is not a folder"
    elif found.st_uid != os.geteuid():
        fault = f"belongs to the user {found.st_uid}"
    elif found.st_mode & 0o022:
        fault = "can be written to by others"
    else:
        place.chmod(0o700)
        return place
    raise SystemExit(
        f"segcert: {place}: {fault}; expected a folder that only you can write to, because DVC runs code stored there. "
        f"Delete it (nothing is lost), or choose a different folder: export {SITE_CACHE}=/path"
    )


def add_to_dvc(folders: Sequence[str], root: str | Path = ".") -> None:
    """Add folders to DVC's cache, and write a pointer <folder>.dvc for each folder.

    Raises SystemExit with DVC's message if DVC fails.
    """
    done = run_dvc("--wait-for-lock", "add", *folders, root=root, capture=True)
    if done.returncode:
        raise SystemExit(f"segcert: dvc add {' '.join(folders)} failed: {(done.stderr or done.stdout).strip()}")


def push_to_remote(folders: Sequence[str], root: str | Path = ".") -> None:
    """Upload the files in the given folders to the default DVC remote, then check that they arrived.

    DVC prints its progress and errors to the terminal. Raises SystemExit if a file is missing from DVC's cache, if the
    remote cannot be reached or refuses the upload, or if the remote lacks a file afterwards.
    """
    # If a file is missing from the cache, DVC pushes the other files and the folder's list of files. From then on DVC
    # assumes that the remote contains the complete folder.
    if absent := _missing(folders, root):
        raise SystemExit(
            f"segcert: nothing was pushed, because these files are missing from DVC's cache:{_lines(absent)}\n"
            f"To fetch them from the remote: snakemake pull. To add them from this checkout and push: {AGAIN}"
        )
    if run_dvc("--wait-for-lock", "push", *map(_pointer, folders), root=root).returncode:
        raise SystemExit(
            "segcert: dvc push failed; see DVC's message above. To list the remotes: dvc remote list. To use a "
            "different remote or to grant access: see docs/how-to/s3.md"
        )
    if absent := _missing(folders, root, remote=True):
        whole = [folder for folder in folders if any(f"{name}/".startswith(f"{folder}/") for name in absent)]
        pointers = [Path(root, _pointer(folder)).read_text() for folder in whole]
        names = [found[1] for text in pointers if (found := re.search(r"md5: (\w+\.dir)", text))]
        raise SystemExit(
            f"segcert: the push is incomplete; these files are missing from the remote:{_lines(absent)}\nDVC skips a "
            "folder if the remote already has its list of files. Push again after deleting these lists from the "
            "remote: " + ", ".join(f"files/md5/{name[:2]}/{name[2:]}" for name in names)
        )


def pull_from_remote(folders: Sequence[str], root: str | Path = ".") -> None:
    """Download the files of the given folders from the default DVC remote, as listed by the folders' pointers.

    Missing pointers are skipped with a warning. Raises SystemExit if the remote cannot be reached or lacks a file.
    """
    pointers = [folder for folder in folders if Path(root, _pointer(folder)).exists()]
    if others := [_pointer(folder) for folder in folders if folder not in pointers]:
        log.warning("%s: not found in this commit, so no files are pulled", ", ".join(others))
    if pointers and run_dvc("--wait-for-lock", "pull", *map(_pointer, pointers), root=root).returncode:
        with contextlib.suppress(SystemExit):  # DVC has already reported that the remote cannot be reached
            if absent := _missing(pointers, root, remote=True):
                print(
                    f"segcert: these files are missing from the remote:{_lines(absent)}",
                    file=sys.stderr,
                )
        raise SystemExit(
            "segcert: dvc pull failed; see the messages above. To list the remotes: dvc remote list. To use a "
            "different remote: see docs/how-to/s3.md. If the remote lacks files, ask the publisher to push them again"
        )


def refuse_links(folders: Iterable[str], root: str | Path = ".") -> None:
    """Raise LinkError if a folder or one of its parents is a symbolic link.

    DVC does not write a pointer for such a folder.
    """
    for folder in folders:
        for place in (Path(root, each) for each in (*Path(folder).parents, Path(folder))):
            if place != Path(root) and place.is_symlink():
                raise LinkError(
                    f"{place}: is a link to {place.readlink()}; expected a folder, because DVC writes no pointers for "
                    "folders behind links. Move the whole checkout to the disk that the link points to, or "
                    "replace the link with an empty folder and mount the linked folder on it: mount --bind "
                    f"{place.resolve()} {place}"
                )


def _missing(folders: Sequence[str], root: str | Path, *, remote: bool = False) -> list[str]:
    """Return the files that the folders' pointers list but that are missing from DVC's cache.

    With `remote=True`, the default remote is checked instead of the cache.
    """
    # `dvc status --cloud` and `dvc push` check only that a folder's list of files is there, and assume that the files
    # are there too. This command checks each file.
    where = ("--not-in-remote",) if remote else ()
    done = run_dvc(
        "--wait-for-lock", "data", "status", "--granular", "--json", *where, *folders, root=root, capture=True
    )
    if done.returncode:
        raise SystemExit(f"segcert: dvc data status failed: {(done.stderr or done.stdout).strip()}")
    missing: list[str] = json.loads(done.stdout).get("not_in_remote" if remote else "not_in_cache", [])
    return sorted(missing)


def _lines(names: Iterable[str]) -> str:
    described = (f"{name} (the list of its files)" if name.endswith("/") else name for name in names)
    return "".join(f"\n  {printable(name)}" for name in described)


def _pointer(folder: str) -> str:
    return f"{folder}.dvc"
