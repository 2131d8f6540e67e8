"""Fill roc-validator's HTTP cache so that it needs no network. Run this script with the Python in .venv-checkers.

The argument is the path of the cache without its suffix .sqlite. rocrate 0.13 ships the official context of RO-Crate
1.1; later versions ship the context of RO-Crate 1.3, which contains more terms. No package ships the terms for workflow
runs, so they are listed here as published at https://w3id.org/ro/terms/workflow-run/context.
"""

import importlib.metadata
import io
import json
import sys

import requests
from requests.adapters import BaseAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

RO_CRATE = "https://w3id.org/ro/crate/1.1/context"
RUNS = "https://w3id.org/ro/terms/workflow-run"
TERMS = """
ParameterConnection ContainerImage DockerImage SIFImage connection sourceParameter targetParameter md5 sha1 sha256
sha512 environment registry tag containerImage resourceUsage
"""


def contexts():
    file = importlib.metadata.distribution("rocrate").locate_file("rocrate/data/ro-crate.jsonld")
    shipped = json.loads(file.read_text())
    if shipped["@id"] != RO_CRATE:
        raise SystemExit(
            f"rocrate in .venv-checkers: found {shipped['@id']}; expected {RO_CRATE}; install rocrate 0.13"
        )
    return {RO_CRATE: shipped, f"{RUNS}/context": {"@context": {term: f"{RUNS}#{term}" for term in TERMS.split()}}}


class Local(BaseAdapter):
    """Answer requests for the contexts locally, in place of their servers."""

    def __init__(self):
        super().__init__()
        self.contexts = contexts()

    def send(self, request, **_):
        body = io.BytesIO(json.dumps(self.contexts[request.url]).encode())
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.raw = HTTPResponse(body, status=200, preload_content=False)
        response.headers["Content-Type"] = "application/ld+json"
        return response

    def close(self):
        pass


if __name__ == "__main__":
    session = CachedSession(sys.argv[1], backend="sqlite", expire_after=-1)
    session.mount("https://", Local())
    for url in contexts():
        session.get(url).raise_for_status()
