"""Splits go by group, and by names alone."""

import pytest

from segcert.data.catalogue import NAMES, Named, module_of
from segcert.data.splits import by_group, expected_tests, read_split_file


def test_the_shares_are_as_stated_and_repeat():
    splits = [by_group(Named("montgomery", "x", f"{number:04d}")) for number in range(4000)]
    assert splits == [by_group(Named("montgomery", "y", f"{number:04d}")) for number in range(4000)]
    for split, share in {"train": 0.65, "val": 0.10, "test": 0.25}.items():
        assert splits.count(split) / 4000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "phantom"])
def test_no_rule_but_the_leaking_ones_puts_a_group_on_two_sides(name):
    for rule in module_of(name).DATASET.splits.values():
        sides = {}
        for k in range(1, 600):
            image, group, part = f"cvc_{k:03d}", f"g{k // 20}", {"isic2018": "Training", "jsrt": "1"}.get(name)
            sides.setdefault(group, set()).add(rule.split_of(Named(name, image, group, part)))
        most = max(map(len, sides.values()))
        assert (most > 1) == rule.leaks


def test_another_image_moves_no_other():
    """The split of an image is a function of its own names: nothing else goes in."""
    before = {k: by_group(Named("shenzhen", f"{k}", f"{k}")) for k in range(100)}
    after = {k: by_group(Named("shenzhen", f"{k}", f"{k}")) for k in range(-50, 200)}
    assert before.items() <= after.items()


def test_how_many_images_are_tested_is_known_before_they_are_there(tmp_path):
    cvc, jsrt, shenzhen = (module_of(name).DATASET for name in ("cvc_clinicdb", "jsrt", "shenzhen"))
    frames = [cvc.splits["frames"].split_of(Named("cvc_clinicdb", f"cvc_{k:03d}", f"{k}")) for k in range(1, 613)]
    assert expected_tests(cvc, cvc.splits["frames"]) == frames.count("test") == 61
    assert expected_tests(jsrt, jsrt.splits["folds"]) == 123
    assert expected_tests(shenzhen, shenzhen.splits["groups"]) == 166, "a quarter of 662, rounded up"
    (tmp_path / "split.json").write_text('{"train": ["a"], "val": ["b"], "test": ["c", "d"]}')
    assert expected_tests(shenzhen, read_split_file(tmp_path / "split.json")) == 2
