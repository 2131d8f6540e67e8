"""Calls of the DVC program. No other module of segcert calls DVC, and none imports it.

DVC has two caches: one for the contents of files, and a site cache for facts about files. It unpickles what the site
cache contains (diskcache, CVE-2025-69872). By default all users of a machine share the site cache (/var/tmp/dvc). Calls
from this module use a site cache in the checkout that only its owner can enter.
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
SITE_CACHE = "DVC_SITE_CACHE_DIR"  # environment variable of DVC: folder of its site cache
PRIVATE = Path(".dvc/tmp/site-cache")
PYTHON = Path(".venv-dvc/bin/python")
AGAIN = "snakemake -R version_data version_models version_results -- push"


class LinkError(ValueError):
    """A folder that DVC would refuse because it is a link or behind a link. The message says what to do."""


def run_dvc(*arguments: str, root: str | Path = ".", capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run DVC in a checkout with a private site cache. Raises SystemExit if DVC is not installed."""
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

    It is $SEGCERT_DVC, else the DVC of the running interpreter (conda, a container), else that of .venv-dvc. Raises
    SystemExit if there is none.
    """
    if named := os.environ.get(PROGRAM):
        if program := shutil.which(named):
            return [os.path.abspath(program)]
        raise SystemExit(f"segcert: {PROGRAM}={named}: expected the path of the DVC program; or write: unset {PROGRAM}")
    if importlib.util.find_spec("dvc"):
        return [sys.executable, "-P", "-m", "dvc"]
    python = Path(root, PYTHON).absolute()
    if python.exists():
        return [str(python), "-P", "-m", "dvc"]  # not bin/dvc: not every path fits into its first line
    raise SystemExit(f"segcert: DVC is neither installed here ({sys.executable}) nor in .venv-dvc; write: make dvc")


def private_cache(root: str | Path = ".") -> Path:
    """Return the folder of DVC's site cache, which is created if it is missing. Its mode is 0700 under any umask.

    Raises SystemExit if another user could have written to it.
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
        f"segcert: {place}: {fault}; expected a folder that only you can write to: DVC runs code that is stored there. "
        f"Delete it (nothing is lost), or name another folder: export {SITE_CACHE}=/path"
    )


def add_to_dvc(folders: Sequence[str], root: str | Path = ".") -> None:
    """Add folders to DVC's cache and write a pointer <folder>.dvc for each. Raises SystemExit with DVC's message."""
    done = run_dvc("--wait-for-lock", "add", *folders, root=root, capture=True)
    if done.returncode:
        raise SystemExit(f"segcert: dvc add {' '.join(folders)}: {(done.stderr or done.stdout).strip()}")


def push_to_remote(folders: Sequence[str], root: str | Path = ".") -> None:
    """Upload the files of folders to the default DVC remote, then check that the remote has them.

    DVC's progress and errors go to the terminal. Raises SystemExit if a file is missing from DVC's cache, if the remote
    cannot be reached or refuses, or if it lacks a file afterwards.
    """
    # If a file is missing from the cache, DVC pushes the others and the folder's list of files. From then on it assumes
    # that the remote has the whole folder.
    if absent := _missing(folders, root):
        raise SystemExit(
            f"segcert: nothing was pushed: files that the pointers name are missing from DVC's cache:{_lines(absent)}\n"
            f"If the remote has them: snakemake pull. If they are in their folders here: {AGAIN}"
        )
    if run_dvc("--wait-for-lock", "push", *map(_pointer, folders), root=root).returncode:
        raise SystemExit(
            "segcert: dvc push failed; see DVC's message above. To see where it pushes to: dvc remote list. To name "
            "another remote or give access: docs/how-to/s3.md"
        )
    if absent := _missing(folders, root, remote=True):
        whole = [folder for folder in folders if any(f"{name}/".startswith(f"{folder}/") for name in absent)]
        pointers = [Path(root, _pointer(folder)).read_text() for folder in whole]
        names = [found[1] for text in pointers if (found := re.search(r"md5: (\w+\.dir)", text))]
        raise SystemExit(
            f"segcert: the remote lacks files that DVC considers pushed:{_lines(absent)}\nDVC uploads no file of a "
            "folder whose list of files is on the remote. Delete these lists on the remote, then push again: "
            + ", ".join(f"files/md5/{name[:2]}/{name[2:]}" for name in names)
        )


def pull_from_remote(folders: Sequence[str], root: str | Path = ".") -> None:
    """Download the files that the pointers of folders name from the default DVC remote.

    Missing pointers are skipped with a warning. Raises SystemExit if the remote cannot be reached or lacks a file.
    """
    pointers = [folder for folder in folders if Path(root, _pointer(folder)).exists()]
    if others := [_pointer(folder) for folder in folders if folder not in pointers]:
        log.warning("%s: not found, so nothing is pulled for them; this commit has no such pointers", ", ".join(others))
    if pointers and run_dvc("--wait-for-lock", "pull", *map(_pointer, pointers), root=root).returncode:
        with contextlib.suppress(SystemExit):  # the remote cannot be reached, and DVC has said so
            if absent := _missing(pointers, root, remote=True):
                print(
                    f"segcert: files that the pointers name are missing from the remote:{_lines(absent)}",
                    file=sys.stderr,
                )
        raise SystemExit(
            "segcert: dvc pull failed; see the messages above. To see where it pulls from: dvc remote list. To name "
            "another remote: docs/how-to/s3.md. Ask the publisher to push missing files again"
        )


def refuse_links(folders: Iterable[str], root: str | Path = ".") -> None:
    """Raise LinkError for folders that are links or behind a link: DVC writes no pointers for them."""
    for folder in folders:
        for place in (Path(root, each) for each in (*Path(folder).parents, Path(folder))):
            if place != Path(root) and place.is_symlink():
                raise LinkError(
                    f"{place}: is a link to {place.readlink()}; expected a folder: DVC writes no pointers for folders "
                    "behind links. Move the whole checkout to that disk, or replace the link by an empty folder and "
                    f"mount the other folder on it: mount --bind {place.resolve()} {place}"
                )


def _missing(folders: Sequence[str], root: str | Path, *, remote: bool = False) -> list[str]:
    """Return the files that the pointers of folders name and that DVC's cache, or the remote, lacks."""
    # `dvc status --cloud` and `dvc push` assume that all files of a folder are there if its list of files is. This
    # command checks each file.
    where = ("--not-in-remote",) if remote else ()
    done = run_dvc(
        "--wait-for-lock", "data", "status", "--granular", "--json", *where, *folders, root=root, capture=True
    )
    if done.returncode:
        raise SystemExit(f"segcert: dvc data status: {(done.stderr or done.stdout).strip()}")
    missing: list[str] = json.loads(done.stdout).get("not_in_remote" if remote else "not_in_cache", [])
    return sorted(missing)


def _lines(names: Iterable[str]) -> str:
    described = (f"{name} (the list of its files)" if name.endswith("/") else name for name in names)
    return "".join(f"\n  {printable(name)}" for name in described)


def _pointer(folder: str) -> str:
    return f"{folder}.dvc"
