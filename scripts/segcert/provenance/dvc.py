"""DVC, called as a program. Nothing else of segcert calls it, and nothing imports it.

DVC keeps what it knows of files in a cache of its own, apart from the cache that holds their contents, and unpickles
what lies there (diskcache, CVE-2025-69872). By default all users of a machine share it (/var/tmp/dvc). Each call from
here has one in the checkout, which nobody but its owner can enter.
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

PROGRAM = "SEGCERT_DVC"  # environment variable: the path of DVC's program
SITE_CACHE = "DVC_SITE_CACHE_DIR"  # environment variable of DVC: the folder of what it knows of files
PRIVATE = Path(".dvc/tmp/site-cache")
PYTHON = Path(".venv-dvc/bin/python")
AGAIN = "snakemake -R version_data version_models version_results -- push"


class LinkError(ValueError):
    """A folder that DVC would refuse, because it is a link or behind one; the message says what to do."""


def run_dvc(*arguments: str, root: str | Path = ".", capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run DVC in a checkout, with a cache of its own that is private. Raises SystemExit where there is no DVC."""
    return subprocess.run(
        [*dvc_command(root), *arguments],
        cwd=root,
        env=os.environ | {SITE_CACHE: str(private_cache(root))},
        capture_output=capture,
        text=True,
        check=False,
    )


def dvc_command(root: str | Path = ".") -> list[str]:
    """The words that start DVC: that of $SEGCERT_DVC, of the running interpreter (conda, a container), of .venv-dvc."""
    if named := os.environ.get(PROGRAM):
        if program := shutil.which(named):
            return [os.path.abspath(program)]
        raise SystemExit(f"segcert: {PROGRAM}={named}: expected the path of DVC's program; or write: unset {PROGRAM}")
    if importlib.util.find_spec("dvc"):
        return [sys.executable, "-P", "-m", "dvc"]
    python = Path(root, PYTHON).absolute()
    if python.exists():
        return [str(python), "-P", "-m", "dvc"]  # and not bin/dvc, whose first line cannot hold every path
    raise SystemExit(f"segcert: DVC is neither installed here ({sys.executable}) nor in .venv-dvc; write: make dvc")


def private_cache(root: str | Path = ".") -> Path:
    """The folder for what DVC knows of files, made if it is missing: mode 0700, whatever the umask.

    Raises SystemExit if somebody else could have written there.
    """
    place = Path(os.environ.get(SITE_CACHE) or Path(root, PRIVATE)).absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode):
        fault = "is no folder"
    elif found.st_uid != os.geteuid():
        fault = f"belongs to the user {found.st_uid}"
    elif found.st_mode & 0o022:
        fault = "is open for others to write"
    else:
        place.chmod(0o700)
        return place
    raise SystemExit(
        f"segcert: {place}: {fault}; expected a folder of your own: DVC runs code that others put there. Delete it "
        f"(nothing is lost), or name another place: export {SITE_CACHE}=/path"
    )


def add_to_dvc(folders: Sequence[str], root: str | Path = ".") -> None:
    """Put folders into DVC's cache and write a pointer <folder>.dvc for each. Raises SystemExit with DVC's words."""
    done = run_dvc("--wait-for-lock", "add", *folders, root=root, capture=True)
    if done.returncode:
        raise SystemExit(f"segcert: dvc add {' '.join(folders)}: {(done.stderr or done.stdout).strip()}")


def push_to_remote(folders: Sequence[str], root: str | Path = ".") -> None:
    """Upload what the pointers of folders name to the default DVC remote, and ask the remote for it afterwards.

    DVC's progress and errors go to the terminal. Raises SystemExit if a file is missing from the cache (DVC would push
    the rest, with the folder's list of files, and take the folder for whole ever after), if the remote cannot be
    reached or refuses, and if it lacks a file in the end.
    """
    if absent := _missing(folders, root):
        raise SystemExit(
            f"segcert: nothing was pushed: files that the pointers name are missing from DVC's cache:{_lines(absent)}\n"
            f"If the remote has them: snakemake pull. If they lie here in their folders: {AGAIN}"
        )
    if run_dvc("--wait-for-lock", "push", *map(_pointer, folders), root=root).returncode:
        raise SystemExit(
            "segcert: dvc push failed, for the reason that DVC gives above. Where it pushes to: dvc remote list; "
            "how to name another place and who may write there: docs/how-to/s3.md"
        )
    if absent := _missing(folders, root, remote=True):
        whole = [folder for folder in folders if any(f"{name}/".startswith(f"{folder}/") for name in absent)]
        pointers = [Path(root, _pointer(folder)).read_text() for folder in whole]
        names = [found[1] for text in pointers if (found := re.search(r"md5: (\w+\.dir)", text))]
        raise SystemExit(
            f"segcert: the remote lacks files that DVC takes for pushed:{_lines(absent)}\nDVC uploads nothing of a "
            "folder whose list of files is there. Delete these lists on the remote, then push again: "
            + ", ".join(f"files/md5/{name[:2]}/{name[2:]}" for name in names)
        )


def pull_from_remote(folders: Sequence[str], root: str | Path = ".") -> None:
    """Download what the pointers of folders name from the default DVC remote; pointers that are not here are named.

    Raises SystemExit if the remote cannot be reached or lacks a file.
    """
    pointers = [folder for folder in folders if Path(root, _pointer(folder)).exists()]
    if others := [_pointer(folder) for folder in folders if folder not in pointers]:
        log.warning("%s: not here, so nothing is pulled for them: this commit does not publish them", ", ".join(others))
    if pointers and run_dvc("--wait-for-lock", "pull", *map(_pointer, pointers), root=root).returncode:
        with contextlib.suppress(SystemExit):  # a remote that cannot be asked: DVC said so
            if absent := _missing(pointers, root, remote=True):
                print(
                    f"segcert: files that the pointers name are missing from the remote:{_lines(absent)}",
                    file=sys.stderr,
                )
        raise SystemExit(
            "segcert: dvc pull failed, for the reasons above. Where it pulls from: dvc remote list; how to name"
            " another place: docs/how-to/s3.md. What is missing there, its publisher pushes again"
        )


def refuse_links(folders: Iterable[str], root: str | Path = ".") -> None:
    """Raise LinkError for folders that are links or behind one: DVC makes no pointers of them."""
    for folder in folders:
        for place in (Path(root, each) for each in (*Path(folder).parents, Path(folder))):
            if place != Path(root) and place.is_symlink():
                raise LinkError(
                    f"{place}: is a link to {place.readlink()}; expected a folder: DVC makes no pointers of what is "
                    "behind links. Put the whole checkout on that disk, or let an empty folder take the place of the "
                    f"link and mount the other one there: mount --bind {place.resolve()} {place}"
                )


def _missing(folders: Sequence[str], root: str | Path, *, remote: bool = False) -> list[str]:
    """Files that the pointers of folders name and DVC's cache, or the remote, lacks. Each file is asked for by itself.

    (`dvc status --cloud` and `dvc push` believe that all files of a folder are there if its list of files is.)
    """
    where = ("--not-in-remote",) if remote else ()
    done = run_dvc(
        "--wait-for-lock", "data", "status", "--granular", "--json", *where, *folders, root=root, capture=True
    )
    if done.returncode:
        raise SystemExit(f"segcert: dvc data status: {(done.stderr or done.stdout).strip()}")
    missing: list[str] = json.loads(done.stdout).get("not_in_remote" if remote else "not_in_cache", [])
    return sorted(missing)


def _lines(names: Iterable[str]) -> str:
    told = (f"{name} (the list of its files)" if name.endswith("/") else name for name in names)
    return "".join(f"\n  {printable(name)}" for name in told)


def _pointer(folder: str) -> str:
    return f"{folder}.dvc"
