"""Passwords and tokens in addresses appear in no message, log or file."""

import logging

import pytest

from segcert.data import download as module
from segcert.data.catalogue import dataset
from segcert.data.download import download, public, read_small, without_secrets
from segcert.data.errors import DataError
from segcert.data.fetch import fetch

SECRETS = ("s3cr3t", "t0ken")
ADDRESS = "http://ward:s3cr3t@127.0.0.1:9/sets/a.zip?X-Signature=t0ken"  # nothing answers on port 9


@pytest.fixture
def impatient(monkeypatch):
    for name, value in (("ATTEMPTS", 2), ("FIRST_WAIT_S", 0.01), ("LONGEST_WAIT_S", 0.01)):
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (ADDRESS, "http://127.0.0.1:9/sets/a.zip"),
        ("https://t0ken@host", "https://host"),
        ("https://a:b@c@host/x@y?k=v#f", "https://host/x@y"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("/a folder/with?marks#and@signs", "/a folder/with?marks#and@signs"),
        ("https://[bad/x?t0ken", "https://[bad/x"),
    ],
)
def test_secrets_are_removed_from_addresses(address, expected):
    assert public(address) == expected
    assert without_secrets(f"at {address}: no", address) == f"at {expected}: no"


def test_secrets_are_removed_outside_their_address():
    text = without_secrets("auth ward:s3cr3t of /sets?X-Signature=t0ken and s3cr3t", ADDRESS)
    assert text == "auth *** of /sets?*** and ***"


@pytest.mark.parametrize(
    "address", [ADDRESS, "http://ward:s3cr3t@:x/?t0ken", "https://ward:s3cr3t@nowhere.invalid/?t0ken"]
)
def test_a_failed_download_reveals_no_secret(tmp_path, caplog, impatient, address):
    caplog.set_level(logging.DEBUG, "segcert")
    said = []
    for attempt in (lambda: download(address, tmp_path / "a.zip", "a"), lambda: read_small(address)):
        with pytest.raises(DataError) as refusal:
            attempt()
        said.append(str(refusal.value))
    left = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    for secret in SECRETS:
        assert secret not in "".join(said) + caplog.text + left


def test_an_unreachable_mirror_is_named_without_its_password(tmp_path, caplog, impatient):
    with pytest.raises(DataError) as refusal:
        fetch(dataset("kvasir_seg"), tmp_path, mirror="http://ward:s3cr3t@127.0.0.1:9/sets")
    assert "http://127.0.0.1:9/sets/SHA256SUMS" in str(refusal.value)
    assert "s3cr3t" not in str(refusal.value) + caplog.text
