"""Checkouts that stand for machines which share nothing but a bucket."""

import contextlib
import re
import subprocess

import botocore.session
from tests.support.checkout import ROOT, TINY, Checkout, make_checkout
from tests.system.storage import stores

SNAKEMAKE = ROOT / ".venv-cluster/bin/snakemake"
# A part of the tiny run, with the same files as in the whole of it.
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
        """The rules that are stale; a plan with nothing to do says so."""
        output = self.snakemake("-n", *arguments).output
        stale = set(re.findall(r"^rule (\w+):", output, re.MULTILINE))
        assert stale or "Nothing to be done" in output, output
        return stale


def clone(machine, path):
    """Another machine: what git holds, and nothing that was run."""
    subprocess.run(["git", "clone", "-q", machine.path, path], check=True)
    return Machine(path)


def client():
    """A client of the bucket, by the environment."""
    return botocore.session.get_session().create_client("s3")


def names(prefix=""):
    """The names of what is in the bucket."""
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=stores.BUCKET, Prefix=prefix)
    return [each["Key"] for page in pages for each in page.get("Contents", [])]


def contents(prefix=""):
    """What is in the bucket, by name."""
    its = client()
    return {name: its.get_object(Bucket=stores.BUCKET, Key=name)["Body"].read() for name in names(prefix)}


def fresh(path):
    """A machine with nothing run, and a commit."""
    return Machine(make_checkout(path).path).commit_everything()


@contextlib.contextmanager
def bucket(machine, place, environ):
    """A bucket of SeaweedFS while the block lasts, for runs and for DVC."""
    with stores.seaweedfs(machine, place, environ):
        endpoint = re.search(r"endpointurl = (\S+)", (machine.path / ".dvc/config").read_text())[1]
        environ("AWS_ENDPOINT_URL", endpoint)
        environ("AWS_DEFAULT_REGION", "us-east-1")
        yield


def with_a_copy(machine, path):
    """Another machine, and a copy of the data and the models in the bucket for it to go on from."""
    other = clone(machine, path)
    other.prefix = f"s3://{stores.BUCKET}/{path.name}"
    for name in names("tiny/"):
        if name.startswith(("tiny/data/", "tiny/models/")):
            copy = name.replace("tiny", path.name, 1)
            client().copy_object(Bucket=stores.BUCKET, Key=copy, CopySource=f"{stores.BUCKET}/{name}")
    return other
