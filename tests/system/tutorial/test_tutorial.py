"""The tutorial as a reader types it: write its files and run its commands, block by block.

Differences: the tiny run, which has finished already, replaces `make run`, and commands without a configuration use it.
`config/clinic.yaml` gets the sizes and steps of the tiny run, one noise level, one regime and no attacks.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml
from tests.support.checkout import TINY
from tests.support.pages import blocks, described

PAGE = "docs/tutorial.md"
CONFIG = "config/clinic.yaml"
SHORTER = {"sigmas": [0.25], "regimes": ["clean"], "attack": {"images": 0}}
FIELDS = described("docs/reference/files.md")["<name>.certificate.json"]
BIN = Path(sys.executable).parent

COMMANDS = {
    "snakemake": f"""#!/bin/sh
case " $* " in *" --configfile "*) exec {BIN}/snakemake "$@" ;; esac
exec {BIN}/snakemake --configfile {TINY} "$@"
""",
    "segcert": f"""#!/bin/sh
PYTHONPATH="scripts:$PYTHONPATH" exec {BIN}/segcert "$@"
""",
}


def test_every_step_of_the_tutorial_works(finished):
    settings = yaml.safe_load((finished.path / TINY).read_text())
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for name, script in COMMANDS.items():
        path = finished.path / ".venv/bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)

    first, *following = blocks(PAGE)
    assert first.text == "make run\n"
    said = ""
    for block in following:
        if block.title == CONFIG:
            settings |= yaml.safe_load(block.text) | SHORTER
            (finished.path / CONFIG).write_text(yaml.safe_dump(settings))
        elif block.title:
            (finished.path / block.title).write_text(block.text)
        else:
            command = ["bash", "-e", "-c", block.text]
            where = {"cwd": finished.path, "env": environment}
            done = subprocess.run(command, capture_output=True, text=True, check=False, **where)
            assert done.returncode == 0, f"{PAGE}:{block.line}:\n{block.text}\n{done.stdout}{done.stderr}"
            said += done.stdout + done.stderr
            if "export PYTHONPATH=." in block.text:
                environment["PYTHONPATH"] = "."

    assert said.count("Nothing to be done") == 1, "nothing runs twice"
    assert "certify" in said
    assert said.count("\nGuarantee\n") == 2
    assert "passed: " in said
    assert (finished.path / "reports/clinic/data.html").is_file()
    assert (finished.path / "reports/clinic/index.html").is_file()
    for certificate in finished.files("certified/*.certificate.json"):
        assert set(json.loads(certificate.read_text())) == set(FIELDS)
    rows = pd.read_parquet(finished.path / "results/clinic/certificates.parquet")
    assert set(rows["model"]) == {"lungnet"}
    assert set(rows["class_name"]) == {"lungs", "heart"}
    assert "models/segmenter/clinic/lungnet-clean" in said, "the trace of a row includes the model"
