import datetime
import errno
import json
import os
import resource
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from segcert.io.atomic import atomic_file, atomic_folder
from segcert.provenance.code import SILENT, code_digest, import_closure, target_digest
from segcert.provenance.digests import CACHE, DigestCache, array_digest, file_digest
from segcert.provenance.recording import recorded
from segcert.provenance.records import read_record, record_path


def test_a_file_is_complete_or_absent(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with pytest.raises(RuntimeError), atomic_file(target) as path:
        path.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with atomic_file(target) as path:
        path.write_text("whole")
    assert target.read_text() == "whole"


def test_an_error_leaves_the_old_file(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(target) as path:
        path.write_text("new")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_folder_replaces_the_old_one(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(RuntimeError), atomic_folder(target) as path:
        (path / "new").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]
    with atomic_folder(target) as path:
        (path / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from segcert.votes import Votes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
counts = np.zeros((2, 300, 300), np.uint16)
counts[0] = np.random.default_rng(0).integers(0, 60000, (300, 300))
counts[1] = 60000 - counts[0]
Votes(counts, counts, 0.5).save(sys.argv[2])
"""


def test_a_full_disk_leaves_no_half_written_file(tmp_path, scripts):
    """The kernel limits files to 20 kB, which has the effect of a full disk."""
    target = tmp_path / "votes.npz"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, scripts, target], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert str(target) in done.stderr, done.stderr
    assert "nothing was written" in done.stderr
    assert list(tmp_path.iterdir()) == []


class RustError(Exception):
    """An error like those of safetensors, with the error number only in its text."""


def refused_by_rust():
    raise RustError("Error while serializing: I/O error: No space left on device (os error 28)")


def refused_by_torch():
    try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")  # noqa: B904


@pytest.mark.parametrize("refused", [refused_by_rust, refused_by_torch])
@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_a_full_disk_is_named_whichever_library_noticed_it(tmp_path, refused, atomic):
    target = tmp_path / "weights"
    with pytest.raises(OSError, match="No space left on device; nothing was written") as caught, atomic(target):
        refused()
    assert "free some space there" in str(caught.value)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(target))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shared", [True, False])
def test_new_folder_keeps_the_group_of_a_shared_folder(tmp_path, shared):
    (tmp_path / "results").mkdir()
    (tmp_path / "results").chmod(0o2775 if shared else 0o775)
    for _ in range(2):  # a new folder, then one that replaces it
        with atomic_folder(tmp_path / "results/votes") as folder:
            (folder / "new").mkdir()
    assert bool((tmp_path / "results/votes").stat().st_mode & stat.S_ISGID) == shared
    assert bool((tmp_path / "results/votes/new").stat().st_mode & stat.S_ISGID) == shared


def test_an_error_about_another_file_is_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_file(tmp_path / "file.txt"):
        (tmp_path / "other.txt").read_text()
    assert caught.value.filename == str(tmp_path / "other.txt")
    assert "nothing was written" not in str(caught.value)


def test_digests_work_without_a_writable_cache(tmp_path):
    file = tmp_path / "file"
    file.write_text("1")
    (tmp_path / CACHE).parent.touch()  # a file where the folder should be
    assert DigestCache(tmp_path).digest(file) == file_digest(file)


def test_different_values_have_different_digests(tmp_path):
    array = np.arange(6, dtype=np.float32)
    assert array_digest(array) == array_digest(array.copy())
    assert array_digest(array) != array_digest(array.reshape(2, 3))
    assert array_digest(array) != array_digest(array.astype(np.float64))
    (tmp_path / "a").write_text("1")
    (tmp_path / "a").write_text("2")
    assert file_digest(tmp_path / "a") == "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"


USED = '''"""Used."""
from segcert import deeper, log


def f(x):
    log.info("adding one to %d", x)
    if x in ("two", 2):
        raise ValueError(f"{x!r} is refused at {len('there')}")
    said = log.info("a value")
    return x + 1
'''


@pytest.fixture
def project(tmp_path):
    """A script and a library of three modules, one of which is not imported."""
    library = tmp_path / "segcert"
    library.mkdir()
    (library / "__init__.py").write_text("")
    (library / "used.py").write_text(USED)
    (library / "deeper.py").write_text("VALUE = 1\n")
    (library / "dead.py").write_text("VALUE = 1\n")
    (tmp_path / "stage.py").write_text("from segcert.used import f\n\nf(1)\n")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("segcert/used.py", "x + 1", "x + 2", True),
        ("segcert/deeper.py", "1", "2", True),
        ("stage.py", "f(1)", "f(2)", True),
        ("segcert/used.py", "x + 1", "(x  +  1)  # a comment", False),
        ("segcert/used.py", '"""Used."""', '"""Another docstring."""', False),
        ("segcert/used.py", '"""Used."""\n', "", False),
        ("segcert/dead.py", "1", "2", False),
        ("segcert/used.py", "is refused", "cannot be taken", False),
        ("segcert/used.py", "adding one to %d", "one more than %d", False),
        ("segcert/used.py", "{x!r} is", "{x + 1!r} is", True),
        ("segcert/used.py", 'to %d", x', 'to %d", x + 1', True),
        ("segcert/used.py", "ValueError", "KeyError", True),
        ("segcert/used.py", '"two"', '"three"', True),
        ("segcert/used.py", "a value", "another value", True),
    ],
)
def test_the_code_digest_covers_exactly_the_code_that_runs(project, file, old, new, counts):
    before = code_digest(project / "stage.py")
    path = project / file
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    assert (code_digest(project / "stage.py") != before) == counts


def test_the_code_digest_does_not_depend_on_size_and_time(project):
    path = project / "stage.py"
    before, status = code_digest(path), path.stat()
    text = path.read_text()
    assert "import" in text
    path.write_text(text + "A = 1\n")
    changed = code_digest(path)
    path.write_text(text + "A = 2\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len({before, changed, code_digest(path)}) == 3


def test_a_syntax_error_names_the_file(project):
    (project / "stage.py").write_text("def half(:\n")
    with pytest.raises(SyntaxError) as caught:
        code_digest(project / "stage.py")
    assert caught.value.filename == str(project / "stage.py")


def test_imports_inside_functions_count(project):
    (project / "stage.py").write_text("def f():\n    import segcert.dead\n")
    assert "segcert/dead.py" in import_closure(project / "stage.py")


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("certify", "segcert/certification/certificate.py", "segcert/training/loop.py"),
        ("train_segmenter", "segcert/training/loop.py", "segcert/certification/certificate.py"),
        ("train_segmenter", "segcert/networks/registry.py", "segcert/networks/unet.py"),
        ("sample", "segcert/smoothing/noise.py", "segcert/certification/certificate.py"),
        ("page", "segcert/report/page.py", "segcert/smoothing/noise.py"),
        ("look_at_data", "segcert/report/data_figures.py", "segcert/certification/certificate.py"),
        ("data_page", "segcert/report/data_page.py", "segcert/certification/certificate.py"),
        ("prepare_release", "segcert/data/prepare.py", "segcert/data/phantom.py"),
        ("prepare_phantom", "segcert/data/phantom.py", "segcert/data/release.py"),
        ("fetch", "segcert/data/download.py", "segcert/data/prepare.py"),
    ],
)
def test_import_closures_of_the_real_scripts(scripts, rule, inside, outside):
    closure = import_closure(scripts / f"{rule}.py")
    assert inside in closure
    assert outside not in closure
    assert "segcert/config/schema.py" not in closure
    assert not SILENT & set(closure)


def test_a_module_loaded_by_name_counts_with_its_imports(scripts):
    closure = import_closure(scripts / "prepare_release.py", scripts / "segcert/data/sets/jsrt.py")
    assert {"segcert/data/sets/jsrt.py", "segcert/data/release.py"} <= set(closure)
    assert "segcert/data/sets/isic2018.py" not in closure
    digests = {code_digest(scripts / "prepare_release.py", scripts / f"segcert/data/sets/{name}.py")
               for name in ("jsrt", "isic2018")}  # fmt: skip
    assert len(digests) == 2


def test_the_import_closure_of_a_job_is_small_and_has_only_its_own_network(scripts):
    closure = import_closure(scripts / "sample.py", scripts / "segcert/networks/deeplabv3plus.py")
    assert {"segcert/networks/deeplabv3plus.py", "segcert/networks/resnet.py"} <= set(closure)
    assert "segcert/networks/unet.py" not in closure
    assert len(import_closure(scripts / "sample.py")) <= 36


def test_a_module_without_statements_does_not_count(project):
    (project / "segcert/io").mkdir()
    (project / "segcert/io/__init__.py").write_text('"""Files."""\n')
    (project / "segcert/io/text.py").write_text("VALUE = 1\n")
    (project / "stage.py").write_text("from segcert.io.text import VALUE\n")
    assert sorted(import_closure(project / "stage.py")) == ["segcert/io/text.py", "stage.py"]
    (project / "segcert/io/__init__.py").write_text("VALUE = 2\n")
    assert "segcert/io/__init__.py" in import_closure(project / "stage.py")


def job(tmp_path, **changes):
    (tmp_path / "in").write_text("1")
    names = {"rule": "stage", "wildcards": {"sigma": "0.5"}, "params": {"code": "abc", "seed": 3}}
    names |= {"input": [tmp_path / "in"], "output": [tmp_path / "out"], "threads": 1, "log": [], "scriptdir": tmp_path}
    return SimpleNamespace(**(names | changes))


@pytest.mark.parametrize("seconds", [-86400, 365 * 86400], ids=["back", "forward"])
def test_durations_do_not_depend_on_the_system_clock(tmp_path, monkeypatch, seconds):
    with recorded(job(tmp_path)):
        (tmp_path / "out").write_text("2")
        clock = time.time
        monkeypatch.setattr(time, "time", lambda: clock() + seconds)
    record = read_record(tmp_path / "out")
    lived = clock() - psutil.Process().create_time()
    assert 0 < record["seconds"] <= lived + 1
    started, ended = (datetime.datetime.fromisoformat(record[name]) for name in ("started", "ended"))
    assert 0 <= (ended - started).total_seconds() <= lived + 1


def test_a_full_disk_does_not_hide_the_error_of_a_job(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "out.record.json")

    monkeypatch.setattr("segcert.provenance.recording._write", full)
    with pytest.raises(SystemExit, match="rule stage: what was wrong"), recorded(job(tmp_path, log=[tmp_path / "log"])):
        raise ValueError("what was wrong")


def test_a_record_contains_inputs_outputs_and_environment(tmp_path):
    with recorded(job(tmp_path)) as found:
        (tmp_path / "out").write_text("2")
        found["device"] = "cpu"
    record = read_record(tmp_path / "out")
    assert record["inputs"] == {str(tmp_path / "in"): file_digest(tmp_path / "in")}
    assert record["outputs"] == {str(tmp_path / "out"): file_digest(tmp_path / "out")}
    assert (record["rule"], record["params"]["seed"], record["device"]) == ("stage", 3, "cpu")
    assert record["packages"]["numpy"] == np.__version__
    assert record["seconds"] > 0
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    assert record["peak_memory_mib"] <= peak / 1024 + 1
    assert set(record["git"]) == {"commit", "clean", "changed"}
    json.dumps(record)


def test_a_record_replaces_older_ones_and_does_not_read_those_of_other_shards(tmp_path, monkeypatch):
    for sigmas in (["0.25", "0.5"], ["0.5"]):
        outputs = [tmp_path / f"seven_{sigma}" for sigma in sigmas]
        with recorded(job(tmp_path, wildcards={"shard": "seven"}, output=outputs)):
            for output in outputs:
                output.write_text("2")
    assert not record_path(tmp_path / "seven_0.25").exists(), "its artifact has another record"
    record_path(tmp_path / "eight_0.5").write_text("of another shard")
    monkeypatch.setattr("segcert.provenance.recording.load_record", lambda path: pytest.fail(f"{path} was read"))
    with recorded(job(tmp_path, wildcards={"shard": "seven"}, output=outputs)):
        pass
    assert sorted(path.name[:9] for path in tmp_path.glob("*.record.json")) == ["eight_0.5", "seven_0.5"]


def test_a_failed_job_gives_its_reason_in_one_line_and_writes_no_record(tmp_path):
    log = tmp_path / "log.txt"
    with pytest.raises(SystemExit, match="segcert: rule stage: too bad"), recorded(job(tmp_path, log=[log])):
        raise ValueError("too bad")
    assert not record_path(tmp_path / "out").exists()
    assert "Traceback" in log.read_text()


def test_user_supplied_code_counts_and_is_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "our_networks"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "lungs.py").write_text("class LungNet: ...\n")
    (tmp_path / "single.py").write_text("class Net: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    digests = [target_digest("our_networks.lungs:LungNet"), target_digest("single:Net")]
    assert all(digests)
    assert digests[0] != digests[1]
    (package / "lungs.py").write_text("class LungNet: depth = 3\n")
    assert target_digest("our_networks.lungs:LungNet") != digests[0]
    (tmp_path / "single.py").write_text("class Net: ...  # a comment\n")
    assert target_digest("single:Net") == digests[1]
    words = set()
    for text in ("1", "2"):  # user-supplied code may read its own errors
        (tmp_path / "single.py").write_text(
            f"try:\n    raise ValueError('{text}')\nexcept ValueError as error:\n    n = str(error)\n"
        )
        words.add(target_digest("single:Net"))
    assert len(words) == 2
    for installed_or_missing in ("monai.networks.nets:UNet", "no_such_package:Net", "our_networks.other:Net"):
        assert target_digest(installed_or_missing) is None


def test_imports_of_user_supplied_code_count(tmp_path, monkeypatch):
    """Imports start from the folder that contains the package, with or without __init__.py."""
    package = tmp_path / "our_package"
    package.mkdir()
    (package / "networks.py").write_text("from our_package.blocks import Block\nimport neighbour\n")
    monkeypatch.syspath_prepend(tmp_path)
    digests = set()
    for change in ("", "depth = 3\n"):
        for imported in (package / "blocks.py", tmp_path / "neighbour.py"):
            imported.write_text(f"class Block: ...\n{change}")
            digests.add(target_digest("our_package.networks:Net"))
    assert len(digests) == 4, "the new neighbour and both changes count"
    assert None not in digests
