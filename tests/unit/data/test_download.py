import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from tests.support.flaky_server import FlakyServer

from segcert.data import download as module
from segcert.data.download import download, read_small
from segcert.data.errors import DataError

SIZE = 50_000
CONTENT, OTHER = random.Random(0).randbytes(SIZE), random.Random(1).randbytes(SIZE)
PATH = "/a.zip"


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.0005)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.002)
    monkeypatch.setattr(module, "LONGEST_RETRY_AFTER_S", 0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "a.zip.fetched"


@pytest.fixture
def server():
    """A server of CONTENT at PATH. Tests change its settings."""
    with FlakyServer(contents={PATH: [CONTENT]}) as server:
        yield server


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


def leave_part(server, target, size):
    """Interrupt a transfer permanently after `size` bytes."""
    server.drop_after = size
    server.statuses[PATH] = [200, 404]
    with pytest.raises(DataError):
        download(server.url + PATH, target, "a.zip")
    server.drop_after = None
    server.requests.clear()


def part_of(target):
    return target.with_name(f"{target.name}.part")


def sidecar_of(target):
    return target.with_name(f"{target.name}.part.json")


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("content", [CONTENT, b"x", b""])
def test_a_whole_file_is_fetched_with_one_request(server, target, framing, content):
    server.framing, server.contents[PATH] = framing, [content]
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == content
    assert names(target) == [target.name]
    (request,) = server.requests
    assert (request.headers["Accept-Encoding"], request.range) == ("identity", None)


@pytest.mark.parametrize("manner", ["close", "reset"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_download_finishes_if_the_server_always_drops_but_supports_ranges(server, target, framing, manner):
    server.drop_after, server.framing, server.manner = 3000, framing, manner
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert names(target) == [target.name]
    assert len(server.requests) > 2 * module.ATTEMPTS
    starts = [int(re.fullmatch(r"bytes=(\d+)-", request.range)[1]) for request in server.requests[1:]]
    assert all(after > before for before, after in pairwise([0, *starts]))
    if manner == "close":
        assert sum(request.sent for request in server.requests) == SIZE
        assert starts == list(range(3000, SIZE, 3000))


@pytest.mark.parametrize("validators", [("ETag",), ("Last-Modified",), ("W/ETag", "Last-Modified")])
def test_the_next_call_transfers_only_the_rest(server, target, validators):
    server.validators = validators
    leave_part(server, target, 20_000)
    assert part_of(target).read_bytes() == CONTENT[:20_000]
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    (request,) = server.requests
    assert (request.status, request.range, request.sent) == (206, "bytes=20000-", 30_000)
    assert request.headers["If-Range"] == server.version(CONTENT)[validators[-1]]


@pytest.mark.parametrize("validators", [(), ("W/ETag",)])
def test_without_a_strong_validator_a_part_is_not_continued(server, target, validators):
    server.validators, server.drop_after, server.drops = validators, 20_000, 1
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [(request.range, request.sent) for request in server.requests] == [(None, 20_000), (None, SIZE)]


@pytest.mark.parametrize("ranges", [True, "blindly"])
@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
@pytest.mark.parametrize("other", [OTHER, OTHER[:30_000], OTHER[:20_000], OTHER[:10_000], OTHER * 2])
def test_two_releases_are_never_mixed(server, target, ranges, validator, other):
    server.ranges, server.validators = ranges, [validator]
    leave_part(server, target, 20_000)
    server.contents[PATH] = [other]
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == other


def test_a_file_that_changes_at_every_attempt_ends_as_one_release(server, target):
    releases = [random.Random(seed).randbytes(SIZE) for seed in range(6)]
    server.contents[PATH], server.drop_after, server.drops = list(releases), 10_000, 5
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == releases[-1]


def test_a_release_without_a_validator_is_not_mistaken_for_the_previous_one(server, target):
    leave_part(server, target, 20_000)
    server.contents[PATH], server.validators = [OTHER], ()
    leave_part(server, target, 20_000)
    server.contents[PATH], server.validators = [CONTENT], ["ETag"]
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT


def test_the_part_of_another_url_is_not_continued(server, target):
    leave_part(server, target, 20_000)
    server.contents["/b.zip"] = [CONTENT]
    download(f"{server.url}/b.zip", target, "b.zip")
    assert [request.range for request in server.requests] == [None]
    assert target.read_bytes() == CONTENT


def test_the_part_of_another_url_survives_a_mistyped_mirror(server, target):
    leave_part(server, target, 20_000)
    with pytest.raises(DataError, match="404"):
        download(f"{server.url}/mistyped.zip", target, "a.zip")
    download(server.url + PATH, target, "a.zip")
    assert server.requests[-1].sent == 30_000


@pytest.mark.parametrize("note", [None, "", "{", "[]", "null", b"\xff", '{"url": 1}', '{"validator": "x"}'])
def test_without_a_whole_sidecar_a_part_is_not_continued(server, target, note):
    leave_part(server, target, 20_000)
    if note is None:
        sidecar_of(target).unlink()
    else:
        sidecar_of(target).write_bytes(note if isinstance(note, bytes) else note.encode())
    download(server.url + PATH, target, "a.zip")
    assert [request.range for request in server.requests] == [None]
    assert target.read_bytes() == CONTENT


def test_a_sidecar_without_its_part_does_no_harm(server, target):
    leave_part(server, target, 20_000)
    part_of(target).unlink()
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_starts_over(server, target):
    leave_part(server, target, 20_000)
    server.ranges = False
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [(request.range, request.status, request.sent) for request in server.requests] == [
        ("bytes=20000-", 200, SIZE)
    ]


def test_a_server_that_ignores_ranges_and_always_drops_ends_in_an_error(server, target):
    server.ranges, server.drop_after = False, 20_000
    url = server.url + PATH
    with pytest.raises(DataError) as caught:
        download(url, target, "a.zip")
    assert len(server.requests) == 1 + module.ATTEMPTS
    message = str(caught.value)
    assert message.startswith(f"{url}: cannot be fetched (Connection broken: IncompleteRead(")
    assert "received 20000 of 50000 bytes" in message
    assert "run snakemake again to resume after 20000 bytes, or name a folder or URL" in message
    assert "--config mirror=..." in message
    assert part_of(target).read_bytes() == CONTENT[:20_000]
    assert not target.exists()


def test_bytes_already_received_by_an_earlier_call_are_not_progress(server, target):
    leave_part(server, target, 20_000)
    server.ranges, server.drop_after = False, 10_000
    with pytest.raises(DataError, match="received 10000 of 50000 bytes"):
        download(server.url + PATH, target, "a.zip")
    assert len(server.requests) == module.ATTEMPTS


@pytest.mark.parametrize(
    "content_range", ["bytes 0-49999/50000", "bytes 20001-49999/50000", "bytes 20000-49999/*", "nonsense", "bytes */9"]
)
def test_a_response_with_another_range_starts_over(server, target, content_range):
    leave_part(server, target, 20_000)
    server.content_range = content_range
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [request.range for request in server.requests] == ["bytes=20000-", None]


def test_a_part_that_is_complete_is_not_transferred_again(server, target):
    leave_part(server, target, 20_000)
    part_of(target).write_bytes(CONTENT)  # as if killed before the renaming
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [(request.status, request.sent) for request in server.requests] == [(416, 0)]
    assert names(target) == [target.name]


@pytest.mark.parametrize("content_range", [None, "bytes */*", "nonsense"])
def test_a_part_beyond_the_end_starts_over(server, target, content_range):
    leave_part(server, target, 20_000)
    part_of(target).write_bytes(CONTENT + b"more")
    server.content_range = content_range
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [request.status for request in server.requests] == [416, 200]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_transient_server_errors_are_retried(server, target, status):
    server.statuses[PATH] = [status] * (module.ATTEMPTS - 1)
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == module.ATTEMPTS


def test_permanent_server_errors_are_not_retried_forever(server, target):
    server.statuses[PATH] = [503] * 100
    with pytest.raises(DataError, match=r"HTTP 503 Service Unavailable\); received 0 of \? bytes"):
        download(server.url + PATH, target, "a.zip")
    assert len(server.requests) == module.ATTEMPTS


def test_progress_resets_the_number_of_attempts(server, target):
    bad = [500] * (module.ATTEMPTS - 1)
    server.statuses[PATH] = [*bad, 200, *bad, 200, *bad, 200]
    server.drop_after, server.drops = 10_000, 2
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert sum(request.sent for request in server.requests) == SIZE


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 204, 206, 304])
def test_other_statuses_are_errors_at_once(server, target, status):
    server.statuses[PATH] = [status] * 100
    with pytest.raises(DataError, match=rf"{PATH}: cannot be fetched \(HTTP {status} "):
        download(server.url + PATH, target, "a.zip")
    assert len(server.requests) == 1
    assert not target.exists()


def test_waits_double_up_to_a_limit_and_respect_retry_after(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr("segcert.data.download.time.sleep", waits.append)
    for name, value in {"FIRST_WAIT_S": 0.5, "LONGEST_WAIT_S": 3, "LONGEST_RETRY_AFTER_S": 60}.items():
        monkeypatch.setattr(module, name, value)
    after = [(503, {"Retry-After": text}) for text in ("7", "3600", "Fri, 31 Dec 1999 23:59:59 GMT", "-1")]
    server.statuses[PATH] = [500, 500, 500, *after]
    download(server.url + PATH, target, "a.zip")
    assert len(waits) == 7
    for wait, least in zip(waits[:3], [0.5, 1, 2], strict=True):
        assert least <= wait <= least + 0.5
    assert waits[3:] == [7, 60, 3, 3]


def test_waits_start_again_after_progress(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr("segcert.data.download.time.sleep", waits.append)
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.5)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 30)
    server.drop_after = 3000
    download(server.url + PATH, target, "a.zip")
    assert len(waits) == SIZE // 3000
    assert max(waits) <= 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_truncated_stream_is_never_accepted_as_the_file(server, target, framing):
    server.framing, server.drop_after, server.ranges = framing, SIZE - 1, False
    with pytest.raises(DataError, match=f"received {SIZE - 1} of"):
        download(server.url + PATH, target, "a.zip")
    assert not target.exists()


def test_a_range_that_ends_before_the_total_is_continued(server, target):
    leave_part(server, target, 20_000)
    server.contents[PATH] = [CONTENT[:40_000], CONTENT]  # at first the server states the total but sends less
    server.validators, server.content_range = (), f"bytes 20000-39999/{SIZE}"
    server.statuses[PATH] = [200, 500]

    def resume(wait):
        server.content_range = None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segcert.data.download.time.sleep", resume)
        server.ranges = "blindly"
        download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [(request.range, request.sent) for request in server.requests] == [
        ("bytes=20000-", 20_000),
        ("bytes=40000-", 0),
        ("bytes=40000-", 10_000),
    ]


def test_a_silent_server_is_dropped_after_the_read_timeout(server, target, monkeypatch):
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.05)
    server.drop_after, server.drops, server.manner = 20_000, 1, "stall"
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [request.sent for request in server.requests] == [20_000, 30_000]


def test_an_unreachable_server_is_named(target):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DataError, match=rf"127.0.0.1:{port}/a.zip: cannot be fetched \(.*Connection refused\)"):
        download(f"http://127.0.0.1:{port}/a.zip", target, "a.zip")


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1/a.zip"])
def test_an_invalid_address_is_an_error_at_once(target, url, caplog):
    with pytest.raises(DataError, match=f"{url}: cannot be fetched"):
        download(url, target, "a.zip")
    assert "retrying in" not in caplog.text


def test_no_exception_of_requests_is_exposed(server, target):
    server.statuses[PATH] = [404]
    with pytest.raises(DataError) as caught:
        download(server.url + PATH, target, "a.zip")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_content_encoding_is_not_undone(server, target):
    """An archive sent with `Content-Encoding: gzip` is saved as it is stored on the server."""
    server.version = lambda content: {"ETag": '"1"', "Content-Encoding": "gzip"}
    server.drop_after = 20_000
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT


def test_a_transfer_resumes_after_kill_9(server, target, scripts):
    server.drop_after, server.manner = 3000, "stall"  # less than what a file buffers
    program = "import sys, pathlib; from segcert.data.download import download; "
    program += "download(sys.argv[1], pathlib.Path(sys.argv[2]), 'a.zip')"
    process = subprocess.Popen(
        [sys.executable, "-c", program, server.url + PATH, target], env={**os.environ, "PYTHONPATH": str(scripts)}
    )
    try:
        deadline = time.monotonic() + 30
        while not (part_of(target).exists() and part_of(target).stat().st_size == 3000):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert names(target) == [f"{target.name}.part", f"{target.name}.part.json"]
    server.drop_after = None
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [request.sent for request in server.requests] == [3000, 47_000]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupt_and_a_full_disk_pass_through_and_leave_the_part(server, target, monkeypatch, error):
    def chunks(response):
        yield response.raw.read(20_000)
        raise error

    with monkeypatch.context() as patch, pytest.raises(BaseException) as caught:  # noqa: PT011
        patch.setattr(module, "_chunks", chunks)
        download(server.url + PATH, target, "a.zip")
    assert caught.type is (error if isinstance(error, type) else OSError)
    assert part_of(target).read_bytes() == CONTENT[:20_000]
    server.requests.clear()
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == CONTENT
    assert [request.sent for request in server.requests] == [30_000]


@pytest.mark.parametrize("moment", ["emptied", "noted"])
def test_a_kill_while_starting_over_pairs_no_old_bytes_with_the_new_validator(server, target, monkeypatch, moment):
    leave_part(server, target, 20_000)
    server.contents[PATH] = [OTHER]

    def killed(path):
        raise KeyboardInterrupt

    def killed_after(response):
        raise KeyboardInterrupt
        yield

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, *(("atomic_file", killed) if moment == "emptied" else ("_chunks", killed_after)))
        download(server.url + PATH, target, "a.zip")
    download(server.url + PATH, target, "a.zip")
    assert target.read_bytes() == OTHER


def test_the_sidecar_identifies_the_part(server, target):
    leave_part(server, target, 20_000)
    assert json.loads(sidecar_of(target).read_text()) == {
        "url": server.url + PATH,
        "validator": server.version(CONTENT)["ETag"],
    }


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_few_log_lines_show_the_progress(server, target, caplog, monkeypatch, framing):
    caplog.set_level(logging.INFO, "segcert")
    monkeypatch.setattr(module, "CHUNK", 100)
    monkeypatch.setattr(module, "LOG_EVERY", 5000)
    server.framing = framing
    download(server.url + PATH, target, "the archive")
    total = SIZE if framing == "length" else r"\?"
    matches = [re.fullmatch(rf"the archive: (\d+) of {total} bytes", message) for message in caplog.messages]
    assert [int(match[1]) // 5000 for match in matches] == list(range(1, 11))


def test_the_log_shows_retries_and_resumptions(server, target, caplog):
    caplog.set_level(logging.INFO, "segcert")
    server.drop_after, server.drops = 20_000, 1
    download(server.url + PATH, target, "the archive")
    assert f"the archive: resuming from 20000 of {SIZE} bytes" in caplog.messages
    assert re.search(r"a\.zip: Connection broken: IncompleteRead.*; retrying in 0\.0 s", caplog.text)


def test_a_bar_is_shown_on_a_terminal_only(server, target, monkeypatch, capsys):
    leave_part(server, target, 20_000)
    assert not capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    download(server.url + PATH, target, "the archive")
    assert "the archive:  40%" in capsys.readouterr().err


def test_read_small(server):
    server.contents["/SHA256SUMS"] = [b"0123  a.zip\n"]
    server.statuses["/SHA256SUMS"] = [500, 429]
    server.drop_after, server.drops = 5, 1
    assert read_small(f"{server.url}/SHA256SUMS") == b"0123  a.zip\n"
    assert [request.status for request in server.requests] == [500, 429, 200, 200]


def test_read_small_gives_up(server):
    server.contents["/SHA256SUMS"] = [b"0123  a.zip\n"]
    server.drop_after = 5
    with pytest.raises(DataError, match=r"SHA256SUMS: cannot be fetched \(Connection broken.*--config mirror="):
        read_small(f"{server.url}/SHA256SUMS")
    assert len(server.requests) == module.ATTEMPTS
    server.requests.clear()
    with pytest.raises(DataError, match=r"missing: cannot be fetched \(HTTP 404 Not Found\)"):
        read_small(f"{server.url}/missing")
    assert len(server.requests) == 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_read_small_refuses_a_large_file(server, monkeypatch, framing):
    server.framing = framing
    monkeypatch.setattr(module, "SMALL_LIMIT", SIZE)
    assert read_small(server.url + PATH) == CONTENT
    monkeypatch.setattr(module, "SMALL_LIMIT", SIZE - 1)
    server.requests.clear()
    with pytest.raises(DataError, match="found more than 49999 bytes; expected a small text file"):
        read_small(server.url + PATH)
    assert len(server.requests) == 1


def test_the_server_serves_a_folder(tmp_path):
    (tmp_path / "SHA256SUMS").write_text("0123  a.zip\n")
    with FlakyServer(tmp_path) as server:
        assert read_small(f"{server.url}/SHA256SUMS") == b"0123  a.zip\n"
