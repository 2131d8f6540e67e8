"""Test the parts of segcert that do not need torch on each Python version of this machine: `make test-pythons`.

For each version, uv makes an environment (`.venv-py312` and so on) from the lock files, with only the packages that
these parts need. The tests that import only these parts run in this environment. torch is not installed there, so an
accidental import of torch fails.
"""

import ast
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "envs"))
from installer import Uv, find_installer

VERSIONS = ("3.11", "3.12", "3.13")
# Parts of segcert that work without torch, and the modules that these parts import
PARTS = ("certification", "config", "data", "measurements", "results", "votes")
BELOW = ("io.arrays", "provenance.digests")
TESTS = "tests/unit"
LOCKS = ("envs/lock-run.txt", "envs/lock-dev.txt")
PACKAGES = (
    "filelock", "hypothesis", "imagecodecs", "matplotlib", "numpy", "packaging", "pandas", "pillow", "psutil",
    "py7zr", "pyarrow", "pydantic", "pydicom", "pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "pytest",
    "python-gdcm", "pyyaml", "requests", "scipy", "statsmodels", "tifffile", "tqdm", "unrar2-cffi", "urllib3",
)  # fmt: skip


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names of everything that a Python file imports, including imports inside functions."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, parts: tuple[str, ...]) -> bool:
    """Return True if a dotted name belongs to one of the given parts of segcert."""
    return any(f"{name}.".startswith(f"segcert.{part}.") for part in parts)


def selected() -> list[str]:
    """Return the test files that import something from `PARTS` and, from the rest of segcert, only from `BELOW`."""
    files = []
    for path in sorted((ROOT / TESTS).rglob("test_*.py")):
        names = [name for name in imported(path) if name.split(".")[0] == "segcert"]
        if any(within(name, PARTS) for name in names) and all(within(name, PARTS + BELOW) for name in names):
            files.append(str(path.relative_to(ROOT)))
    return files


def find_python(version: str, uv: Uv) -> str | None:
    """Search the PATH, pyenv and uv for an interpreter of a Python version; return None if none is found."""
    name = f"python{version}"
    places = [str(Path(folder, name)) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    pyenv = os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")
    places += sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/{name}"))
    asked = [uv.program, "python", "find", "--managed-python", "--no-python-downloads", version]
    places += subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
    for place in places:
        # pyenv may put a launcher on the PATH for a version that is not installed.
        program = "import sys; print('%d.%d' % sys.version_info[:2])"
        try:
            said = subprocess.run([place, "-c", program], capture_output=True, text=True, check=False).stdout.strip()
        except OSError:
            continue
        if said == version:
            return place
    return None


def pins() -> list[str]:
    """Return requirements that pin `PACKAGES` to the versions in the lock files."""
    text = "".join((ROOT / lock).read_text() for lock in LOCKS)
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    return [f"{name}=={locked[name]}" for name in PACKAGES]


def make_environment(version: str, python: str, uv: Uv) -> Path:
    """Make the environment for a Python version unless it is up to date; return the path of its interpreter."""
    folder = ROOT / f".venv-py{version.replace('.', '')}"
    locks = hashlib.sha256(b"".join((ROOT / lock).read_bytes() for lock in LOCKS)).hexdigest()
    wanted = "\n".join([python, locks, *pins(), ""])
    complete, inside = folder / "complete", folder / "bin/python"
    if not complete.exists() or complete.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        uv.create(folder, python)
        # The lock files are constraints, so they also fix the versions and hashes of all dependencies.
        install = [uv.program, "pip", "install", "--quiet", "--python", inside, "--require-hashes"]
        install += ["--only-binary", ":all:", "--requirements", "-"] + [
            word for lock in LOCKS for word in ("--constraints", ROOT / lock)
        ]
        subprocess.run(install, input="\n".join(pins()), text=True, cwd=ROOT, env=uv.environment, check=True)
        complete.write_text(wanted)
    return inside


def main() -> None:
    """Run the tests on each Python version found. Exit with an error if a test fails or no version is found."""
    uv = find_installer()
    if not isinstance(uv, Uv):
        raise SystemExit("testing several Python versions needs uv, which is not installed")
    files, running = selected(), {}
    for version in VERSIONS:
        python = find_python(version, uv)
        if python is None:
            print(f"Python {version}: not installed, so not tested", flush=True)
            continue
        print(f"Python {version}: {python}, {len(files)} test files", flush=True)
        command = [make_environment(version, python, uv), "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *files]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        running[version] = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    results = {}
    for version, process in running.items():
        output, _ = process.communicate()
        results[version] = process.returncode
        print(f"Python {version}:\n{output}", flush=True)
    if not results:
        raise SystemExit(f"found none of Python {', '.join(VERSIONS)}; run: {uv.program} python install {VERSIONS[-1]}")
    if failed := [version for version, status in results.items() if status]:
        raise SystemExit(f"tests failed on Python {', '.join(failed)}")
    print(f"the parts that do not need torch work on Python {', '.join(results)}")


if __name__ == "__main__":
    main()
