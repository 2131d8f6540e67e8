"""Check that run records agree with Git about the code, and with the lock files about the packages."""

import functools
import hashlib
import io
import re
import subprocess

from segcert.audit.findings import Evidence, Finding, Findings, finding_unless
from segcert.provenance.code import syntax_digest
from segcert.provenance.digests import value_digest

PLAIN = re.compile(r"[0-9a-f]+:\w[\w./-]*")  # a commit and a path that are safe to pass to Git
SHOWN = 3  # changed files that a finding names
DIRTY = "made from a dirty tree: no commit contains the code and configuration. Commit, then run snakemake again"


def check_code(evidence: Evidence) -> Findings:
    """Check that the code in each run record matches the record's digest and commit."""
    history = History(evidence)
    for job in evidence.lineage.jobs:
        record, output = job.record, job.output
        commit = record["git"]["commit"]
        if value_digest(record["code"]) != record["params"].get("code"):
            yield Finding(output, f"the code in the run record of `{job.name}` does not match its digest")
        elif not job.clean and not commit:
            yield Finding(output, f"`{job.name}` ran outside a Git checkout", broken=False)
        elif not job.clean:
            files = record["git"]["changed"]
            changed = ", ".join(files[:SHOWN])
            if len(files) > SHOWN:
                changed += f" and {len(files) - SHOWN} more"
            where = f"a dirty tree: commit {commit} with changes in {changed}"
            yield Finding(output, f"`{job.name}` ran from {where}", broken=False, shared=DIRTY)
        elif not history.has(commit):
            yield Finding(output, f"`{job.name}` ran from commit {commit}, which this repository lacks", broken=False)
        else:
            for name, digest in record["code"].items():
                same = history.code(commit, f"scripts/{name}") == digest
                message = f"`{job.name}` names commit {commit}, but ran a different version of scripts/{name}"
                yield finding_unless(same, output, message)


def check_environment(evidence: Evidence) -> Findings:
    """Check that the packages and lock files in each run record match the record's digest and commit.

    If the imported version of a package differs from the locked version, the result is a notice.
    """
    history = History(evidence)
    for job in evidence.lineage.jobs:
        record, output = job.record, job.output
        if value_digest(record["environment"]) != record["params"].get("environment"):
            yield Finding(output, f"the packages in the run record of `{job.name}` do not match their digest")
            continue
        if job.clean and history.has(record["git"]["commit"]):
            for lock, sha256 in record["locks"].items():
                same = history.sha256(record["git"]["commit"], lock) == sha256
                yield finding_unless(same, output, f"`{job.name}` ran with a {lock} that is not the one in its commit")
        other = []
        for name, version in record["packages"].items():
            locked = [entry.split()[0] for entry in record["environment"].get(name, version).split(", ")]
            if version not in locked:
                other.append(f"{name} {version} instead of {' or '.join(locked)}")
        message = f"`{job.name}` ran outside the locked environment: {', '.join(other)}"
        yield finding_unless(not other, output, message, broken=False)


class History:
    """Code and lock files in the commits from which jobs ran, read by a single Git process.

    Without Git, the history is empty.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.root = evidence.root
        self.has = functools.cache(self._has)
        wanted = set()
        for job in evidence.lineage.jobs:
            if job.clean:
                commit, scripts = job.record["git"]["commit"], [f"scripts/{name}" for name in job.record["code"]]
                wanted |= {f"{commit}:{path}" for path in (*scripts, *job.record["locks"])}
        names = sorted(name for name in wanted if PLAIN.fullmatch(name) and ".." not in name)
        answers = io.BytesIO(self._run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names)) or b"")
        self._files = {}
        for name in names:
            # For each name, Git writes `<id> blob <size>` and the content, or `<name> missing`.
            match answers.readline().split():
                case [_, kind, size] if size.isdigit():
                    content = answers.read(int(size))
                    answers.readline()
                    if kind == b"blob":
                        self._files[name] = content

    def _has(self, commit: str) -> bool:
        return self._run("cat-file", "-e", f"{commit}^{{commit}}") is not None

    def code(self, commit: str, path: str) -> str | None:
        """Return the digest of the syntax tree of a Python file in a commit, or None if there is no such file."""
        source = self._files.get(f"{commit}:{path}")
        return None if source is None else syntax_digest(source, path)

    def sha256(self, commit: str, path: str) -> str | None:
        """Return the SHA-256 of a file in a commit, or None if there is no such file."""
        content = self._files.get(f"{commit}:{path}")
        return None if content is None else hashlib.sha256(content).hexdigest()

    def _run(self, *arguments: str, stdin: str = "") -> bytes | None:
        command = ["git", *arguments]
        try:
            return subprocess.run(command, cwd=self.root, input=stdin.encode(), capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None
