import json
import os

import pytest

from segcert.provenance.ledger import SETTINGS, Decided, Ledger, joined, notice, record_plans

ABOUT = {"image": "i", "segmenter": "s", "denoiser": None}
FIRST = ABOUT | {"sigma": 0.25, "n0": 10, "n": 100, "seed": 0, "noise": "normal", "tau": 0.75, "alpha": 0.001}
FIRST |= {"method": "segcertify", "k": 1, "looks": []}
OTHER = {"sigma": 0.5, "n0": 5, "n": 50, "seed": 1, "noise": "exact, 8 bits", "tau": 0.8, "alpha": 0.01}
OTHER |= {"method": "holm", "k": 10, "looks": [50, 100]}


def settings(decision):
    return {name: decision[name] for name in SETTINGS}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_makes_another_decision(tmp_path, name):
    ledger, second = Ledger(tmp_path), FIRST | {name: OTHER[name]}
    assert ledger.record([FIRST]) == [Decided(1, [])]
    assert ledger.record([second]) == [Decided(2, [settings(FIRST)])]
    assert ledger.record([FIRST]) == [Decided(1, [])]
    assert ledger.record([second]) == [Decided(2, [settings(FIRST)])], "repeated"


@pytest.mark.parametrize("name", ABOUT)
def test_another_image_or_network_has_its_own_count(tmp_path, name):
    ledger = Ledger(tmp_path)
    ledger.record([FIRST])
    assert ledger.record([FIRST | {name: "other"} | {"n": 50}])[0].number == 1


def test_what_is_planned_together_has_one_number(tmp_path):
    """A configuration names its noise levels before the first draw. A level that is added later is another decision."""
    ledger, levels = Ledger(tmp_path), [FIRST | {"sigma": sigma} for sigma in (0.25, 0.5)]
    assert [each.number for each in ledger.record(levels)] == [1, 1]
    more = [*levels, FIRST | {"sigma": 1.0}]
    assert [each.number for each in ledger.record(more)] == [1, 1, 2]
    assert ledger.record(more)[2].earlier == [settings(each) for each in levels]


def test_processes_that_decide_at_the_same_time_count_once(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.record([FIRST])
    path = ledger.path(ABOUT)
    path.write_bytes(path.read_bytes() * 2)  # both found no entry, and both appended one
    assert ledger.record([FIRST | {"n": 50}])[0].number == 2


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path):
    ledger = Ledger(tmp_path)
    path = ledger.path(ABOUT)
    path.parent.mkdir(parents=True)
    path.write_bytes(json.dumps([settings(FIRST)]).encode()[:40])
    assert ledger.record([FIRST])[0].number == 1
    assert Ledger(tmp_path).record([FIRST | {"n": 50}])[0].number == 2


def test_a_run_counts_its_later_decisions(tmp_path):
    ledger, images = Ledger(tmp_path), ("a", "b")
    plans = [[FIRST | {"image": image, "sigma": sigma} for sigma in (0.25, 0.5)] for image in images]
    first = record_plans(ledger, plans)
    assert first == {"most": 1, "later": 0}
    again = record_plans(ledger, [[each | {"tau": 0.8} for each in plan] for plan in plans[:1]])
    assert again == {"most": 2, "later": 2}
    record = {"decisions": joined([{"decisions": first}, {"decisions": again}, {}])}
    assert record == {"decisions": {"most": 2, "later": 2}}
    heading, text = notice(record)
    assert heading == "Decision 2 on this image and network; alpha covers one."
    assert text.startswith("Of these certificates, 2 follow earlier decisions")
    assert notice({"decisions": first}) is None
    assert notice({}) is None


def test_the_users_ledger_is_in_the_state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Ledger.of_user().folder == tmp_path / "segcert/decisions"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Ledger.of_user().folder == tmp_path / ".local/state/segcert/decisions"
    assert os.listdir(tmp_path) == [], "nothing is written before a decision"
