"""Checkouts that represent machines which share only a bucket."""

import contextlib
import re
import subprocess

import botocore.session
from tests.support.checkout import ROOT, TINY, Checkout, make_checkout
from tests.system.storage import stores

SNAKEMAKE = ROOT / ".venv-cluster/bin/snakemake"
# A part of the tiny run, with the same files as the whole run.
PART = ("--config", "regimes=[clean]", "denoisers=[none]", "sigmas=[0.25]", "attack={images: 0}")
MODEL = "models/segmenter/phantom/unet-clean"
PREDICTIONS = "results/tiny/predictions/phantom/unet-clean.npz"


class Machine(Checkout):
    """A checkout that works on the files below a prefix of the bucket."""

    prefix = f"s3://{stores.BUCKET}/tiny"
    profile = "profiles/s3"

    def command(self, *arguments, configfile=TINY):
        storage = ["--profile", self.profile, "--default-storage-prefix", self.prefix]
        return [SNAKEMAKE, *storage, "--configfile", configfile, "--cores", "2", *arguments, *PART]

    def plan(self, *arguments):
        """Return the stale rules; a plan without any must say so."""
        output = self.snakemake("-n", *arguments).output
        stale = set(re.findall(r"^rule (\w+):", output, re.MULTILINE))
        assert stale or "Nothing to be done" in output, output
        return stale


def clone(machine, path):
    """Return another machine: a clone in which nothing has run."""
    subprocess.run(["git", "clone", "-q", machine.path, path], check=True)
    return Machine(path)


def client():
    """Return a client of the bucket, configured by the environment."""
    return botocore.session.get_session().create_client("s3")


def names(prefix=""):
    """Return the names of the objects in the bucket."""
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=stores.BUCKET, Prefix=prefix)
    return [each["Key"] for page in pages for each in page.get("Contents", [])]


def contents(prefix=""):
    """Return the contents of the bucket by name."""
    its = client()
    return {name: its.get_object(Bucket=stores.BUCKET, Key=name)["Body"].read() for name in names(prefix)}


def fresh(path):
    """Return a machine with one commit in which nothing has run."""
    return Machine(make_checkout(path).path).commit_everything()


@contextlib.contextmanager
def bucket(machine, place, environ):
    """Run a bucket of SeaweedFS during the block, for runs and for DVC."""
    with stores.seaweedfs(machine, place, environ):
        endpoint = re.search(r"endpointurl = (\S+)", (machine.path / ".dvc/config").read_text())[1]
        environ("AWS_ENDPOINT_URL", endpoint)
        environ("AWS_DEFAULT_REGION", "us-east-1")
        yield


def with_a_copy(machine, path):
    """Return another machine, with its own copy of the data and models in the bucket."""
    other = clone(machine, path)
    other.prefix = f"s3://{stores.BUCKET}/{path.name}"
    for name in names("tiny/"):
        if name.startswith(("tiny/data/", "tiny/models/")):
            copy = name.replace("tiny", path.name, 1)
            client().copy_object(Bucket=stores.BUCKET, Key=copy, CopySource=f"{stores.BUCKET}/{name}")
    return other
