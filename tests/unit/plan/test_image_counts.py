"""Images that train, validate and are certified, before a data set is prepared and after it."""

from segcert.data.catalogue import ImageKey, dataset
from segcert.data.dataset import Row, write_index
from segcert.data.sets.cvc_clinicdb import FRAMES, frame_name, sequence
from segcert.data.sets.jsrt import by_fold
from segcert.data.splits import by_group
from segcert.plan.configured_run import ConfiguredRun
from segcert.plan.image_counts import images_of


def test_prepared_images_are_counted_before_published_ones(tmp_path):
    index = tmp_path / "index.csv"
    run = ConfiguredRun.read({"datasets": ["isic2018", "montgomery", "jsrt"]})
    assert images_of("isic2018", run, index).test == 1000
    assert images_of("jsrt", run, index).all == 247
    expected = images_of("montgomery", run, index)
    assert (expected.all, expected.test) == (138, 34)
    assert "expected numbers of 138" in expected.source
    splits = ["train"] * 3 + ["val"] + ["test"] * 2
    rows = [("a" * 63 + str(number), split) for number, split in enumerate(splits)]
    write_index(
        index,
        [Row(image=d, group=d, split=s, digest=d, mask_digest=d, height=9, width=9) for d, s in rows],
    )
    prepared = images_of("isic2018", run, index)
    assert (prepared.train, prepared.val, prepared.test, prepared.source) == (3, 1, 2, str(index))
    assert images_of("isic2018", run, index, 60).test == 60
    fewer = ConfiguredRun.read({"datasets": ["isic2018"], "sampling": {"test_images": 1}})
    assert images_of("isic2018", fewer, index).test == 1


def test_published_counts_agree_with_the_rules():
    frames = [frame_name(str(number)) for number in range(1, FRAMES + 1)]
    groups = [by_group(ImageKey("cvc_clinicdb", frame, sequence(frame))) for frame in frames]
    counts = dataset("cvc_clinicdb").splits["groups"].counts
    assert {split: groups.count(split) for split in counts} == counts
    patients = [f"JPCLN{n:03d}" for n in range(1, 155)] + [f"JPCNN{n:03d}" for n in range(1, 94)]
    folds = [by_fold(ImageKey("jsrt", name, name, "1" if int(name[-3:]) % 2 else "2")) for name in patients]
    counts = dataset("jsrt").splits["folds"].counts
    assert {split: folds.count(split) for split in counts} == counts
