"""The program that installs the packages of the lock files: uv, or pip where uv cannot be had.

uv is the one on the PATH, else it comes from PyPI by `lock-uv.txt` into an environment of its own, `.venv-uv`. It takes
the indexes, links, proxy and certificate of pip's configuration, so that both find the same files.

Standard library only, from Python 3.9: this runs before there is an environment.
"""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ENVS = Path(__file__).absolute().parent
ROOT = ENVS.parent
OWN = ROOT / ".venv-uv"
OLDEST = (0, 5)  # the first uv that reads UV_INDEX and UV_DEFAULT_INDEX
LOCKED = ("--no-deps", "--require-hashes")


class Uv:
    """uv, with the settings of pip in its environment."""

    name = "uv"

    def __init__(self, program, settings):
        self.program = str(program)
        self.environment = {**as_uv_reads(settings), **os.environ}  # what is set for uv itself wins
        self.no_index = ["--no-index"] if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"} else []

    def find_python(self, version):
        """An interpreter that need not be on the PATH, downloaded if there is none; None where that fails."""
        find = [self.program, "python", "find", "--no-project", "--system", version]
        done = subprocess.run(find, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            get = [self.program, "python", "install", "--no-bin", version]
            if subprocess.run(get, env=self.environment, check=False).returncode:
                return None
            done = subprocess.run(find, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def create(self, folder, python):
        """Make an empty environment."""
        self._run("venv", "--quiet", "--no-project", "--python", python, folder)

    def install(self, folder, *locks, compiled=True):
        """Install what lock files hold, with bytecode or without."""
        options = ["--compile-bytecode"] if compiled else []
        self._install(folder, *LOCKED, *options, *(word for lock in locks for word in ("--requirement", lock)))

    def install_checkout(self, folder):
        """Install segcert itself, as the files of this checkout."""
        self._install(folder, "--no-deps", "--no-build-isolation", "--editable", ROOT)

    def compile(self, *wanted):
        """Resolve requirements: the arguments of `uv pip compile`."""
        self._run("pip", "compile", "--quiet", *self.no_index, *wanted)

    def _install(self, folder, *wanted):
        self._run("pip", "install", "--quiet", "--python", folder / "bin/python", *self.no_index, *wanted)

    def _run(self, *words):
        subprocess.run([self.program, *map(str, words)], env=self.environment, check=True)


class Pip:
    """The pip that an environment brings along."""

    name = "pip"

    def create(self, folder, python):
        """Make an environment with pip."""
        create_with_pip(folder, python)

    def install(self, folder, *locks, compiled=True):
        """Install what lock files hold; pip compiles what it installs anyway."""
        self._install(folder, *LOCKED, *(word for lock in locks for word in ("--requirement", lock)))

    def install_checkout(self, folder):
        """Install segcert itself, as the files of this checkout."""
        self._install(folder, "--no-deps", "--no-build-isolation", "--editable", ROOT)

    def _install(self, folder, *wanted):
        command = [folder / "bin/python", "-m", "pip", "install", "--quiet", *wanted]
        subprocess.run(list(map(str, command)), check=True)


def find_installer():
    """Take uv where it is or can be had, else pip."""
    found = shutil.which("uv")
    if found and _version(found) >= OLDEST:
        return Uv(found, pip_settings(_pip()))
    lock = (ENVS / "lock-uv.txt").read_text()
    complete = OWN / "complete"
    if not complete.exists() or complete.read_text() != lock:
        print("Setting up .venv-uv", flush=True)
        shutil.rmtree(OWN, ignore_errors=True)
        create_with_pip(OWN, sys.executable)
        try:
            Pip().install(OWN, ENVS / "lock-uv.txt")
        except subprocess.CalledProcessError:
            shutil.rmtree(OWN)
            print("uv cannot be had from here (see above): pip installs, which takes longer.", file=sys.stderr)
            return Pip()
        complete.write_text(lock)
    return Uv(OWN / "bin/uv", pip_settings([str(OWN / "bin/python"), "-m", "pip"]))


def uv_for_locks(places=False):
    """The uv of `make lock`: with the main index alone, or with `places` where PIP_... variables say that more lies.

    The places may have the CPU build of torch, which would otherwise be taken for the other one. Extra indexes of pip's
    files are left out: few of them say when a file was published.
    """
    found = find_installer()
    if not isinstance(found, Uv):
        raise SystemExit("`make lock` needs uv, which cannot be had from here")
    if not places:
        found.environment.pop("UV_FIND_LINKS", None)
    if not places or "PIP_EXTRA_INDEX_URL" not in os.environ:
        found.environment.pop("UV_INDEX", None)
    return found


def create_with_pip(folder, python):
    """Make an environment with pip. Raises SystemExit where Python has none to give (Debian's without python3-venv)."""
    looked = subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False)
    if looked.returncode:
        raise SystemExit(f"{python} has no ensurepip, so it makes no environments. Write: apt install python3-venv")
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)


def pip_settings(pip):
    """The settings of pip's files and of PIP_... variables, by name; `pip` is the command that knows them, or None."""
    if pip is None:
        return {key[4:].lower().replace("_", "-"): value for key, value in os.environ.items() if key.startswith("PIP_")}
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=True).stdout
    settings = {}
    for section in ("global", "install", ":env:"):  # a later one wins
        for key, value in re.findall(rf"^{section}\.([\w-]+)=(.*)$", listed, re.MULTILINE):
            settings[key] = ast.literal_eval(value)
    return settings


def as_uv_reads(settings):
    """The environment variables that make uv look where pip looks."""
    several = {key: value.split() for key, value in settings.items()}
    variables = {
        "UV_DEFAULT_INDEX": settings.get("index-url"),
        "UV_INDEX": " ".join(several.get("extra-index-url", [])),
        "UV_FIND_LINKS": ",".join(several.get("find-links", [])),
        "UV_INSECURE_HOST": " ".join(several.get("trusted-host", [])),
        "UV_HTTP_TIMEOUT": settings.get("timeout") or settings.get("default-timeout"),
        "SSL_CERT_FILE": settings.get("cert"),
        "ALL_PROXY": settings.get("proxy"),
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # as pip: the best of all indexes, not the first that knows the name
    }
    return {name: value for name, value in variables.items() if value}


def _pip():
    """The command of a pip, if there is one."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip") or shutil.which("pip3")
    return [found] if found else None


def _version(uv):
    printed = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"uv (\d+)\.(\d+)", printed)
    return (int(found[1]), int(found[2])) if found else (0, 0)
