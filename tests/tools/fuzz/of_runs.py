"""Fuzz audits, diffs and comparisons: run records, Snakemake metadata, DVC pointers, certificates."""

import contextlib
import hashlib
import io
import json

from tests.tools.fuzz.containers import members_of, packed
from tests.tools.fuzz.contract import Target
from tests.tools.fuzz.edits import MARK, edited

SHA = "0" * 64
PAGE, OWN = "reports/run/index.html", "results/run/x.csv.record.json"


def record(output="results/run/x.csv", **changes):
    """Return a run record in the format that jobs write."""
    return {
        "format": "segcert-record-2", "rule": "certify", "wildcards": {"dataset": "phantom", "model": "unet"},
        "params": {"code": SHA, "environment": SHA, "settings": {"tau": 0.75}, "configuration": {"run": "run"}},
        "seed": 0, "threads": 1, "code": {"certify.py": SHA}, "environment": {"numpy": "2.0 abc"},
        "locks": {"envs/lock-run.txt": SHA}, "git": {"commit": "0" * 40, "clean": False, "changed": ["Snakefile"]},
        "python": "3.11", "machine": "Linux", "processor": "x", "started": "2026-01-01T00:00:00+00:00",
        "inputs": {"data/prepared/phantom/index.csv": SHA}, "outputs": {output: SHA}, "driver": None, "device": "cpu",
        "packages": {"numpy": "2.0"}, "ended": "2026-01-01T00:00:01+00:00", "seconds": 1.5, "peak_memory_mib": 100,
        "exit": "finished",
    } | changes  # fmt: skip


def _errors():
    from segcert.provenance.lineage import LineageError
    from segcert.provenance.records import RecordError

    return (LineageError, RecordError)


def records():
    """Return a target that reads run records in an audit, without git and DVC, and in a diff of a run with itself."""
    from segcert.audit.audit import audit
    from segcert.audit.checks.archives import check_archives
    from segcert.audit.checks.code import check_environment
    from segcert.audit.checks.files import check_files, check_indexes, check_links
    from segcert.audit.text import audit_to_text, trace_row
    from segcert.compare.records import diff_records
    from segcert.provenance.lineage import Lineage
    from segcert.provenance.preparation import Preparation
    from segcert.provenance.records import load_record

    chosen = (check_files, check_links, check_indexes, check_archives, check_environment)
    checks = {check.__name__: check for check in chosen}

    def read(path):
        root = path.parents[2]
        (root / "results/run/x.csv").write_text("a\n1\n")
        given = path.read_bytes()
        one, page = edited(held(), given), edited(of_page(), given[:6] + given[18:])
        members = members_of(given) or {OWN: one or given, f"{PAGE}.record.json": page or b""}
        for name in (OWN, f"{PAGE}.record.json"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(members.get(name, b""))
        Preparation(root).write()
        Preparation(root).changed_extra_outputs("results/run/x.csv", missing=True)
        lineage = Lineage.read("run", root)
        assert audit_to_text(audit("run", root, checks))
        assert diff_records(lineage, lineage).same
        for job in lineage.jobs:
            assert job.name
            lineage.upstream(job), lineage.downstream(*job.outputs)
        with contextlib.suppress(*_errors()):
            trace_row(lineage, "phantom/unet/clean/none/0.25")
        load_record(path)

    def held():
        return record(rule="fetch", holds={"data/raw/phantom/a.zip": SHA})

    def of_page():
        return record(PAGE, rule="page", inputs={"results/run/x.csv": SHA})

    def seeds():
        whole = {OWN: json.dumps(held()).encode(), f"{PAGE}.record.json": json.dumps(of_page()).encode()}
        return [json.dumps(record()).encode(), packed(whole), MARK, MARK + bytes(range(24))]

    return Target(read, seeds, _errors(), OWN, named=False, longest=6000)


def trails():
    """Return a target that restores Snakemake metadata packed with results: the list of files, and one record."""
    from base64 import urlsafe_b64encode

    from segcert.provenance.snakemake_metadata import job_artifacts, restore_metadata

    code = urlsafe_b64encode(b"results/run/x.csv").decode()

    def read(path):
        root = path.parents[2]
        (root / "results/run").mkdir(parents=True, exist_ok=True)
        (root / "results/run/x.csv").write_text("a\n1\n")
        members = members_of(path.read_bytes())
        if members:
            path.write_bytes(members.get("contents.json", b""))
            packed_file = root / "results/.trail/snakemake" / code
            packed_file.parent.mkdir(parents=True, exist_ok=True)
            packed_file.write_bytes(members.get("record", b""))
            digests = [hashlib.sha256(each).hexdigest() for each in (b"a\n1\n", members.get("record", b""))]
            contents = path.read_text(errors="replace")
            path.write_text(contents.replace("A" * 64, digests[0]).replace("B" * 64, digests[1]))
        restore_metadata(root)
        job_artifacts(root)

    contents = {"results/run/x.csv": ["A" * 64, "B" * 64, f"snakemake/{code}"]}
    seeds = [packed({"contents.json": json.dumps(contents).encode(), "record": b"{}"}), json.dumps(contents).encode()]
    return Target(read, lambda: seeds, (), "results/.trail/contents.json")


def comparisons():
    """Return a target that compares runs by certificates.parquet and the header of the votes."""
    import pandas as pd

    from segcert.compare.runs import CompareError, read_runs

    def read(path):
        root = path.parents[2]
        (root / "results/b").mkdir(parents=True, exist_ok=True)
        (root / "results/b/certificates.parquet").write_bytes(path.read_bytes())
        for run in read_runs(["a", "b"], root):
            run.settings, run.outdated(), run.table()

    def seeds():
        row = dict.fromkeys(("dataset", "image", "group", "model", "regime", "denoiser", "class_name"), "x")
        row |= {"sigma": 0.25, "tau": 0.75, "alpha": 0.001, "n0": 10, "n": 100, "method": "holm", "k": 1, "class_id": 1}
        row |= dict.fromkeys(
            ("dice", "iou", "vote_dice", "certified_dice", "certified_iou", "worst_case_dice", "abstain"), 0.5
        )
        row |= {"area": 3, "area_low": 1, "area_high": 4, "radius": 0.17, "radius_gray_levels": 5.0}
        buffer = io.BytesIO()
        pd.DataFrame([row, row | {"image": "j"}]).to_parquet(buffer, compression=None)
        return [buffer.getvalue()]

    return Target(read, seeds, (CompareError,), "results/a/certificates.parquet", longest=20000)


def pointers():
    """Return a target that audits DVC pointers in an uncommitted folder."""
    from segcert.audit.checks import dvc as module
    from segcert.audit.findings import Evidence, FreshDigests
    from segcert.provenance.lineage import Lineage

    def read(path):
        root = path.parent
        (root / OWN).parent.mkdir(parents=True, exist_ok=True)
        (root / OWN).write_text(json.dumps(record()))
        evidence = Evidence(Lineage.read("run", root), FreshDigests(root))
        module._committed = lambda *_: None  # the original function would run git
        assert list(module.check_pointers(evidence)) is not None

    seeds = [b"outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  size: 3\n  hash: md5\n  path: results\n"]
    return Target(read, lambda: seeds, _errors(), "results.dvc", named=False)
