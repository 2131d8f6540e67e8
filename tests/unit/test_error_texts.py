"""The text of errors and log messages reaches no artifact, so that rewording makes nothing stale.

Code digests leave this text out (`segcert.provenance.code`). That is correct only while the text of an error ends in
another error, in a log, on a terminal or in an audit. These tests look at every use of a caught error. That artifacts
have the same bytes after a rewording is tested in tests/system/determinism.
"""

import ast
import shutil
from pathlib import Path

from tests.support.rewording import reword

from segcert.provenance.code import CodeFile

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Number of uses of a caught error outside `raise` and log messages, by module. A person has read each of them: none
# puts the text of an error into an artifact.
SEEN = {
    "cli.py": 3,  # on a terminal
    "config/schema.py": 1,  # into an error
    "data/dataset.py": 1,  # into an error
    "data/download.py": 4,  # into an error; how long to wait
    "data/fetch.py": 1,  # into an error
    "data/prepare.py": 1,  # all errors are raised as one
    "io/atomic.py": 3,  # into an error
    "io/json_models.py": 1,  # into an error
    "networks/diffusion_unet.py": 1,  # of diffusers, into an error
    "networks/noise_schedule.py": 1,  # of diffusers, into an error
    "networks/checkpoints.py": 3,  # names of foreign types, in torch's text
    "networks/exported.py": 1,  # of torch, into an error
    "networks/probe.py": 1,  # of torch, into an error
    "plan/snakemake_plan.py": 1,  # on a terminal
    "provenance/code.py": 1,  # an error gets the name of its file
    "provenance/recording.py": 1,  # into the record of a failed job, next to its log
    "provenance/staleness.py": 1,  # about an invalid run record, which is ignored
    "smoothing/sampler.py": 1,  # of torch, into an error
    "training/launch.py": 1,  # on a terminal
    # Findings of audits: checks.json, which a job writes, leaves out `Finding.error` (`Audit.as_artifact`).
    "audit/audit.py": 1,
    "audit/checks/archives.py": 1,
    "audit/checks/certificates.py": 1,
    "audit/checks/dvc.py": 2,
    "audit/checks/files.py": 1,
    "audit/checks/tables.py": 2,  # one is of pandas
}
BRANCHES = ("isinstance", "ran_out_of_memory")  # functions that test the kind of an error


def statement_of(node, parents):
    """Return the innermost statement around a node; None in a raise, a log message or a test of the error's kind."""
    while True:
        parent = parents[node]
        if isinstance(parent, ast.Raise):
            return None
        if isinstance(parent, ast.Call) and ast.unparse(parent.func).startswith(("log.", *BRANCHES)):
            return None
        if isinstance(parent, ast.stmt):
            return parent
        node = parent


def uses(path):
    """Yield the statements that use a caught error other than in a raise, a log message or a test of its kind."""
    tree = ast.parse(path.read_bytes())
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
            continue
        for name in ast.walk(handler):
            if isinstance(name, ast.Name) and name.id == handler.name:
                statement = statement_of(name, parents)
                if statement is not None and not isinstance(statement, ast.If):
                    yield ast.unparse(statement)


def test_the_text_of_an_error_reaches_no_artifact():
    library = SCRIPTS / "segcert"
    found = {path.relative_to(library).as_posix(): list(uses(path)) for path in library.rglob("*.py")}
    for module, statements in found.items():
        assert len(statements) == SEEN.get(module, 0), (
            f"{module}: follow these texts, then count them in SEEN: {statements}"
        )
    assert SEEN.keys() <= found.keys()


def test_rewording_does_not_change_the_digest_of_a_module(tmp_path):
    copy = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert reword(copy) > 400
    files = [path.relative_to(SCRIPTS) for path in SCRIPTS.rglob("*.py")]
    before = {name: CodeFile.read(SCRIPTS / name) for name in files}
    after = {name: CodeFile.read(copy / name) for name in files}
    assert [name for name in files if after[name].digest != before[name].digest] == []
    assert sum(after[name].full_digest != before[name].full_digest for name in files) > 60
