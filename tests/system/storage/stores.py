"""Stores for published runs: two S3 servers on this machine."""

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import botocore.config
import botocore.exceptions
import botocore.session
import pytest
from tests.support.checkout import ROOT, wait_for

MOTO = ROOT / ".venv-checkers/bin/moto_server"
KEY, SECRET = "test-key", "test-secret"
BUCKET = "segcert"


@contextlib.contextmanager
def seaweedfs(checkout, place, environ):
    """Run SeaweedFS, which checks credentials."""
    place.mkdir()
    identity = {"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (place / "s3.json").write_text(json.dumps({"identities": [identity]}))
    services = ("master", "volume", "filer", "s3")
    ports = free_ports(2 * len(services))
    command = [Path(sys.executable).with_name("weed"), "server", "-s3", "-s3.config=s3.json", f"-dir={place}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.volumeSizeLimitMB=64"]
    command += ["-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-{service}.port={port}" for service, port in zip(services, ports[::2], strict=True)]
    command += [f"-{service}.port.grpc={port}" for service, port in zip(services, ports[1::2], strict=True)]
    try:
        with server(command, place, ports[-2]) as endpoint:
            use_s3(checkout, endpoint, environ)
            yield
    finally:
        for socket_file in (each for port in ports for each in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")):
            socket_file.unlink()  # weed creates them, and they remain after a kill


@contextlib.contextmanager
def moto(checkout, place, environ):
    """Run the S3 server of moto."""
    if not MOTO.exists():
        pytest.skip(f"{MOTO.relative_to(ROOT)} is missing; `make test-rest` sets it up")
    place.mkdir()
    (port,) = free_ports(1)
    with server([MOTO, "-H", "127.0.0.1", "-p", str(port)], place, port) as endpoint:
        use_s3(checkout, endpoint, environ)
        yield


def use_s3(checkout, endpoint, environ):
    """Set an S3 store as docs/how-to/s3.md does: the address in git, the credentials in the environment."""
    checkout.dvc("remote", "modify", "store", "url", f"s3://{BUCKET}/runs")
    checkout.dvc("remote", "modify", "store", "endpointurl", endpoint)
    checkout.git("commit", "-qam", "Another store")
    environ("AWS_ACCESS_KEY_ID", KEY)
    environ("AWS_SECRET_ACCESS_KEY", SECRET)
    environ("NO_PROXY", "127.0.0.1")


@contextlib.contextmanager
def server(command, place, port):
    """Run an S3 server during the block; yield its address once the bucket exists."""
    endpoint = f"http://127.0.0.1:{port}"
    with (place / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
    try:
        wait_for(lambda: process.poll() is not None or has_bucket(endpoint), (place / "log").read_text, seconds=60)
        assert process.poll() is None, f"{command[0]} does not serve S3: {(place / 'log').read_text()[-2000:]}"
        yield endpoint
    finally:
        process.kill()
        process.wait()


def has_bucket(endpoint):
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    impatient = botocore.config.Config(retries={"max_attempts": 0}, proxies={})
    client = botocore.session.get_session().create_client("s3", endpoint_url=endpoint, config=impatient, **keys)
    try:
        client.create_bucket(Bucket=BUCKET)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return False
    return True


def free_ports(count):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
