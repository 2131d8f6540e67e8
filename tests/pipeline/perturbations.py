"""Changes to a finished run, the jobs that each change reruns, and the audit's verdict.

Each row of the tables in docs/provenance.md is a row here. `make test` runs the rows in `QUICK`, `make test-rest` runs
the others (tests/system/perturbations). Plans and audits run in this process, which saves the imports; the commands
give the same results.
"""

import json
import os
import re

MODEL = "models/segmenter/phantom/unet-clean/model.safetensors"
VOTES = "results/tiny/votes/phantom/unet-clean/none/sigma_0.5/shard_0.npz"
CERTIFICATE = "results/tiny/certificates/phantom/unet-clean/none/sigma_0.5"
ROWS = "results/tiny/certificates.parquet"
IMAGE = "data/prepared/phantom/images/phantom_train_0000.png"
INDEX = "data/prepared/phantom/index.csv"
PAGE = "reports/tiny/index.html"

NOTHING: dict[str, int] = {}
REPORT = dict.fromkeys(("tables", "curves", "summary", "check", "stages", "page", "version_results"), 1)
VIEWER = dict.fromkeys(("denoise_examples", "pictures", "summary", "stages", "page", "version_results"), 1)
AFTER_CERTIFY = REPORT | {"certify": 4, "attack": 4, "collect": 1, "pictures": 1}
TRAINING = {"train_segmenter": 2, "train_denoiser": 1, "segmenter_card": 2, "denoiser_card": 1, "version_models": 1}
SAMPLING = {"sample": 8, "predict": 2, "denoise_examples": 1, "score_denoisers": 1, "measure_costs": 1}
EVERYTHING = AFTER_CERTIFY | TRAINING | SAMPLING
FROM_THE_DATA = EVERYTHING | {"prepare_phantom": 1, "look_at_data": 1, "data_page": 1, "version_data": 1}
AFTER_THE_CLEAN_MODEL = AFTER_CERTIFY | {"sample": 4, "predict": 1, "measure_costs": 1, "certify": 2, "attack": 2}
AFTER_THE_CLEAN_MODEL |= {"segmenter_card": 1, "version_models": 1}


def flip_a_bit(path, position=-20):
    """Change one bit of a file without changing its size or times."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def touch_everything(checkout):
    for path in checkout.files("**/*"):
        if path.is_file() and ".git" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path)


def turn_times_round(checkout):
    """Reverse the order of all file times, so that the newest file becomes the oldest."""
    for age, path in enumerate(sorted(checkout.files("[dmr]*/**/*.*"), key=lambda path: path.stat().st_mtime)):
        os.utime(path, (2e9 - age, 2e9 - age))


def new_module(checkout):
    (checkout.path / "scripts/segcert/certification/unused.py").write_text("VALUE = 1\n")


def edit(file, old, new):
    return lambda checkout: checkout.edit(file, old, new)


def lock(name, change):
    """Return a perturbation that changes a package's entry in the lock files."""

    def perturb(checkout):
        for file in checkout.files("envs/lock-*.txt"):
            text = file.read_text()
            file.write_text(re.sub(rf"^{name}==\S+ (.*)$", change, text, count=1, flags=re.MULTILINE))

    return perturb


def branch_and_back(checkout):
    """Check out a branch with different code, then the original branch; git rewrites the files both times."""
    checkout.git("stash")  # data.dvc
    checkout.git("checkout", "-qB", "other")
    checkout.edit("scripts/segcert/training/loop.py", "MAX_GRADIENT_NORM = 1.0", "MAX_GRADIENT_NORM = 2.0")
    checkout.git("commit", "-qam", "other")
    checkout.git("checkout", "-q", "-")
    checkout.git("stash", "pop")


# Changes that tamper with no artifact: (perturbation, arguments for the plan, jobs that would run again).
# After them, the audit finds no broken link.
HARMLESS = {
    "every file touched": (touch_everything, (), NOTHING),
    "the order of all times reversed": (turn_times_round, (), NOTHING),
    "white space in a module": (
        edit("scripts/segcert/training/loop.py", "MAX_GRADIENT_NORM = 1.0", "MAX_GRADIENT_NORM  =  1.0\n"), (), NOTHING,
    ),
    "a comment in a script": (edit("scripts/certify.py", "from pathlib", "# a comment\nfrom pathlib"), (), NOTHING),
    "a docstring": (edit("scripts/segcert/votes.py", '"""Votes: the counts', '"""The counts'), (), NOTHING),
    "the wording of an error": (
        edit("scripts/segcert/data/prepare.py", "have no counterpart, which", "lack a partner, which"), (), NOTHING,
    ),
    "a module that nothing imports": (new_module, (), NOTHING),
    "a module of another stage": (
        edit("scripts/segcert/single_image/explain.py", "Any", "Any\n\nVALUE = 1\n"), (), NOTHING,
    ),
    "a module that a stage runs": (
        edit("scripts/segcert/certification/multiple_testing.py", "len(histogram) - 1", "len(histogram) - 2 + 1"),
        (), AFTER_CERTIFY,
    ),
    "a module that everything runs": (
        edit("scripts/segcert/io/atomic.py", "import tempfile", "import tempfile\n\nVALUE = 1\n"),
        (), FROM_THE_DATA,
    ),
    "a script": (edit("scripts/predict.py", "with recorded", "VALUE = 1\nwith recorded"), (), {
        **AFTER_CERTIFY, "predict": 2,
    }),
    "a template of the page": (
        edit("scripts/segcert/report/templates/page.html.j2", "Certified segmentation", "Certificates"),
        (), {"page": 1, "version_results": 1},
    ),
    "a key that only the report reads": (None, ("--config", "report={viewer: 30, examples: 1}"), VIEWER),
    "keys that no stage reads": (None, ("--config", "device=cpu", "mirror=elsewhere", "replay=3"), NOTHING),
    "tau": (None, ("--config", "tau=0.7"), AFTER_CERTIFY),
    "n raised": (None, ("--config", "draws=60"), AFTER_CERTIFY | {"sample": 8}),
    "the seed": (None, ("--config", "seed=1"), EVERYTHING),
    "a sigma added": (None, ("--config", "sigmas=[0.25,0.5,1.0]"), AFTER_CERTIFY | {
        "sample": 4, "denoise_examples": 1, "score_denoisers": 1,
    }),
    "a sigma removed": (None, ("--config", "sigmas=[0.5]"), {
        **AFTER_CERTIFY, "denoise_examples": 1, "score_denoisers": 1,
    }),
    "a version in the lock file": (
        lock("numpy", r"numpy==99.0 \1"), (), FROM_THE_DATA,
    ),
    "different hashes in the lock file": (lock("pyarrow", r"pyarrow==26.0.1 --hash=sha256:1234 \1"), (), {
        **AFTER_CERTIFY, "score_denoisers": 1, "measure_costs": 1,
    }),
    "a development tool in the lock file": (lock("ruff", r"ruff==99.0 \1"), (), NOTHING),
    "a comment in the lock file": (
        edit("envs/lock-run.txt", "accelerate==", "# by hand\naccelerate=="), (), NOTHING,
    ),
    "a switch to a different branch and back": (branch_and_back, (), NOTHING),
}  # fmt: skip


def tamper(path, position=-20):
    return lambda checkout: flip_a_bit(checkout.path / path, position)


def edit_record(artifact, **changes):
    """Return a perturbation that changes fields of a record; objects are merged with the existing ones."""

    def perturb(checkout):
        path = checkout.path / f"{artifact}.record.json"
        record = json.loads(path.read_text())
        for name, value in changes.items():
            record[name] = record[name] | value if isinstance(value, dict) else value
        path.write_text(json.dumps(record, indent=2) + "\n")

    return perturb


def delete(path):
    return lambda checkout: (checkout.path / path).unlink()


def write(path, content=b""):
    return lambda checkout: (checkout.path / path).write_bytes(content)


def change_a_number_of_the_page(checkout):
    page = checkout.path / PAGE
    page.write_text(re.sub(r'(data-column="certified_dice">)0\.\d', r"\g<1>0.9", page.read_text(), count=1))


# Changes that break a link: (perturbation, jobs that would run again, first broken link, a file that depends on it).
HARMFUL = {
    "one byte of a model": (tamper(MODEL), AFTER_THE_CLEAN_MODEL, MODEL, PAGE),
    "one byte of a votes file": (
        tamper(VOTES), AFTER_CERTIFY | {"certify": 1, "attack": 1}, VOTES, f"{CERTIFICATE}.npz",
    ),
    "one byte of a certificate": (tamper(f"{CERTIFICATE}.parquet"), {
        "collect": 1, "pictures": 1, **REPORT,
    }, f"{CERTIFICATE}.parquet", ROWS),
    "one byte of certificates.parquet": (tamper(ROWS), REPORT, ROWS, "reports/tiny/tables/main.csv"),
    "one digit of a table": (
        tamper("reports/tiny/tables/main.csv", -10),
        {rule: jobs for rule, jobs in REPORT.items() if rule != "tables"}, "reports/tiny/tables/main.csv", PAGE,
    ),
    "one number on the page": (change_a_number_of_the_page, {"version_results": 1}, PAGE, None),
    "one pixel of a prepared image": (tamper(IMAGE), FROM_THE_DATA, IMAGE, PAGE),
    "a prepared image deleted": (delete(IMAGE), FROM_THE_DATA, IMAGE, PAGE),
    "the index of the data edited": (
        edit(INDEX, "phantom_train_0000,phantom_train_0000,train", "phantom_train_0000,phantom_train_0000,test"),
        EVERYTHING | {"look_at_data": 1, "data_page": 1, "version_data": 1}, INDEX, PAGE,
    ),
    "the seed in a record edited": (edit_record(MODEL, seed=7), NOTHING, MODEL, PAGE),
    "an input in a record edited": (edit_record(MODEL, inputs={INDEX: "0" * 64}), NOTHING, MODEL, PAGE),
    "an output in a record edited": (edit_record(VOTES, outputs={VOTES: "0" * 64}), NOTHING, VOTES, PAGE),
    "code in a record edited": (edit_record(MODEL, code={"segcert/votes.py": "0" * 64}), NOTHING, MODEL, PAGE),
    "the time in a record of results edited": (edit_record(VOTES, seconds=1), NOTHING, VOTES, f"{CERTIFICATE}.npz"),
    "a record deleted": (delete(f"{VOTES}.record.json"), NOTHING, VOTES, f"{CERTIFICATE}.npz"),
    "the record of the page deleted": (delete(f"{PAGE}.record.json"), NOTHING, PAGE, None),
    "a record file that is not a record": (write(f"{VOTES}.record.json", b"{"), NOTHING, VOTES, f"{CERTIFICATE}.npz"),
    "a pointer edited": (edit("models.dvc", "md5: ", "md5: 0"), {"version_results": 1}, "models.dvc", None),
}  # fmt: skip


# One change of each kind: file times, text, code, key, lock file, model, votes, table, record, pointer
QUICK = frozenset({
    "every file touched", "a docstring", "a module that a stage runs", "tau", "a version in the lock file",
    "one byte of a model", "one byte of a votes file", "one digit of a table", "the seed in a record edited",
    "a pointer edited",
})  # fmt: skip
# Changes to the plan's arguments only: nothing on disk changes, so tests can use the shared run.
ASKED = [name for name, (perturb, *_) in HARMLESS.items() if perturb is None]


def in_tier(table, *, quick):
    """Return the names of the rows that a test tier runs on copies of the finished run."""
    return [name for name in table if (name in QUICK) == quick and name not in ASKED]


def check_plan(checkout, name):
    """Assert that a changed key reruns only the jobs that it affects."""
    _, arguments, stale = HARMLESS[name]
    assert checkout.stale(*arguments) == stale


def check_harmless(checkout, names):
    """Assert that each harmless change reruns only the affected jobs, and that all changes together break no link.

    After each change, git restores the edited files. Their content is then the same, but their times are new, and no
    job may be stale.
    """
    for name in names:
        perturb, _, stale = HARMLESS[name]
        perturb(checkout)
        assert checkout.stale() == stale, name
        checkout.git("checkout", "--", "scripts", "envs")
    for name in names:
        HARMLESS[name][0](checkout)
    assert checkout.broken() == set()


def check_harmful(checkout, name):
    """Assert that the audit names a tampered file and the files made from it."""
    perturb, stale, first, below = HARMFUL[name]
    perturb(checkout)
    assert checkout.stale() == stale
    found = checkout.audit()
    assert found.first.path.removesuffix(".record.json") == first
    assert below is None or below in found.downstream
    assert first not in found.downstream
