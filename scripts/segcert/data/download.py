"""Download files and resume interrupted downloads. Remove secrets from URLs in messages, logs and records.

The bytes received so far are kept next to the target in `<target>.part`, and later attempts or processes resume from
there. `<target>.part.json` records the URL and the version (ETag or Last-Modified) of the download, so that bytes from
two versions of the file are never mixed.
"""

import contextlib
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from segcert.data.errors import DataError
from segcert.io.atomic import atomic_file
from segcert.io.progress import log


def public(address: str) -> str:
    """Remove the user name, password, query and fragment, which may be secret, from a URL. Return a path unchanged.

    Examples
    --------
    >>> public("https://user:secret@host:8443/sets/a.zip?X-Amz-Signature=abc")
    'https://host:8443/sets/a.zip'
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    place, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


def without_secrets(text: str, address: str) -> str:
    """Replace a URL in a text with its `public` form, and any other copy of its credentials or query with `***`."""
    if "://" not in address:
        return text
    text = text.replace(address, public(address))
    try:
        parts = urlsplit(address)
    except ValueError:
        return text
    secrets = (parts.netloc.rpartition("@")[0], parts.password, parts.query)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 30, 60
FIRST_WAIT_S, LONGEST_WAIT_S, LONGEST_RETRY_AFTER_S = 0.5, 30, 60
ATTEMPTS = 8  # maximum number of consecutive attempts that receive no new byte
TRANSIENT = {408, 425, 429}  # HTTP statuses, in addition to 5xx, after which the request is repeated
CHUNK, SMALL_LIMIT, LOG_EVERY = 1 << 20, 4 << 20, 256 << 20  # bytes
RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")  # Content-Range in responses with status 206 and 416
ADVICE = "or name a folder or URL that contains the file: --config mirror=..."
Result = TypeVar("Result")


def download(url: str, target: Path, what: str, advice: str = ADVICE) -> None:
    """Download the file at `url`. Create `target` only when the download is complete.

    Call this function again to resume a download after an error, Ctrl-C or SIGKILL. Only the missing bytes are
    requested if the server confirms that the file is unchanged. Checksums are not verified here.

    Parameters
    ----------
    url
        Address of the file. Secrets in it are removed from messages.
    target
        Path of the downloaded file.
    what
        Name of the file in progress messages.
    advice
        Text at the end of the error message that suggests an alternative to another attempt.

    Raises
    ------
    DataError
        If the download fails after many attempts. The received bytes are kept for the next call.
    OSError
        If the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(url, target, what)
    try:
        _persist(url, transfer.attempt, lambda: transfer.reached)
    except _FetchError as error:
        raise DataError(
            f"{transfer.stated}: cannot be fetched ({error}); received {transfer.reached} of "
            f"{transfer.total or '?'} bytes. Check the network connection and run snakemake again to resume after "
            f"{transfer.stored()[0]} bytes, {advice}"
        ) from None
    with transfer.part.open("rb") as file:
        os.fsync(file.fileno())
    transfer.part.replace(target)
    transfer.sidecar.unlink(missing_ok=True)


def read_small(url: str) -> bytes:
    """Return the content of a small file at `url`. Raises DataError if it cannot be fetched or is larger than 4 MiB."""

    def attempt() -> bytes:
        content = b""
        with _answer(url, {}) as response:
            for chunk in _chunks(response):
                content += chunk
                if len(content) > SMALL_LIMIT:
                    raise _FetchError(
                        f"found more than {SMALL_LIMIT} bytes; expected a small text file", transient=False
                    )
        return content

    try:
        return _persist(url, attempt, lambda: 0)
    except _FetchError as error:
        raise DataError(
            f"{public(url)}: cannot be fetched ({error}). Check the network connection and run snakemake again, "
            f"{ADVICE}"
        ) from None


class _FetchError(Exception):
    """Error for a failed download attempt.

    If `transient` is true, another attempt may succeed after `retry_after` seconds.
    """

    def __init__(self, why: str, transient: bool, retry_after: int = 0) -> None:
        super().__init__(why)
        self.transient, self.retry_after = transient, retry_after


class _Transfer:
    """The download of one file. `reached` of its `total` bytes have been received."""

    def __init__(self, url: str, target: Path, what: str) -> None:
        self.url, self.stated, self.what = url, public(url), what
        self.part = target.with_name(f"{target.name}.part")
        self.sidecar = target.with_name(f"{target.name}.part.json")
        self.reached, _ = self.stored()
        self.total: int | None = None

    def stored(self) -> tuple[int, str]:
        """Return the number of bytes received by earlier attempts, and the version of the file that they belong to."""
        try:
            match json.loads(self.sidecar.read_bytes()):
                case {"url": self.stated, "validator": str(validator)}:
                    return self.part.stat().st_size, validator
        except (FileNotFoundError, ValueError):
            pass
        return 0, ""

    def attempt(self) -> None:
        """Request the missing bytes and append them. Start over if the server cannot resume the download."""
        offset, version = self.stored()
        with _answer(self.url, {"Range": f"bytes={offset}-", "If-Range": version} if offset else {}) as response:
            if response.status_code == 200:
                self._receive(response, 0, response.raw.length_remaining)
                return
            place = RANGE.fullmatch(found := response.headers.get("Content-Range", ""))
            # Some servers ignore If-Range, so the version is also compared here if the response states one.
            if not place or int(place[1] or place[2]) != offset or _validator(response) not in ("", version):
                self.sidecar.unlink()
                raise _FetchError(
                    f"the server answered HTTP {response.status_code} with the range {found!r}, which does not begin "
                    f"at byte {offset}",
                    True,
                )
            if response.status_code == 206:
                self._receive(response, offset, int(place[2]))

    def _receive(self, response: requests.Response, offset: int, total: int | None) -> None:
        self.reached, self.total = offset, total
        every, quiet = max(1, total // 10) if total else LOG_EVERY, not sys.stderr.isatty()
        if offset:
            log.info("%s: resuming from %d of %s bytes", self.what, offset, total)
        else:
            # Remove the record of the old version before writing, because the new response may not state its version.
            self.sidecar.unlink(missing_ok=True)
        with (
            self.part.open("ab" if offset else "wb") as file,
            tqdm(None, self.what, total, leave=False, initial=offset, unit="B", unit_scale=True, disable=quiet) as bar,
        ):
            if not offset and (version := _validator(response)):
                with atomic_file(self.sidecar) as path:
                    path.write_text(json.dumps({"url": self.stated, "validator": version}) + "\n")
            for chunk in _chunks(response):
                file.write(chunk)
                file.flush()
                bar.update(len(chunk))
                self.reached += len(chunk)
                if self.reached // every > (self.reached - len(chunk)) // every:
                    log.info("%s: %d of %s bytes", self.what, self.reached, total or "?")
        if total not in (None, self.reached):
            raise _FetchError(f"the connection was closed after {self.reached} of {total} bytes", transient=True)


def _persist(url: str, attempt: Callable[[], Result], reached: Callable[[], int]) -> Result:
    """Call `attempt` until it succeeds, and return its result.

    `reached` returns the number of bytes received. Give up after ATTEMPTS consecutive calls that do not increase this
    number above its previous maximum.
    """
    farthest, failures = reached(), 0
    while True:
        try:
            return attempt()
        except _FetchError as error:
            failures += 1
            if reached() > farthest:
                farthest, failures = reached(), 0
            if not error.transient or failures == ATTEMPTS:
                raise
            back_off = FIRST_WAIT_S * (2 ** max(failures - 1, 0) + random.random())  # noqa: S311 (not a secret)
            wait = max(min(back_off, LONGEST_WAIT_S), error.retry_after)
            log.info("%s: %s; retrying in %.1f s", public(url), error, wait)
        time.sleep(wait)


@contextlib.contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
    """Request a URL and yield the response. Raises _FetchError for an unexpected status or a connection error.

    Status 200 is expected, and also 206 or 416 if `headers` request a range.
    """
    headers = {"Accept-Encoding": "identity", **headers}
    expected = {200, 206, 416} if "Range" in headers else {200}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)) as response:
            if (status := response.status_code) not in expected:
                after = response.headers.get("Retry-After", "")
                retry_after = min(int(after), LONGEST_RETRY_AFTER_S) if after.isdecimal() else 0
                raise _FetchError(f"HTTP {status} {response.reason}", status in TRANSIENT or status >= 500, retry_after)
            yield response
    except (requests.RequestException, HTTPError) as error:
        transient = isinstance(error, requests.ConnectionError | requests.Timeout | HTTPError)
        cause = error.args[0] if error.args else error
        raise _FetchError(without_secrets(str(getattr(cause, "reason", cause)), url), transient) from None


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield the bytes of a response as they were sent.

    A Content-Encoding is not decoded, because the offsets of the download refer to encoded bytes.
    """
    # Use read1, because read and iter_content can lose up to one chunk when the connection is reset.
    while chunk := response.raw.read1(CHUNK, decode_content=False):
        yield chunk


def _validator(response: requests.Response) -> str:
    """Return the file version that a response states: a strong ETag, else Last-Modified, else an empty string."""
    etag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified", "") if etag.startswith("W/") else etag
