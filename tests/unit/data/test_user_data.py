"""User-supplied data sets: folders and tables."""

import numpy as np
import pytest
from tests.support.archives import colour, encoded
from tests.unit.data.test_decode import dicom_bytes
from tests.unit.data.test_dicom import dicom, saved

from segcert.config import Config, ConfigError
from segcert.data.dataset import PreparedDataset
from segcert.data.errors import DataError
from segcert.data.pairs import LeftOut
from segcert.data.phantom import draw_phantom
from segcert.data.prepare import Form, prepare
from segcert.data.user_data import OwnFolder
from segcert.provenance.digests import file_digest

COUNT = 30


@pytest.fixture
def folder(tmp_path):
    """A folder with images and masks of phantoms as PNG files, from ten patients."""
    for kind in ("images", "masks"):
        (tmp_path / "own" / kind).mkdir(parents=True)
    for k in range(COUNT):
        image, mask = draw_phantom(f"p{k}", 32)
        (tmp_path / f"own/images/{k % 10:02d}_{k:03d}.png").write_bytes(encoded(image.pixels[0].astype(np.uint8)))
        (tmp_path / f"own/masks/{k % 10:02d}_{k:03d}_mask.png").write_bytes(
            encoded(np.array([0, 255, 100], np.uint8)[mask])
        )
    (tmp_path / "own/images/.DS_Store").write_bytes(b"stray")
    (tmp_path / "own/images/notes.txt").write_bytes(b"stray")
    return tmp_path / "own"


def own(folder, **settings):
    defaults = {"images": str(folder / "images"), "masks": str(folder / "masks"), "mask_suffix": "_mask.png"}
    values = {"values": {0: "background", 255: "lungs", 100: "heart"}}
    config = Config.read({"datasets": ["clinic"], "own_data": {"clinic": defaults | values | settings}})
    return OwnFolder("clinic", config.own_data["clinic"].model_dump())


def find(data):
    return data.find({str(path): file_digest(path) for path in data.files()})


def loaded(data, name):
    return next(pair for pair in find(data).pairs if pair.name == name).load()


def test_folders_with_suffixes_values_and_groups(folder):
    data = own(folder, group_pattern=r"^(\d+)_", image_suffix=".png")
    assert data.classes == ("background", "lungs", "heart")
    assert len(data.files()) == 2 * COUNT, "stray files are skipped"
    found = find(data)
    assert [pair.group for pair in found.pairs if pair.name.startswith("03_")] == ["03"] * 3
    image, mask = loaded(data, "03_013")
    expected, truth = draw_phantom("p13", 32)
    assert np.array_equal(image.pixels, expected.pixels)
    assert np.array_equal(mask, truth)
    prepare(data.about, found, folder / "prepared", Form(16))
    dataset = PreparedDataset(folder / "prepared/index.csv")
    sides = {}
    for row in dataset.rows.values():
        sides.setdefault(row.group, set()).add(row.split)
    assert len(sides) == 10
    assert set(map(len, sides.values())) == {1}


def test_a_table_with_paths_groups_and_splits(folder):
    lines = ["image,mask,patient,split"]
    for k in range(COUNT):
        split = "train" if k % 10 < 6 else "val" if k % 10 < 7 else "test"
        lines.append(f"images/{k % 10:02d}_{k:03d}.png,masks/{k % 10:02d}_{k:03d}_mask.png,{k % 10},{split}")
    (folder / "clinic.csv").write_text("\n".join(lines))
    data = own(folder, images=None, masks=None, table=str(folder / "clinic.csv"), group_column="patient")
    prepare(data.about, find(data), folder / "prepared", Form(16))
    dataset = PreparedDataset(folder / "prepared/index.csv")
    assert [len(dataset.names(split)) for split in ("train", "val", "test")] == [18, 3, 9]
    assert data.tests(data.about.splits["table"]) == 9
    assert dataset.group("03_013") == "3"
    (folder / "clinic.csv").write_text("\n".join(lines).replace("00_000_mask.png,0,train", "00_000_mask.png,0,test"))
    with pytest.raises(DataError, match="group '0' is in two splits"):
        prepare(data.about, find(data), folder / "prepared", Form(16))


def test_a_mistyped_or_empty_group_column_is_refused(folder):
    table = folder / "clinic.csv"
    row = "images/00_000.png,masks/00_000_mask.png"
    settings = {"images": None, "masks": None, "table": str(table)}
    table.write_text(f"image,mask,patient\n{row},1\n")
    with pytest.raises(DataError, match="found the columns image, mask, patient; expected image, mask, pateint"):
        own(folder, **settings, group_column="pateint").files()
    assert own(folder, **settings).about.group == "image"
    assert own(folder, **settings, group_column="patient").about.group == "group"
    table.write_text(f"image,mask,patient\n{row},\n")
    with pytest.raises(DataError, match="line 2: the column `patient` is empty; expected the group of 00_000"):
        own(folder, **settings, group_column="patient").files()


def test_a_table_can_name_images_and_leave_the_split_empty(folder):
    lines = ["image,mask,name,split"]
    for k in range(COUNT):
        split = ["train", "val", "test", ""][k % 4]
        lines.append(f"images/{k % 10:02d}_{k:03d}.png,masks/{k % 10:02d}_{k:03d}_mask.png,case {k},{split}")
    (folder / "clinic.csv").write_text("\n".join(lines))
    data = own(folder, images=None, masks=None, table=str(folder / "clinic.csv"))
    prepare(data.about, find(data), folder / "prepared", Form(16))
    assert PreparedDataset(folder / "prepared/index.csv").names("val", 2) == ["case 1", "case 13"]
    assert "case 3,in no split" in (folder / "prepared/left_out.csv").read_text()


def test_images_and_masks_can_be_in_the_same_folder(folder):
    for path in (folder / "masks").iterdir():
        path.rename(folder / "images" / path.name)
    data = own(folder, masks=str(folder / "images"))
    assert len(find(data).pairs) == COUNT
    assert [each.name for each in find(data).left_out] == ["notes.txt"]
    with pytest.raises(DataError, match=r"are in the same folder.*set a `mask_suffix`"):
        own(folder, masks=str(folder / "images"), mask_suffix="").files()


def test_a_window_maps_a_deeper_file_to_fewer_bits(folder):
    deep = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 50
    (folder / "images/00_000.png").write_bytes(encoded(deep))
    image, _ = loaded(own(folder, bits=12, window=[0, 40000]), "00_000")
    assert (image.bits, image.pixels.max()) == (12, 4095)
    assert np.abs(image.pixels[0] - np.clip(deep / 40000, 0, 1) * 4095).max() <= 0.51


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/gone.png,masks/00_000_mask.png,1,train", "lists images/gone.png, but .*gone.png does not exist"),
        ("images/00_000.png,masks/00_000_mask.png,1,both", "line 2: found the split 'both'"),
        (
            "images/00_000.png,masks/00_000_mask.png,1,train\nimages/00_000.png,,1,train",
            "line 3: found the name 00_000 twice.*`name`",
        ),
    ],
)
def test_an_invalid_table_is_refused(folder, line, message):
    (folder / "clinic.csv").write_text(f"image,mask,group,split\n{line}\n")
    with pytest.raises(DataError, match=message):
        own(folder, images=None, masks=None, table=str(folder / "clinic.csv")).files()
    (folder / "clinic.csv").write_text("picture,mask\na,b\n")
    with pytest.raises(DataError, match="found the columns picture, mask; expected image, mask"):
        own(folder, images=None, masks=None, table=str(folder / "clinic.csv")).files()


def test_a_missing_table_is_named_with_the_line_to_write(folder):
    with pytest.raises(
        DataError, match=r"clinic\.csv: there is no such file; .*columns `image` and `mask`.*`table: path/to"
    ):
        own(folder, images=None, masks=None, table=str(folder / "clinic.csv")).files()


def test_images_without_mask_and_masks_without_image_are_left_out(folder):
    (folder / "masks/00_000_mask.png").unlink()
    (folder / "images/01_001.png").unlink()
    left_out = {each.name: str(each) for each in find(own(folder)).left_out}
    assert left_out["00_000"].endswith("images/00_000.png: no mask")
    assert left_out["01_001"].endswith("masks/01_001_mask.png: a mask without an image")


def test_masks_with_soft_edges_need_a_threshold(folder):
    mask = np.where(np.add.outer(np.arange(32), np.arange(32)) > 30, 255, 0).astype(np.uint8)
    (folder / "masks/00_000_mask.png").write_bytes(encoded(mask, "JPEG", quality=60))
    two = {"values": {0: "background", 255: "lungs"}}
    with pytest.raises(DataError, match=r"00_000_mask.*`mask_threshold: 128` \(in own_data.clinic\)"):
        loaded(own(folder, **two), "00_000")
    _, labels = loaded(own(folder, **two, mask_threshold=128), "00_000")
    assert np.mean(labels == mask // 255) > 0.95


def test_every_file_is_accounted_for(folder):
    """Files with other endings and second masks were once dropped without a word, and half of the truth with them."""
    (folder / "images/notes.txt").write_text("patients")
    (folder / "images/99_000.webp").write_bytes(encoded(np.zeros((32, 32), np.uint8), "PNG"))
    (folder / "masks/00_000.png").write_bytes(encoded(np.zeros((32, 32), np.uint8)))
    second = np.zeros((32, 32), np.uint8)
    second[:4, :4] = 255
    (folder / "masks/00_000_mask_2.png").write_bytes(encoded(second))
    found = find(own(folder))
    left_out = {each.file: each.reason for each in found.left_out}
    assert left_out == {
        str(folder / "images/notes.txt"): "not an image file",
        str(folder / "images/99_000.webp"): "no mask",
        str(folder / "masks/00_000.png"): "its name does not end with _mask.png",
    }
    _, joined = loaded(own(folder), "00_000")
    _, truth = draw_phantom("p0", 32)
    assert np.array_equal(joined, np.where(second > 0, 1, truth))


def test_masks_of_several_structures_are_joined_by_their_numbers(folder):
    for path in sorted((folder / "masks").iterdir()):
        path.rename(path.with_name(path.name.replace("_mask.png", "_mask_1.png")))
    assert len(find(own(folder)).pairs) == COUNT
    assert find(own(folder)).left_out == [LeftOut("notes.txt", "not an image file", str(folder / "images/notes.txt"))]


def test_accents_are_compared_as_letters(folder):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    (folder / "images/00_000.png").rename(folder / f"images/{composed}.png")
    (folder / "masks/00_000_mask.png").rename(folder / f"masks/{decomposed}_mask.png")
    assert composed in [pair.name for pair in find(own(folder)).pairs]


def test_dots_in_names_are_no_endings(folder):
    """`1.2.840.10.7` and `1.2.840.10.8` were once the same name."""
    for number in (7, 8):
        deep = np.arange(1024, dtype=np.uint16).reshape(32, 32)
        (folder / f"images/1.2.840.10.{number}").write_bytes(dicom_bytes(deep))
        (folder / f"masks/1.2.840.10.{number}_mask.png").write_bytes(encoded(np.zeros((32, 32), np.uint8)))
    names = [pair.name for pair in find(own(folder)).pairs]
    assert {"1.2.840.10.7", "1.2.840.10.8"} <= set(names)


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
def test_folders_of_splits_are_read(tmp_path, layout):
    sides = {"train": "train", "validation": "val", "test": "test"}
    for number in range(12):
        split = list(sides)[number % 3]
        for kind in ("images", "masks"):
            path = tmp_path / layout.format(split=split, kind=kind) / f"polyp{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((32, 32), 255 if kind == "masks" else 20 * number, np.uint8)
            path.write_bytes(encoded(pixels))
    data = own(
        tmp_path, images=str(tmp_path), masks=str(tmp_path), mask_suffix="", values={0: "background", 255: "polyp"}
    )
    (tmp_path / "README.md").write_text("no image")
    assert list(data.about.splits) == ["folders", "groups"]
    prepare(data.about, find(data), tmp_path / "prepared", Form(16))
    dataset = PreparedDataset(tmp_path / "prepared/index.csv")
    for number in range(12):
        assert dataset.rows[f"polyp{number}"].split == list(sides.values())[number % 3]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "masks/00_000_mask.png",
            encoded(np.full((32, 32), 7, np.uint8)),
            "contains 7 in 1024 pixels; expected 0, 255, 100",
        ),
        ("masks/00_000_mask.png", encoded(np.zeros((5, 6), np.uint8)), "is 6x5 pixels, but its image is 32x32"),
        ("images/00_000.png", encoded(colour(np.arange(1024).reshape(32, 32).astype(np.uint8))), "image has colour"),
        (
            "images/00_000.png",
            encoded(np.full((32, 32), 3000, np.uint16)),
            "has 16 bits per value but does not",
        ),
        ("images/00_000.png", b"no image", "cannot be read as an image"),
        ("masks/00_000_mask.png", b"no image", "cannot be read as an image"),
    ],
    ids=["value", "size", "colour", "depth", "image", "mask"],
)
def test_an_invalid_file_is_refused_by_name(folder, file, content, message):
    (folder / file).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        loaded(own(folder), "00_000")
    assert "00_000" in str(error.value)


def test_dicom_keeps_depth_and_pixel_size(folder):
    deep = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 4
    (folder / "images/00_000.png").unlink()
    (folder / "images/00_000.dcm").write_bytes(dicom_bytes(deep))
    image, _ = loaded(own(folder, bits=12), "00_000")
    assert (image.bits, image.pixel_size) == (12, (0.2, 0.3))
    assert np.array_equal(image.pixels[0], deep)
    others, _ = loaded(own(folder, bits=12), "01_001")
    assert others.bits == 12, "8-bit files are converted to the same grid"
    assert others.pixels.max() <= 4095
    windowed, _ = loaded(own(folder, window=[1000, 3000]), "00_000")
    assert windowed.bits == 8
    assert windowed.pixels[0, 0, 0] == 0
    assert windowed.pixels.max() == 255
    stated, _ = loaded(own(folder, bits=12, pixel_size=[0.1, 0.1]), "01_001")
    assert stated.pixel_size == (0.1, 0.1)


def test_sixteen_bit_files_get_the_configured_depth(folder):
    deep = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    (folder / "images/00_000.png").write_bytes(encoded(deep))
    for bits in (12, 16):
        image, _ = loaded(own(folder, bits=bits), "00_000")
        assert image.bits == bits
        assert np.array_equal(image.pixels[0], deep)
    (folder / "images/00_000.png").write_bytes(encoded(deep * 60))
    with pytest.raises(DataError, match="which do not fit into 12 bits"):
        loaded(own(folder, bits=12), "00_000")


def test_a_file_that_changed_after_it_was_recorded_is_refused(folder):
    data = own(folder)
    found = find(data)
    (folder / "images/00_000.png").write_bytes(encoded(np.zeros((32, 32), np.uint8)))
    with pytest.raises(DataError, match=r"00_000\.png has changed since its digest was recorded"):
        found.pairs[0].load()
    (folder / "images/99_999.png").write_bytes(encoded(np.zeros((32, 32), np.uint8)))
    (folder / "masks/99_999_mask.png").write_bytes(encoded(np.zeros((32, 32), np.uint8)))
    with pytest.raises(DataError, match=r"not listed in data/raw/clinic/manifest\.json"):
        data.find({str(path): "0" * 64 for path in data.files() if "99_999" not in str(path)})


def test_a_brace_in_a_name_is_refused(folder):
    (folder / "images/a{b}.png").write_bytes((folder / "images/00_000.png").read_bytes())
    with pytest.raises(DataError, match=r"a\{b\}\.png': found a brace, which"):
        own(folder).files()


@pytest.mark.parametrize(
    ("name", "text"),
    [("a <b>", "a name in angle brackets"), ("a\nb", "a line break"), ("a\udc80", "bytes that are not UTF-8")],
)
def test_a_path_that_snakemake_would_misread_is_refused_by_name(folder, name, text):
    (folder / f"images/{name}.png").write_bytes((folder / "images/00_000.png").read_bytes())
    with pytest.raises(DataError, match=f"found {text}") as refusal:
        own(folder).files()
    assert repr(f"{name}.png")[1:-1] in str(refusal.value)


def test_a_missing_folder_is_named(folder):
    with pytest.raises(
        DataError, match=r"own_data\.clinic\.masks: found '.*nowhere', which is not a folder; .* `masks: "
    ):
        own(folder, masks=str(folder / "nowhere")).files()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"imgs": "x"}, "own_data.clinic.imgs`: there is no such key; did you mean `images`"),
        ({"images": None}, "expected the keys `images` and `masks`, or the key `table`"),
        ({"values": {1: "lungs", 2: "heart"}}, "`values`: found no class named background"),
        ({"channels": 2}, "own_data.clinic.channels`: found 2"),
        ({"bits": 12, "channels": 3}, "expected 8 for colour images"),
        ({"window": [5, 5]}, "expected .low, high. with low below high"),
        ({"group_pattern": "["}, "expected a regular expression"),
        ({"pixel_size": [0, 1]}, "expected the height and width of a pixel in mm, both above 0"),
        ({"values": {0: "background", 70000: "lungs"}}, "own_data.clinic.values"),
        ({"kind": "archive"}, "own_data.clinic.kind`: found 'archive'"),
    ],
)
def test_invalid_settings_are_refused_with_the_key(folder, settings, message):
    with pytest.raises(ConfigError, match=message):
        own(folder, **settings)


def test_names_are_checked_when_the_configuration_is_read():
    with pytest.raises(ConfigError, match=r"`datasets`: found 'montgomry'; .*Did you mean `montgomery`"):
        Config.read({"datasets": ["montgomry"]})
    with pytest.raises(ConfigError, match="`splits`: found 'cvc'"):
        Config.read({"splits": {"cvc": "frames"}})
    with pytest.raises(ConfigError, match="`own_data`: found 'jsrt', a name that is already used by segcert"):
        Config.read({"own_data": {"jsrt": {"images": "a", "masks": "b"}}})


def dicom_folder(tmp_path, **attributes):
    """A folder of DICOM images, two named after their patient, and PNG masks."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for k in range(COUNT):
        name = f"Doe_{k:02d}" if k < 2 else f"scan_{k:02d}"
        pixels = np.random.default_rng(k).integers(0, 4096, (12, 20)).astype(np.uint16)
        dataset = dicom(pixels, PatientName="Doe^Ann", **attributes)
        (tmp_path / f"images/{name}.dcm").write_bytes(saved(dataset))
        (tmp_path / f"masks/{name}_mask.png").write_bytes(encoded(np.full((12, 20), 255, np.uint8)))
    return own(tmp_path, values={0: "background", 255: "lungs"}, bits=12)


def test_names_of_images_with_identifiers_of_their_patient_are_counted(tmp_path, caplog):
    """The log does not repeat them."""
    find(dicom_folder(tmp_path))
    assert "own_data.clinic: 2 images have names that contain identifiers" in caplog.text
    assert "Doe" not in caplog.text


def test_an_unreadable_dicom_file_is_named_without_its_patient(tmp_path):
    data = dicom_folder(tmp_path, NumberOfFrames=2)
    with pytest.raises(DataError, match=r"id-[0-9a-f]{8}_00\.dcm: the file has 2 frames"):
        loaded(data, "Doe_00")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ImagerPixelSpacing": [0.4, 0.2]}, ((0.3, 0.25), "mm at the detector")),
        ({"PixelSpacing": [0.4, 0.2]}, ((0.3, 0.25), "mm")),
        ({}, ((0.75, 1.25), "original pixels")),
    ],
)
def test_prepared_dicom_images_have_the_unit_of_their_spacing(tmp_path, attributes, expected):
    data = dicom_folder(tmp_path, **attributes)
    prepare(data.about, find(data), tmp_path / "prepared", Form(16))
    size, unit = PreparedDataset(tmp_path / "prepared/index.csv").pixel_scale("scan_05")
    assert (pytest.approx(size), unit) == expected
