"""Splits are by group and depend on names alone."""

import pytest

from segcert.data.catalogue import NAMES, ImageKey, module_of
from segcert.data.splits import by_group, expected_tests, read_split_file


def test_the_shares_are_as_stated_and_reproducible():
    splits = [by_group(ImageKey("montgomery", "x", f"{number:04d}")) for number in range(4000)]
    assert splits == [by_group(ImageKey("montgomery", "y", f"{number:04d}")) for number in range(4000)]
    for split, share in {"train": 0.65, "val": 0.10, "test": 0.25}.items():
        assert splits.count(split) / 4000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "phantom"])
def test_only_leaking_rules_put_a_group_into_two_splits(name):
    for rule in module_of(name).DATASET.splits.values():
        sides = {}
        for k in range(1, 600):
            image, group, part = f"cvc_{k:03d}", f"g{k // 20}", {"isic2018": "Training", "jsrt": "1"}.get(name)
            sides.setdefault(group, set()).add(rule.split_of(ImageKey(name, image, group, part)))
        most = max(map(len, sides.values()))
        assert (most > 1) == rule.leaks


def test_more_images_do_not_change_the_split_of_others():
    """The split of an image depends on its own names only."""
    before = {k: by_group(ImageKey("shenzhen", f"{k}", f"{k}")) for k in range(100)}
    after = {k: by_group(ImageKey("shenzhen", f"{k}", f"{k}")) for k in range(-50, 200)}
    assert before.items() <= after.items()


def test_the_number_of_test_images_is_known_before_the_images_are_available(tmp_path):
    cvc, jsrt, shenzhen = (module_of(name).DATASET for name in ("cvc_clinicdb", "jsrt", "shenzhen"))
    frames = [cvc.splits["frames"].split_of(ImageKey("cvc_clinicdb", f"cvc_{k:03d}", f"{k}")) for k in range(1, 613)]
    assert expected_tests(cvc, cvc.splits["frames"]) == frames.count("test") == 61
    assert expected_tests(jsrt, jsrt.splits["folds"]) == 123
    assert expected_tests(shenzhen, shenzhen.splits["groups"]) == 166, "a quarter of 662, rounded up"
    (tmp_path / "split.json").write_text('{"train": ["a"], "val": ["b"], "test": ["c", "d"]}')
    assert expected_tests(shenzhen, read_split_file(tmp_path / "split.json")) == 2
