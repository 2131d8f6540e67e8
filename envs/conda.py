"""Write the rules' conda files, `envs/<group>.yaml`, from the hash-locked files (`make lock`).

A rule names its group: `conda: software("report")`. A group's file lists Python from conda-forge and, for pip, every
package that the scripts of its rules can import, directly or indirectly, in the locked version. The group `networks`
has one file for each build of torch.

Each requirement lists the hashes of the files that fit Python 3.11 on Linux x86_64, so pip rejects all other files.
Because pip then requires hashes for all packages, it installs no package that the file does not name. The lock files
list the hashes for all platforms. With all of these, a conda file would be fifty times as long, and Snakemake copies
the file into the record of each output.
"""

import functools
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from installer import uv_for_locks
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from segcert.provenance.code import SILENT, CodeFile
from segcert.provenance.environment import locked_environment

ENVS = Path(__file__).parent
ROOT = ENVS.parent
SCRIPTS = ROOT / "scripts"

RUN, CPU, CUDA, DVC = (ENVS / f"lock-{name}.txt" for name in ("run", "torch-cpu", "torch-cuda", "dvc"))
BUILDS = {"cpu": CPU, "cuda": CUDA}
CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON = (3, 11)


def read_rules(rules: Path = ROOT / "rules") -> Iterator[tuple[str, str, str, list[Path]]]:
    """Yield the name, group, script, and modules that may be loaded by name, for each rule that runs a script."""
    for file in sorted(rules.glob("*.smk")):
        for block in re.split(r"^(?=rule )", file.read_text(), flags=re.MULTILINE)[1:]:
            script = re.search(r'"\.\./scripts/(\w+)\.py"', block)
            if script:
                group = re.search(r'^    conda:\n        software\("(\w+)"\)$', block, re.MULTILINE)
                loaded = re.findall(rf'tracked\("{script[1]}", "([^"]+)"', block)
                modules = [path for each in loaded for path in SCRIPTS.glob(re.sub(r"\{[^}]*\}", "*", each))]
                yield block.split()[1].rstrip(":"), group[1] if group else "", script[1], modules


def needed_packages(script: str, loaded: Iterable[Path] = ()) -> set[str]:
    """Return the locked packages that a script imports or starts, or that its log and run record require."""
    needed = set(locked_environment(SCRIPTS / f"{script}.py", *loaded, root=ROOT))
    for module in SILENT:  # imported, but not in the recorded environment, because they cannot change an artifact
        needed |= {canonicalize_name(name) for name in CodeFile.read(SCRIPTS / module).packages}
    return needed & read_lock(DVC, RUN, CUDA).keys()


@functools.cache
def read_lock(*locks: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the version and hashes of each package in the lock files, by canonical name."""
    found = {}
    for lock in locks:
        for name, version, hashes in re.findall(r"^([\w.-]+)==(\S+) ((?:\\\n *--hash=\S+ ?)+)", lock.read_text(), re.M):
            found[canonicalize_name(name)] = version, frozenset(re.findall(r"--hash=(\S+)", hashes))
    return found


def linux_tags() -> frozenset[Tag]:
    """Return the tags of wheels that fit the locked Python on Linux x86_64, with any version of the C library."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(5, 40)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    return frozenset([*cpython_tags(PYTHON, platforms=platforms), *compatible_tags(PYTHON, "cp311", platforms)])


def fitting_hashes(packages: Iterable[str], *locks: Path) -> dict[str, list[str]]:
    """Return the hashes of fitting wheels, or else of the source archive, for packages and their requirements."""
    versions = read_lock(*locks)
    with tempfile.TemporaryDirectory() as folder:
        wanted, pins, output = (Path(folder, name) for name in ("wanted.in", "pins.txt", "pylock.toml"))
        wanted.write_text("\n".join(sorted(packages)) + "\n")
        pins.write_text("".join(f"{name}=={version}\n" for name, (version, _) in versions.items()))
        options = ["--constraint", str(pins), "--format", "pylock.toml", "--no-header", "--output-file", str(output)]
        options += ["--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu"]
        uv_for_locks().compile(str(wanted), *options)
        entries = tomllib.loads(output.read_text())["packages"]
    tags = linux_tags()
    fitting = {}
    for entry in entries:
        wheels = [each for each in entry.get("wheels", []) if _tags(each["url"]) & tags]
        fitting[entry["name"]] = [f"sha256:{each['hashes']['sha256']}" for each in wheels or [entry["sdist"]]]
    return fitting


def _tags(url: str) -> frozenset[Tag]:
    return parse_wheel_filename(url.rsplit("/", 1)[-1].replace("%2B", "+"))[3]


def write(file: Path, packages: dict[str, list[str]], locks: dict[str, tuple[str, frozenset[str]]]) -> None:
    """Write a conda file. Raises SystemExit if the lock files do not contain a package or a hash."""
    lines = []
    for name, hashes in sorted(packages.items()):
        if name not in locks or not locks[name][1].issuperset(hashes):
            raise SystemExit(f"{file.name}: the index and the lock files differ in {name}. Run `make lock` again")
        lines.append(" ".join([f"{name}=={locks[name][0]}", *(f"--hash={each}" for each in sorted(hashes))]))
    if any("+cpu " in line for line in lines):
        lines.insert(0, CPU_INDEX)
    content = {"channels": ["conda-forge", "nodefaults"], "dependencies": ["python=3.11", "pip", {"pip": lines}]}
    text = "# Written by envs/conda.py (`make lock`) from the lock files, for Linux on x86_64.\n"
    file.write_text(text + yaml.safe_dump(content, sort_keys=False, width=float("inf")))


def main() -> None:
    """Write the conda file of each group, or two files if torch is among the group's packages."""
    groups: dict[str, set[str]] = {}
    for rule, group, script, loaded in read_rules():
        if not group:
            raise SystemExit(f'rule {rule}: found no group of packages. Write, for example: conda: software("report")')
        groups.setdefault(group, set()).update(needed_packages(script, loaded))
    of_torch = read_lock(CUDA).keys()
    for group, needed in sorted(groups.items()):
        if "torch" not in needed:
            locks = (DVC, RUN) if "dvc" in needed else (RUN,)
            write(ENVS / f"{group}.yaml", fitting_hashes(needed, *locks), read_lock(*locks))
            continue
        cuda = fitting_hashes(needed, RUN, CUDA)
        shared = {name: hashes for name, hashes in cuda.items() if name not in of_torch}
        builds = {"cuda": cuda, "cpu": shared | {"torch": sorted(read_lock(CPU)["torch"][1])}}
        for build, packages in builds.items():
            write(ENVS / f"{group}-{build}.yaml", packages, read_lock(RUN, BUILDS[build]))


if __name__ == "__main__":
    main()
