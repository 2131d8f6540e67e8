"""Installers for the packages in the lock files: uv, or pip if uv is not available.

A uv on the PATH is used if there is one. Otherwise, uv is installed from PyPI, as locked in `lock-uv.txt`, into a
separate environment, `.venv-uv`. uv gets the indexes, links, proxy and certificate in pip's configuration, so that both
programs find the same files.

Because this module runs before any environment exists, it uses only the standard library and supports Python 3.9.
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
    """The installer uv, which gets pip's settings through environment variables."""

    name = "uv"

    def __init__(self, program, settings):
        self.program = str(program)
        self.environment = {**as_uv_reads(settings), **os.environ}  # uv's own settings take precedence
        self.no_index = ["--no-index"] if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"} else []

    def find_python(self, version):
        """Return a Python interpreter that uv finds or else downloads; None if the download fails."""
        find = [self.program, "python", "find", "--no-project", "--system", version]
        done = subprocess.run(find, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            get = [self.program, "python", "install", "--no-bin", version]
            if subprocess.run(get, env=self.environment, check=False).returncode:
                return None
            done = subprocess.run(find, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def create(self, folder, python):
        """Create an empty environment."""
        self._run("venv", "--quiet", "--no-project", "--python", python, folder)

    def install(self, folder, *locks, compiled=True):
        """Install the packages in lock files; `compiled` also writes bytecode."""
        options = ["--compile-bytecode"] if compiled else []
        self._install(folder, *LOCKED, *options, *(word for lock in locks for word in ("--requirement", lock)))

    def install_checkout(self, folder):
        """Install segcert itself, as an editable install of this checkout."""
        self._install(folder, "--no-deps", "--no-build-isolation", "--editable", ROOT)

    def compile(self, *wanted):
        """Resolve requirements; `wanted` are arguments of `uv pip compile`."""
        self._run("pip", "compile", "--quiet", *self.no_index, *wanted)

    def _install(self, folder, *wanted):
        self._run("pip", "install", "--quiet", "--python", folder / "bin/python", *self.no_index, *wanted)

    def _run(self, *words):
        subprocess.run([self.program, *map(str, words)], env=self.environment, check=True)


class Pip:
    """The installer pip, run in the environment that it installs into."""

    name = "pip"

    def create(self, folder, python):
        """Create an environment with pip."""
        create_with_pip(folder, python)

    def install(self, folder, *locks, compiled=True):
        """Install the packages in lock files; pip always writes bytecode."""
        self._install(folder, *LOCKED, *(word for lock in locks for word in ("--requirement", lock)))

    def install_checkout(self, folder):
        """Install segcert itself, as an editable install of this checkout."""
        self._install(folder, "--no-deps", "--no-build-isolation", "--editable", ROOT)

    def _install(self, folder, *wanted):
        command = [folder / "bin/python", "-m", "pip", "install", "--quiet", *wanted]
        subprocess.run(list(map(str, command)), check=True)


def find_installer():
    """Return uv if it is installed or can be downloaded, otherwise pip."""
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
            print("uv is not available here (see above). Installing with pip, which takes longer.", file=sys.stderr)
            return Pip()
        complete.write_text(lock)
    return Uv(OWN / "bin/uv", pip_settings([str(OWN / "bin/python"), "-m", "pip"]))


def uv_for_locks(places=False):
    """Return the uv for `make lock`. It uses only the main index or, if `places`, also those in PIP_... variables.

    The indexes and folders in these variables may contain the CPU build of torch, which must not replace the CUDA
    build. Extra indexes in pip's configuration files are ignored, because few of them state when a file was published.
    """
    found = find_installer()
    if not isinstance(found, Uv):
        raise SystemExit("`make lock` needs uv, which is not available here")
    if not places:
        found.environment.pop("UV_FIND_LINKS", None)
    if not places or "PIP_EXTRA_INDEX_URL" not in os.environ:
        found.environment.pop("UV_INDEX", None)
    return found


def create_with_pip(folder, python):
    """Create an environment with pip. Raises SystemExit if Python lacks ensurepip (Debian without python3-venv)."""
    looked = subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False)
    if looked.returncode:
        raise SystemExit(f"{python} cannot create environments without ensurepip. Run: apt install python3-venv")
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)


def pip_settings(pip):
    """Return the settings in pip's configuration files and PIP_... variables, by name.

    `pip` is the command that runs pip. If it is None, only the variables are read.
    """
    if pip is None:
        return {key[4:].lower().replace("_", "-"): value for key, value in os.environ.items() if key.startswith("PIP_")}
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=True).stdout
    settings = {}
    for section in ("global", "install", ":env:"):  # later sections take precedence
        for key, value in re.findall(rf"^{section}\.([\w-]+)=(.*)$", listed, re.MULTILINE):
            settings[key] = ast.literal_eval(value)
    return settings


def as_uv_reads(settings):
    """Return the environment variables that make uv look where pip looks."""
    several = {key: value.split() for key, value in settings.items()}
    variables = {
        "UV_DEFAULT_INDEX": settings.get("index-url"),
        "UV_INDEX": " ".join(several.get("extra-index-url", [])),
        "UV_FIND_LINKS": ",".join(several.get("find-links", [])),
        "UV_INSECURE_HOST": " ".join(several.get("trusted-host", [])),
        "UV_HTTP_TIMEOUT": settings.get("timeout") or settings.get("default-timeout"),
        "SSL_CERT_FILE": settings.get("cert"),
        "ALL_PROXY": settings.get("proxy"),
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # like pip: the best version in all indexes
    }
    return {name: value for name, value in variables.items() if value}


def _pip():
    """Return a command that runs pip, or None."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip") or shutil.which("pip3")
    return [found] if found else None


def _version(uv):
    printed = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"uv (\d+)\.(\d+)", printed)
    return (int(found[1]), int(found[2])) if found else (0, 0)
