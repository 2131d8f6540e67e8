"""Set up an environment of this checkout from hash-locked files, for `make env`, `make dvc` and similar targets.

- `run`, in `.venv`: the pipeline's packages and `segcert`; `--torch` chooses the build of torch.
- `dvc`, in `.venv-dvc`: only DVC.
- `dev`, in `.venv-dev`: tests and lint, on top of `.venv`.
- `cluster`, in `.venv-cluster`: Snakemake's plugins, on top of `.venv`.
- `checkers`, in `.venv-checkers`: programs that check the files that segcert writes.

The file `complete` in the folder is written last and marks the environment as complete.

This program uses only the standard library and runs on Python 3.9 and later.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from installer import ENVS, ROOT, Uv, find_installer

PYTHON = "3.11"
RUN = ROOT / ".venv"
FOLDERS = {"run": RUN, **{name: ROOT / f".venv-{name}" for name in ("dvc", "dev", "cluster", "checkers")}}
ON_TOP = {"dev", "cluster"}  # environments on top of .venv
PROGRAMS = ("segcert", "snakemake")  # programs of .venv that environments on top of .venv also provide

# Modules that jobs import are compiled during setup; otherwise, if Python cannot write bytecode, each job compiles them
# again. Compiling all modules of the packages would take another 350 MB and another minute.
COMPILED = {
    "run": (
        "accelerate, monai.losses, safetensors.torch, torch; from diffusers import DDPMScheduler, UNet2DModel",
        "jinja2, matplotlib.backends.backend_agg, matplotlib.backends.backend_pdf, matplotlib.backends.backend_svg, "
        "matplotlib.figure, networkx, pandas, psutil, py7zr, pyarrow.parquet, pydantic, pydicom, requests, "
        "rocrate.rocrate, scipy.ndimage, scipy.spatial, scipy.stats, skimage.metrics, skimage.restoration, "
        "snakemake.api, snakemake.cli, tifffile, tqdm, typer",
    ),
    "dvc": ("dvc.api, dvc.cli.parser, dvc_s3",),
}
UNUSED = ("torch/test", "torch/bin/test_*", "torch/bin/*Test", "torch/bin/protoc*")  # torch's own tests in C++: 130 MB


def lock_file(name):
    """Return the path of a lock file."""
    return ENVS / f"lock-{name}.txt"


def find_python(asked, installer):
    """Return a Python of the locked version: as requested, on the PATH, or else found or downloaded by uv."""
    if asked:
        found = version(asked)
        if found != PYTHON:
            what = f"Python {found}" if found else "not a Python"
            raise SystemExit(f"PYTHON={asked} is {what}; expected Python {PYTHON}")
        return asked
    for name in (f"python{PYTHON}", "python3"):
        path = shutil.which(name)
        if path and version(path) == PYTHON:
            return path
    path = installer.find_python(PYTHON) if isinstance(installer, Uv) else None
    if path is None:
        raise SystemExit(
            f"Python {PYTHON} was not found and could not be downloaded. Install it (conda create -n py311 -c "
            f"conda-forge python={PYTHON}), then run: make env PYTHON=/path/to/python{PYTHON}"
        )
    return path


def version(python):
    """Return the major and minor version of a Python interpreter; None if the program is not an interpreter."""
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def install_run(installer, folder, torch):
    """Install segcert and a build of torch into .venv (auto: the CPU build if available, otherwise CUDA)."""
    builds = ["cpu", "cuda"] if torch == "auto" else [torch]
    for build in builds:
        try:
            installer.install(folder, lock_file("run"), lock_file(f"torch-{build}"), compiled=False)
            break
        except subprocess.CalledProcessError:
            if build == builds[-1]:
                raise
            print("The CPU build of torch is not available here (see above). Installing the CUDA build.", flush=True)
    installer.install_checkout(folder)


def compile_imported(folder, groups):
    """Import the modules that jobs use, in one process per group, so that Python stores the bytecode."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    commands = [[str(folder / "bin/python"), "-I", "-c", f"import {group}"] for group in groups]
    running = [subprocess.Popen(command, env=environment) for command in commands]
    for command, process in zip(commands, running):  # noqa: B905 (Python 3.9 has no `strict`)
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)


def trim(folder):
    """Delete files that no job needs."""
    for pattern in UNUSED:
        for path in folder.glob(f"lib/python3*/site-packages/{pattern}"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def see_run(folder):
    """Make the packages of .venv, and the programs `segcert` and `snakemake`, available in an environment."""
    below, (own,) = next(RUN.glob("lib/python3*/site-packages")), folder.glob("lib/python3*/site-packages")
    Path(own, "segcert.pth").write_text(f"import site; site.addsitedir({str(below)!r})\n")
    for name in PROGRAMS:
        program = folder / "bin" / name
        program.write_text((RUN / "bin" / name).read_text().replace(f"{RUN}/bin/", f"{folder}/bin/"))
        program.chmod(0o755)


def keep_cache_private(folder):
    """Make DVC store the files that it unpickles in a private folder, even if users run DVC (SECURITY.md)."""
    cache = str(ROOT / ".dvc/tmp/site-cache")
    (own,) = folder.glob("lib/python3*/site-packages")
    variable = f"os.environ.setdefault('DVC_SITE_CACHE_DIR', {cache!r})"
    Path(own, "segcert.pth").write_text(f"import os; {variable}; os.makedirs({cache!r}, 0o700, exist_ok=True)\n")


def set_up(name, asked, torch):
    """Set up an environment from scratch, and finally mark it as complete."""
    folder = FOLDERS[name]
    installer = find_installer()
    python = str(RUN / "bin/python") if name in ON_TOP else find_python(asked, installer)
    print(f"Setting up {folder.name} with {installer.name}", flush=True)
    (folder / "complete").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    installer.create(folder, python)
    if name == "run":
        install_run(installer, folder, torch)
        trim(folder)
    else:
        installer.install(folder, lock_file(name), compiled=name not in COMPILED)
    if name in ON_TOP:
        see_run(folder)
    if name == "dvc":
        keep_cache_private(folder)
    compile_imported(folder, COMPILED.get(name, ()))
    (folder / "complete").write_text(f"{torch}\n" if name == "run" else "")


def main():
    """Read the command line and set up the environment. Errors of uv and pip are printed by these programs."""
    parser = argparse.ArgumentParser(description="Set up an environment of this checkout from its hash-locked files.")
    parser.add_argument("name", choices=FOLDERS)
    parser.add_argument("--torch", choices=("auto", "cpu", "cuda"), default="auto", help="build of torch in .venv")
    parser.add_argument(
        "--python", help=f"path of Python {PYTHON}; default: on the PATH, or else found or downloaded by uv"
    )
    arguments = parser.parse_args()
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        raise SystemExit(
            f"The locked packages are for Linux on x86_64 and Arm, but this is {platform.system()} on "
            f"{platform.machine()}. Run segcert in a container (docs/how-to/environments.md)"
        )
    try:
        set_up(arguments.name, arguments.python, arguments.torch)
    except subprocess.CalledProcessError as error:
        program = Path(error.cmd[0]).name
        raise SystemExit(
            f"The environment {arguments.name} was not set up, because {program} failed (see above)"
        ) from None


if __name__ == "__main__":
    main()
