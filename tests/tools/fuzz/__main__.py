"""Fuzz targets one after another, each in its own process: `python -m tests.tools.fuzz TARGET... --minutes 5`.

One input for each kind of problem is kept in the folder `--findings`, and new inputs are added to the corpus in
`--corpus`. `--record FILE` adds each target's executions, coverage, minutes and findings to a JSON file.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.tools.fuzz.contract import Guard, broken, kind_of, limit_memory, warm_up
from tests.tools.fuzz.sample import keep, kept, sampled
from tests.tools.fuzz.targets import TARGETS

HANG_S, ROOM_MIB = 120, 4000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--minutes", type=float, default=5.0, help="minutes per target")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz/corpus"))
    parser.add_argument("--findings", type=Path, default=Path("build/fuzz/findings"))
    parser.add_argument("--record", type=Path)
    parser.add_argument("--sample", type=int, help="do not fuzz; read the seeds and this number of mutations")
    parser.add_argument("--keep", action="store_true", help="do not fuzz; pack --corpus into the committed corpus")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    names = chosen.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"found {min(unknown)!r}; expected {', '.join(TARGETS)}")
    if chosen.keep:
        keep(chosen.corpus)
        return
    if chosen.sample is not None:
        guard = Guard()
        problems = [problem for name in names for problem in sampled(name, chosen.sample, guard)]
        raise SystemExit("\n".join(problems) or 0)
    if chosen.child:
        fuzz(names[0], chosen.minutes, chosen.corpus / names[0], chosen.findings / names[0])
    found = sum(run(name, chosen) for name in names)
    raise SystemExit(f"{found} new kinds of problems in {chosen.findings}" if found else 0)


def run(name: str, chosen: argparse.Namespace) -> int:
    """Fuzz a target in a new process; return the number of new kinds of problems."""
    start = time.time()
    before = _findings(chosen.findings / name)
    options = ["--minutes", str(chosen.minutes), "--corpus", chosen.corpus, "--findings", chosen.findings]
    command = [sys.executable, "-m", "tests.tools.fuzz", name, "--child", *map(str, options)]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "errors": "replace"}
    done = subprocess.run(command, text=True, check=False, **output)
    executed = re.findall(r"stat::number_of_executed_units: (\d+)|^#(\d+)", done.stdout, re.MULTILINE)
    covered = re.findall(r"cov: (\d+)", done.stdout)
    found = _findings(chosen.findings / name) - before
    result = {
        "target": name,
        "executions": int("".join(executed[-1])) if executed else 0,
        "covered_edges": int(covered[-1]) if covered else 0,
        "minutes": round((time.time() - start) / 60, 2),
        "findings": sorted(found),
    }
    if done.returncode:
        result["ended_with"] = done.returncode
        print(done.stdout[-3000:])
    print(json.dumps(result), flush=True)
    if chosen.record:
        known = json.loads(chosen.record.read_text()) if chosen.record.exists() else []
        chosen.record.write_text(json.dumps([*known, result], indent=1) + "\n")
    return len(found) + bool(done.returncode)


def fuzz(name: str, minutes: float, corpus: Path, findings: Path) -> None:
    """Fuzz a target in this process, and end the process afterwards."""
    import atheris

    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["segcert"]):
        target = TARGETS[name]()
        for seed in (*target.seeds(), *kept(name)):
            (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        for seed in target.seeds():
            warm_up(target, seed)
    guard = Guard()
    limit_memory(ROOM_MIB)
    for path in findings.glob("*.bin"):  # remove findings that have been fixed
        if not broken(target, path.read_bytes(), guard):
            path.unlink()
            path.with_suffix(".txt").unlink(missing_ok=True)
    seen = _findings(findings)

    def once(data: bytes) -> None:
        if (problem := broken(target, data, guard)) and (kind := kind_of(problem)) not in seen:
            seen.add(kind)
            stem = hashlib.sha256(kind.encode()).hexdigest()[:12]
            (findings / f"{stem}.bin").write_bytes(data)
            (findings / f"{stem}.txt").write_text(f"{kind}\n{problem}\n")

    limits = [f"-max_total_time={round(60 * minutes)}", f"-max_len={target.longest}", f"-timeout={HANG_S}"]
    options = ["-rss_limit_mb=0", "-print_final_stats=1", f"-artifact_prefix={findings}/", "-len_control=20"]
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], once)
    atheris.Fuzz()


def _findings(folder: Path) -> set[str]:
    return {path.read_text().partition("\n")[0] for path in folder.glob("*.txt")}


if __name__ == "__main__":
    main()
