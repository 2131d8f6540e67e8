"""Do the records agree with git about the code, and with the lock files about the packages?"""

import functools
import hashlib
import io
import re
import subprocess

from segcert.audit.findings import Evidence, Finding, Findings, finding_unless
from segcert.provenance.code import syntax_digest
from segcert.provenance.digests import value_digest

PLAIN = re.compile(r"[0-9a-f]+:\w[\w./-]*")  # a commit and a path; of other paths git has no files
SHOWN = 3  # changed files that a finding names
DIRTY = "ran from a dirty tree, so no commit holds their code and configuration; commit, then run snakemake again"


def check_code(evidence: Evidence) -> Findings:
    """The code that a job names is the code that its digest stands for, and that its commit holds."""
    history = History(evidence)
    for job in evidence.lineage.jobs:
        record, output = job.record, job.output
        commit = record["git"]["commit"]
        if value_digest(record["code"]) != record["params"].get("code"):
            yield Finding(output, f"the code in the run record of `{job.name}` is not what its digest stands for")
        elif not job.clean and not commit:
            yield Finding(output, f"`{job.name}` ran from outside of a git checkout", broken=False)
        elif not job.clean:
            files = record["git"]["changed"]
            changed = ", ".join(files[:SHOWN])
            if len(files) > SHOWN:
                changed += f" and {len(files) - SHOWN} more"
            where = f"a dirty tree: commit {commit} with changes in {changed}"
            yield Finding(output, f"`{job.name}` ran from {where}", broken=False, shared=DIRTY)
        elif not history.has(commit):
            yield Finding(output, f"`{job.name}` ran from commit {commit}, which git does not know here", broken=False)
        else:
            for name, digest in record["code"].items():
                same = history.code(commit, f"scripts/{name}") == digest
                message = f"`{job.name}` names commit {commit}, which holds another scripts/{name} than ran"
                yield finding_unless(same, output, message)


def check_environment(evidence: Evidence) -> Findings:
    """The packages that a job names are those its digest stands for, its lock files those of its commit.

    Packages that were imported in another version than the locked one are a notice.
    """
    history = History(evidence)
    for job in evidence.lineage.jobs:
        record, output = job.record, job.output
        if value_digest(record["environment"]) != record["params"].get("environment"):
            yield Finding(output, f"the packages in the record of `{job.name}` are not what their digest stands for")
            continue
        if job.clean and history.has(record["git"]["commit"]):
            for lock, sha256 in record["locks"].items():
                same = history.sha256(record["git"]["commit"], lock) == sha256
                yield finding_unless(same, output, f"`{job.name}` ran with another {lock} than its commit holds")
        other = []
        for name, version in record["packages"].items():
            locked = [entry.split()[0] for entry in record["environment"].get(name, version).split(", ")]
            if version not in locked:
                other.append(f"{name} {version} instead of {' or '.join(locked)}")
        message = f"`{job.name}` ran outside of the locked environment: {', '.join(other)}"
        yield finding_unless(not other, output, message, broken=False)


class History:
    """The code and the lock files of the commits that jobs ran from, by one process of git; nothing without git."""

    def __init__(self, evidence: Evidence) -> None:
        self.root = evidence.root
        self.has = functools.cache(self._has)
        wanted = set()
        for job in evidence.lineage.jobs:
            if job.clean:
                commit, scripts = job.record["git"]["commit"], [f"scripts/{name}" for name in job.record["code"]]
                wanted |= {f"{commit}:{path}" for path in (*scripts, *job.record["locks"])}
        names = sorted(name for name in wanted if PLAIN.fullmatch(name) and ".." not in name)
        answers = io.BytesIO(self._run("cat-file", "--batch", said="".join(f"{name}\n" for name in names)) or b"")
        self._files = {}
        for name in names:
            # Git answers each with `<id> blob <size>` and the content, or with `<name> missing`.
            match answers.readline().split():
                case [_, kind, size] if size.isdigit():
                    content = answers.read(int(size))
                    answers.readline()
                    if kind == b"blob":
                        self._files[name] = content

    def _has(self, commit: str) -> bool:
        return self._run("cat-file", "-e", f"{commit}^{{commit}}") is not None

    def code(self, commit: str, path: str) -> str | None:
        """Digest of the syntax tree of a Python file of a commit."""
        source = self._files.get(f"{commit}:{path}")
        return None if source is None else syntax_digest(source, path)

    def sha256(self, commit: str, path: str) -> str | None:
        """SHA-256 of a file of a commit."""
        content = self._files.get(f"{commit}:{path}")
        return None if content is None else hashlib.sha256(content).hexdigest()

    def _run(self, *arguments: str, said: str = "") -> bytes | None:
        command = ["git", *arguments]
        try:
            return subprocess.run(command, cwd=self.root, input=said.encode(), capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None
