"""A stand-in for a Kubernetes cluster: an API server that runs each pod's command on this machine.

It answers only the requests of Snakemake's executor for Kubernetes. A pod gets what its specification says: the
command, an empty working directory, and the environment from the secret. The environment with Snakemake's plugins
(.venv-cluster) replaces the image.
"""

import base64
import contextlib
import http.server
import json
import os
import re
import subprocess
import urllib.parse
from pathlib import Path

from tests.support.checkout import ROOT
from tests.system.storage.flaky_store import serving

SECRETS = "/api/v1/namespaces/default/secrets"
PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"


class Cluster:
    """Requests to the API server: `secrets` and specifications of `jobs` by name; logs of the pods."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.secrets, self.jobs, self.processes = {}, {}, {}
        self.bin = self.folder / "bin"
        self.bin.mkdir(parents=True)
        pip = self.bin / "pip"  # the image already contains the plugins
        pip.write_text("#!/bin/sh\nexit 0\n")
        pip.chmod(0o755)

    def start(self, job):
        """Start the only container of a job."""
        name, (container,) = job["metadata"]["name"], job["spec"]["template"]["spec"]["containers"]
        workdir = self.folder / name
        workdir.mkdir()
        environment = {
            each["name"]: base64.b64decode(self.secrets[of["name"]]["data"][of["key"]]).decode()
            for each in container["env"]
            for of in [each["valueFrom"]["secretKeyRef"]]
        }
        path = os.pathsep.join([str(self.bin), str(ROOT / ".venv-cluster/bin"), os.environ["PATH"]])
        environment |= {"PATH": path, "HOME": str(workdir), "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        self.jobs[name] = job
        with self.log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*container["command"], *container["args"]], cwd=workdir, env=environment, stdout=log, stderr=log
            )

    def log(self, name):
        return self.folder / f"{name}.log"

    def status(self, name):
        code = self.processes[name].poll()
        return {"active": 1} if code is None else {"failed": 1} if code else {"succeeded": 1}

    def container(self, name):
        code = self.processes[name].poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        return {"name": "snakemake", "image": "", "imageID": "", "ready": True, "restartCount": 0, "state": state}


@contextlib.contextmanager
def cluster(folder, environ):
    """Run a cluster during the block; KUBECONFIG points to it."""
    its = Cluster(folder)
    with serving(Handler, cluster=its) as address:
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "test"}
        config["users"] = [{"name": "test", "user": {}}]
        config["clusters"] = [{"name": "test", "cluster": {"server": address}}]
        config["contexts"] = [{"name": "test", "context": {"cluster": "test", "user": "test"}}]
        (its.folder / "config").write_text(json.dumps(config))
        environ("KUBECONFIG", str(its.folder / "config"))
        environ("NO_PROXY", "127.0.0.1")
        try:
            yield its
        finally:
            for process in its.processes.values():
                process.kill()
                process.wait()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == SECRETS:
            self.server.cluster.secrets[body["metadata"]["name"]] = body
        elif self.path == JOBS:
            self.server.cluster.start(body)
        else:
            self.answer({"message": f"unknown: POST {self.path}"}, 404)
            return
        self.answer(body, 201)

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        its, query = self.server.cluster, urllib.parse.parse_qs(url.query)
        if match := re.fullmatch(rf"{JOBS}/([^/]+)/status", url.path):
            name = match[1]
            self.answer({"metadata": {"name": name}, "spec": its.jobs[name]["spec"], "status": its.status(name)})
        elif url.path == PODS:
            name = query["labelSelector"][0].removeprefix("job-name=")
            status = {"containerStatuses": [its.container(name)]}
            self.answer({"items": [{"metadata": {"name": name}, "status": status}] if name in its.jobs else []})
        elif match := re.fullmatch(rf"{PODS}/([^/]+)/log", url.path):
            self.answer(its.log(match[1]).read_text())
        else:
            self.answer({"message": f"unknown: GET {self.path}"}, 404)

    def do_DELETE(self):
        self.answer({"kind": "Status", "status": "Success"})

    def answer(self, body, status=200):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
