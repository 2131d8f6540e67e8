"""Foreign files: readers return what was written, or raise their own error with the name of the file.

These tests take samples; `python -m tests.tools.fuzz` searches for more (SECURITY.md).
"""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tools.fuzz.edits import MARK, edited
from tests.tools.fuzz.of_documents import document
from tests.tools.fuzz.of_runs import record
from tests.tools.fuzz.of_votes import example_radii, example_votes

from segcert.audit.checks.dvc import check_pointers
from segcert.audit.findings import Evidence, FreshDigests
from segcert.data.dataset import PreparedDataset, Row, read_index, write_index
from segcert.data.decode import decode, decode_binary
from segcert.data.errors import DataError
from segcert.data.manifest import read_manifest
from segcert.io.arrays import ArraysError, StoredArrays, save_arrays
from segcert.io.json_files import parse_json
from segcert.io.progress import printable
from segcert.networks.folders import ModelError
from segcert.networks.registry import load_segmenter
from segcert.provenance.digests import file_digest
from segcert.provenance.ledger import ABOUT, SETTINGS, Ledger
from segcert.provenance.lineage import Lineage
from segcert.provenance.records import RecordError, load_record
from segcert.provenance.snakemake_metadata import restore_metadata
from segcert.provenance.staleness import MisplacedRecordError, find_records
from segcert.results.radius_rows import load_radii
from segcert.single_image.schema import DocumentError, read_certificate
from segcert.votes import Votes, VotesError, load_votes, save_votes

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ANY = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=30)
NAMES = ANY.filter(lambda name: not any(char < " " or char in "\x7f" for char in name))


def refused(read, error):
    """Return what was read, or the error."""
    try:
        return read()
    except error as refusal:
        return refusal


def same_or_refused(path, content, read, expected, error):
    """Assert that bytes in place of a file give what was written, or an error that names the file."""
    path.write_bytes(content)
    refusal = refused(lambda: read(path) == expected, error)
    assert refusal is True or path.name in str(refusal)
    return refusal is not True


def test_truncated_votes_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    save_votes(path, {"one": example_votes()})
    whole, digest = path.read_bytes(), example_votes().digest
    cuts = [*range(0, len(whole), 7), *range(len(whole) - 80, len(whole))]
    refused = [
        same_or_refused(path, whole[:k], lambda p: load_votes(p)["one"].digest, digest, VotesError) for k in cuts
    ]
    assert sum(refused) >= len(cuts) - 1


@FEW
@given(st.data())
def test_flipped_bytes_of_votes_and_radii_are_noticed(tmp_path, data):
    save_votes(tmp_path / "a.npz", {"one": example_votes()})
    example_radii(tmp_path / "a.radii.npz")
    for name, read, error in (
        ("a.npz", lambda p: load_votes(p)["one"].digest, VotesError),
        ("a.radii.npz", lambda p: load_radii(p).radii_of("one").tolist(), ArraysError),
    ):
        path = tmp_path / name
        expected, content = read(path), bytearray(path.read_bytes())
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3, unique=True)):
            content[place] ^= data.draw(st.integers(1, 255))
        try:
            same_or_refused(path, bytes(content), read, expected, error)
        except KeyError:  # the name of the image was changed
            assert name == "a.radii.npz"


@FEW
@given(st.dictionaries(ANY, st.integers(0, 255), min_size=1, max_size=5))
def test_arrays_can_have_any_name(tmp_path, values):
    arrays = {name: np.full((2, 2), value, np.uint8) for name, value in values.items()}
    save_arrays(tmp_path / "a.npz", arrays)
    with StoredArrays(tmp_path / "a.npz") as stored:
        assert {name: int(stored[name][0, 0]) for name in stored} == values


@pytest.mark.parametrize("name", ["file", "allow_pickle", "a.npy", "x"])
def test_an_image_can_be_named_like_an_argument_of_numpy(tmp_path, name):
    save_arrays(tmp_path / "a.npz", {name: np.ones(2), "x.npy": np.zeros(2)})
    with StoredArrays(tmp_path / "a.npz") as stored:
        assert set(stored) == {name, "x.npy"}
        assert stored[name].sum() == 2


def npz(path, header, content=b"\0" * 64, compression=zipfile.ZIP_DEFLATED):
    """Write a file of one array with an arbitrary header."""
    text = (header if isinstance(header, str) else repr(header)).encode().ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content)
    return path


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}, "found 64 bytes; expected 8796093022208"),
        ({"descr": "<f8", "fortran_order": False, "shape": (-8, -1)}, "a:"),
        ({"descr": "|O", "fortran_order": False, "shape": (8,)}, "expected numbers or text"),
        ({"descr": [("a", "<f8")], "fortran_order": False, "shape": (8,)}, "expected numbers or text"),
        ({"descr": "<f8"}, "keys"),
        ("(" * 90, "a:"),
    ],
)
def test_false_array_headers_are_refused(tmp_path, header, message):
    with StoredArrays(npz(tmp_path / "a.npz", header)) as stored, pytest.raises(ArraysError, match=message) as refusal:
        stored["a"]
    assert "a.npz" in str(refusal.value)


def test_an_array_larger_than_free_memory_is_refused(tmp_path, monkeypatch):
    save_arrays(tmp_path / "a.npz", {"a": np.zeros(1000)})
    memory = type("Memory", (), {"available": 7999})
    monkeypatch.setattr("segcert.io.arrays.psutil.virtual_memory", lambda: memory)
    with StoredArrays(tmp_path / "a.npz") as stored, pytest.raises(ArraysError, match="more than the free memory"):
        stored["a"]


def test_votes_with_inconsistent_shapes_are_refused():
    one = example_votes()
    for changes, message in (
        ({"areas": np.ones((12, 2), np.uint32)}, r"areas: found an array of shape \(12, 2\); expected \(12, 3\)"),
        ({"measurements": {"area": np.ones((12, 2))}}, r"area: found an array of shape \(12, 2\)"),
        ({"draws": np.ones((12, 4, 9), np.uint8)}, r"draws: .* expected \(12, 2, 1\)"),
        ({"truth_areas": np.ones(7, np.uint32)}, "truth_areas"),
    ):
        with pytest.raises(VotesError, match=message):
            Votes(one.selection, one.estimation, 0.25, **changes)
    with pytest.raises(VotesError, match="expected unsigned integers"):
        Votes.from_counts(np.zeros((2, 0, 3), int), np.zeros((2, 0, 3), int), 0.25)


def test_damaged_lines_of_a_ledger_are_left_out_and_the_others_count(tmp_path, caplog):
    ledger, decision = Ledger(tmp_path), dict.fromkeys(SETTINGS, 1) | dict.fromkeys(ABOUT, "a")
    ledger.record([decision])
    (path,) = tmp_path.glob("*/*.jsonl")
    for line in (b"[5, ", b'{"a": 1}', b'["5"]', b'[{"n": 5}]', b"[" * 100_000, b'[{"n": 5, "alp'):
        path.write_bytes(path.read_bytes() + line)
        assert ledger.record([decision])[0].number == 1
    assert ledger.record([decision | {"n": 2}])[0].number == 2
    assert "the decisions in it are lost" in caplog.text


def test_a_certificate_cannot_name_a_file_in_another_folder(tmp_path):
    path = tmp_path / "a.certificate.json"
    stated = document()
    stated["files"]["votes.npz"]["path"] = "../../votes.npz"
    path.write_text(json.dumps(stated))
    with pytest.raises(DocumentError, match=r"files\.votes\.npz\.path"):
        read_certificate(path)


@FEW
@given(st.binary(max_size=12))
def test_an_edited_record_is_valid_or_refused_by_name(tmp_path, edits):
    path = tmp_path / "a.record.json"
    path.write_bytes(edited(record(), MARK + edits))
    found = refused(lambda: load_record(path), RecordError)
    assert found["outputs"] if isinstance(found, dict) else str(path) in str(found)


@pytest.mark.parametrize("outside", ["/etc/passwd", "../outside", "results/../../x"])
def test_a_record_cannot_name_outputs_outside_the_checkout(tmp_path, outside):
    path = tmp_path / "results/run/x.csv.record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record(outputs={"results/run/x.csv": "0" * 64, outside: "0" * 64})))
    ((found, error),) = find_records(tmp_path)
    assert found == path
    assert isinstance(error, MisplacedRecordError)
    assert "outside the checkout" in str(error)


def test_pulled_metadata_cannot_write_outside_the_checkout(tmp_path, caplog):
    """A run record would be copied next to an artifact that it names."""
    root = tmp_path / "checkout"
    outside = tmp_path / "evil"
    outside.write_text("there")
    packed = root / "results/.trail/snakemake/Li4vZXZpbA=="  # ../evil
    packed.parent.mkdir(parents=True)
    packed.write_text("{}")
    (root / "results/.trail/evil.record.json").write_text("hostile")  # the path records/../evil.record.json
    contents = {"../evil": [file_digest(outside), file_digest(packed), "snakemake/Li4vZXZpbA=="]}
    (root / "results/.trail/contents.json").write_text(json.dumps(contents))
    assert restore_metadata(root) == []
    assert "outside the packed" in caplog.text
    assert not (tmp_path / "evil.record.json").exists()


def test_deeply_nested_json_is_refused_everywhere(tmp_path):
    deep = b"[" * 200_000
    with pytest.raises(ValueError, match="too deeply"):
        parse_json(deep)
    for text in ("NaN", "[-Infinity]", '{"a": Infinity}'):
        with pytest.raises(ValueError, match="not a JSON number"):
            parse_json(text)
    for name, read, error in (
        ("config.json", lambda: load_segmenter(tmp_path), ModelError),
        ("manifest.json", lambda: read_manifest(tmp_path), DataError),
        ("dataset.json", lambda: PreparedDataset(tmp_path / "index.csv").about, DataError),
        ("a.certificate.json", lambda: read_certificate(tmp_path / "a.certificate.json"), DocumentError),
    ):
        (tmp_path / name).write_bytes(deep)
        with pytest.raises(error, match=name):
            read()


def test_a_deeply_nested_pointer_is_a_finding(tmp_path):
    path = tmp_path / "results/run/x.csv.record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record()))
    (tmp_path / "results.dvc").write_text("[" * 5000)
    found = list(check_pointers(Evidence(Lineage.read("run", tmp_path), FreshDigests(tmp_path))))
    assert [each.message for each in found if each.path == "results.dvc" and "cannot be read" in each.message]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{}", "lacks bits"), ('{"bits": 8.0}', "bits: found 8.0"), ('{"classes": [1]}', r"classes.0: found 1")],
)
def test_missing_facts_of_a_prepared_data_set_are_named(tmp_path, content, message):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=f"dataset.json: .*{message}"):
        PreparedDataset(tmp_path / "index.csv").about["bits"]


@FEW
@given(st.lists(st.tuples(NAMES.filter(lambda name: not set(name) & set("/\\")), NAMES), max_size=5))
def test_an_index_preserves_all_names_of_images_and_groups(tmp_path, names):
    rows = [
        Row(image=image, group=group, split="test", digest="0" * 64, mask_digest="1" * 64, height=2, width=3)
        for image, group in names
    ]
    write_index(tmp_path / "index.csv", rows)
    assert read_index(tmp_path / "index.csv") == rows


@FEW
@given(st.binary(max_size=300))
def test_an_index_of_any_bytes_is_read_or_refused_by_name(tmp_path, content):
    path = tmp_path / "index.csv"
    path.write_bytes(b"image,group,split,digest,mask_digest,height,width,pixel_height,pixel_width\n" + content)
    found = refused(lambda: read_index(path), DataError)
    assert isinstance(found, list) or str(path) in str(found)


def test_a_long_strip_of_pixels_is_not_padded_to_a_square():
    buffer = io.BytesIO()
    from PIL import Image

    Image.new("L", (40_000, 2)).save(buffer, "PNG")
    with pytest.raises(DataError, match="40000x2 pixels; expected at most 16384"):
        decode(buffer.getvalue()).padded()


def test_a_mask_is_thresholded_at_half_range_for_any_channels():
    from tests.support.archives import encoded

    gray = np.array([[0, 127, 128, 255]], np.uint8)
    assert decode_binary(encoded(gray)).tolist() == [[False, False, True, True]]
    colour = np.array([[[255, 127, 0], [255, 128, 0], [0, 0, 0]]], np.uint8)  # sums of 382 and 383 of 765
    assert decode_binary(encoded(colour)).tolist() == [[False, True, False]]


def test_foreign_names_cannot_control_a_terminal():
    assert printable("\x1b]0;title\x07 \u202ecod \ud800\n\ttext é 中") == (
        "\\x1b]0;title\\x07 \\u202ecod \\ud800\n\ttext é 中"
    )
