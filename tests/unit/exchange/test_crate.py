"""Crates of a small run with handwritten records: an official release, images, a model, results and a report."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segcert.cli import app
from segcert.exchange.crate import write_crate
from segcert.exchange.crate_contents import CrateError, digest_uri
from segcert.provenance.code import syntax_digest
from segcert.provenance.git import find_author, git, public_address
from segcert.provenance.lineage import Lineage, LineageError

ROOT = Path(__file__).parents[3]
URL = "https://example.org/set.zip"
ARCHIVE = "data/raw/set/set.zip"
IMAGES = [f"data/prepared/set/{kind}/a.png" for kind in ("images", "masks")]
PREPARED = [f"data/prepared/set/{name}" for name in ("index.csv", "dataset.json", "splits.json", "left_out.csv")]
MODEL = "models/segmenter/set/unet-clean/model.safetensors"
DENOISED = "results/small/denoised/set/ddpm/sigma_0.5.npz"
TABLE = "results/small/certificates.parquet"
PAGE = "reports/small/index.html"


class Run:
    """A checkout with the records of a finished run named `small`."""

    def __init__(self, root):
        self.root = root
        for name in ("Snakefile", "CITATION.cff", "LICENSE"):
            shutil.copy(ROOT / name, root / name)
        for name in ("fetch", "prepare_release", "train_segmenter", "denoise_examples", "collect", "page"):
            self.write(f"scripts/{name}.py", f"print('{name}')\n")
        self.minute = 0
        self.official(True)
        self.write(ARCHIVE, "the archive")
        self.write(PREPARED[0], "image,group\n")
        for name in (*IMAGES, *PREPARED[2:], MODEL, DENOISED, TABLE, PAGE):
            self.write(name, f"contents of {name}\n")
        archive = {"name": "set.zip", "page": "https://example.org", "url": URL, "sha256": self.sha256(ARCHIVE)}
        card = {"title": "A set", "modality": "X-ray", "classes": ["background", "lungs"], "citation": "Some 2014"}
        card |= {"licence": "No redistribution", "terms": "Cite it.", "archives": [archive]}
        self.write(PREPARED[1], json.dumps(card))
        self.job("fetch", [], ["data/raw/set/manifest.json"], {"dataset": "set"}, holds=[ARCHIVE])
        self.job("prepare_release", ["data/raw/set/manifest.json"], PREPARED, {"dataset": "set"}, holds=IMAGES)
        self.job("train_segmenter", [PREPARED[0]], [MODEL], {"dataset": "set"}, {"seed": 3})
        self.job("denoise_examples", [PREPARED[0]], [DENOISED], {"dataset": "set", "sigma": "0.5"})
        self.job("collect", [MODEL], [TABLE], {}, {"settings": {"tau": 0.75, "alpha": 0.001}})
        configuration = {
            "run": "small",
            "datasets": ["set"],
            "sigmas": [0.25, 0.5],
            "tau": 0.75,
            "method": "holm",
            "looks": [60, 110],
        }
        self.job("page", [TABLE, DENOISED], [PAGE], {}, {"configuration": configuration})

    def official(self, official):
        entry = {"name": "set.zip", "bytes": 11, "official": official}
        entry["sha256"] = hashlib.sha256(b"the archive").hexdigest()
        self.write("data/raw/set/manifest.json", json.dumps({"dataset": "set", "archives": [entry], "files": {}}))

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def sha256(self, name):
        return hashlib.sha256((self.root / name).read_bytes()).hexdigest()

    def job(self, rule, inputs, outputs, wildcards, params=None, holds=()):
        script = self.root / "scripts" / f"{rule}.py"
        self.minute += 1
        record = {
            "format": "segcert-record-2", "rule": rule, "wildcards": wildcards, "params": params or {}, "threads": 1,
            "code": {script.name: syntax_digest(script.read_bytes(), script.name)}, "python": "3.11.7",
            "git": {"commit": "0" * 40, "clean": rule != "collect", "changed": ["rules/x.smk"] * (rule == "collect")},
            "machine": "Linux x86_64", "packages": {"numpy": "2.4.6", "snakemake": "9.27.1", "segcert": "0.1.0"},
            "started": f"2026-11-26T13:{self.minute:02}:00+00:00", "ended": f"2026-11-26T13:{self.minute:02}:30+00:00",
            "inputs": {name: self.sha256(name) for name in inputs},
            "outputs": {name: self.sha256(name) for name in outputs},
            "environment": {}, "locks": {}, "seconds": 30.0, "peak_memory_mib": 100, "exit": "finished",
        }  # fmt: skip
        if holds:
            record["holds"] = {name: self.sha256(name) for name in holds}
        self.write(f"{outputs[0]}.record.json", json.dumps(record))

    def crate(self, **options):
        return write_crate("small", root=self.root, **options)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def entities(crate):
    return {entity["@id"]: entity for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}


def ids(value):
    return [each["@id"] for each in (value if isinstance(value, list) else [value])]


def test_every_file_in_the_crate_has_its_digest_and_size(run):
    crate = run.crate()
    described = entities(crate)
    for name in (MODEL, TABLE, PAGE, *PREPARED, f"{MODEL}.record.json", "configuration.yaml", "Snakefile"):
        contents = (crate / name).read_bytes()
        assert described[name]["sha256"] == hashlib.sha256(contents).hexdigest()
        assert described[name]["contentSize"] == str(len(contents))
        assert name in ids(described["./"]["hasPart"])
    assert "method: holm" in (crate / "configuration.yaml").read_text()


def test_a_crate_contains_no_archives_and_no_images(run):
    crate = run.crate()
    assert not [name for name in (ARCHIVE, *IMAGES, DENOISED) if (crate / name).exists()]
    assert {path.suffix for path in crate.rglob("*")}.isdisjoint({".png", ".zip"})
    described = entities(crate)
    assert described[URL]["sha256"] == run.sha256(ARCHIVE)
    assert described[digest_uri(run.sha256(DENOISED))]["sha256"] == run.sha256(DENOISED)
    listing = json.dumps({name: run.sha256(name) for name in IMAGES}, sort_keys=True)
    images = described[digest_uri(hashlib.sha256(listing.encode()).hexdigest())]
    assert images["contentSize"] == str(sum((run.root / name).stat().st_size for name in IMAGES))
    licence = described[images["license"]["@id"]]
    assert (licence["name"], licence["description"]) == ("No redistribution", "Cite it.")
    assert "Some 2014" in [described[each]["name"] for each in ids(described["./"]["citation"])]


def test_an_archive_from_a_mirror_does_not_have_the_official_address(run):
    run.official(False)
    run.job("fetch", [], ["data/raw/set/manifest.json"], {"dataset": "set"}, holds=[ARCHIVE])
    run.job("prepare_release", ["data/raw/set/manifest.json"], PREPARED, {"dataset": "set"}, holds=IMAGES)
    described = entities(run.crate())
    assert URL not in described
    assert "Not the official release" in described[digest_uri(run.sha256(ARCHIVE))]["description"]


def test_user_supplied_images_are_named_and_not_contained(run):
    own = {name: run.write(name, name) or run.sha256(name) for name in ("own/images/a.tif", "own/masks/a.tif")}
    run.write("scripts/record_folder.py", "print('record_folder')\n")
    run.write("data/raw/set/manifest.json", json.dumps({"dataset": "set", "archives": [], "files": own}))
    run.job("record_folder", list(own), ["data/raw/set/manifest.json"], {"dataset": "set"})
    run.job("prepare_release", ["data/raw/set/manifest.json"], PREPARED, {"dataset": "set"}, holds=IMAGES)
    crate = run.crate()
    assert not (crate / "own").exists()
    described = entities(crate)
    listing = digest_uri(hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest())
    assert described[listing]["name"] == "set: 2 raw files"
    assert ids(described["#job/data/raw/set/manifest.json"]["object"])[0] == listing
    assert listing in ids(described["#run"]["object"])


def test_a_file_from_outside_is_named_and_not_contained(run):
    run.write("weights.safetensors", "trained elsewhere")
    run.job("train_segmenter", [PREPARED[0], "weights.safetensors"], [MODEL], {"dataset": "set"})
    crate = run.crate()
    weights = digest_uri(run.sha256("weights.safetensors"))
    assert not (crate / "weights.safetensors").exists()
    assert entities(crate)[weights]["name"] == "weights.safetensors"
    assert weights in ids(entities(crate)[f"#job/{MODEL}"]["object"])


def test_the_software_may_be_in_another_folder(run, tmp_path):
    software = tmp_path / "software"
    software.mkdir()
    for name in ("Snakefile", "CITATION.cff", "LICENSE", "scripts"):
        shutil.move(run.root / name, software / name)
    with pytest.raises(CrateError, match="contains no Snakefile"):
        run.crate()
    assert (run.crate(software=software) / "scripts/page.py").exists()


def test_the_command_packs_a_run(run, monkeypatch):
    monkeypatch.chdir(run.root)
    done = CliRunner().invoke(app, ["crate", "small", "--out", "shared"])
    assert done.exit_code == 0
    assert done.output.strip() == "shared"
    assert (run.root / "shared/ro-crate-metadata.json").exists()


def test_actions_have_inputs_outputs_tools_and_times(run):
    described = entities(run.crate())
    action = described[f"#job/{TABLE}"]
    assert action["instrument"] == {"@id": "scripts/collect.py"}
    assert set(ids(action["object"])) == {MODEL, "#value/tau%3D0.75", "#value/alpha%3D0.001"}
    assert ids(action["result"]) == [TABLE]
    assert (action["startTime"], action["endTime"]) == ("2026-11-26T13:05:00+00:00", "2026-11-26T13:05:30+00:00")
    assert "uncommitted changes in 1 files" in action["description"]
    assert described[f"#job/{PAGE}"]["description"].endswith(f"From commit {'0' * 40}.")
    assert described[f"#control/{TABLE}"]["instrument"] == {"@id": "Snakefile#collect"}
    assert described[f"#control/{TABLE}"]["object"] == {"@id": f"#job/{TABLE}"}
    assert described["#organize"]["result"] == {"@id": "#run"}
    assert len(ids(described["#organize"]["object"])) == 6
    assert described["#parameter/sigmas/value"]["value"] == [0.25, 0.5]
    assert described["#parameter/looks/value"]["value"] == [60, 110]
    assert described["./"]["datePublished"] == "2026-11-26T13:06:30+00:00"


def test_changed_code_is_named(run):
    run.write("scripts/collect.py", "print('otherwise')\n")
    described = entities(run.crate())
    assert "a different version of scripts/collect.py" in described[f"#job/{TABLE}"]["description"]
    assert "a different version" not in described[f"#job/{PAGE}"]["description"]


def test_the_same_run_gives_the_same_metadata_and_replaces_the_older_crate(run):
    first = {path.name: path.read_bytes() for path in run.crate().glob("*.json")}
    (run.root / "reports/small.crate/old").touch()
    crate = run.crate()
    assert {path.name: path.read_bytes() for path in crate.glob("*.json")} == first
    assert not (crate / "old").exists()


def test_a_crate_can_be_read_as_a_checkout_and_is_no_part_of_the_run(run):
    before = [job.path for job in Lineage.read("small", run.root).jobs]
    crate = run.crate()
    assert [job.path for job in Lineage.read("small", run.root).jobs] == before
    assert [job.path for job in Lineage.read("small", crate).jobs] == before


def test_results_are_hard_links_and_code_is_not(run):
    crate = run.crate()
    assert os.path.samefile(crate / TABLE, run.root / TABLE)
    assert not os.path.samefile(crate / "scripts/page.py", run.root / "scripts/page.py")


def test_an_unfinished_run_is_refused(run):
    (run.root / f"{PAGE}.record.json").unlink()
    with pytest.raises(CrateError, match=r"index\.html: has no run record.*Run snakemake first"):
        run.crate()
    assert not (run.root / "reports/small.crate").exists()
    with pytest.raises(LineageError, match="Runs in this checkout: small"):
        write_crate("other", root=run.root)


def test_a_file_that_changed_or_is_missing_is_refused(run):
    run.write(TABLE, "better numbers")
    with pytest.raises(CrateError, match=rf"{TABLE}: found [0-9a-f]{{64}}; expected [0-9a-f]{{64}}, the SHA-256"):
        run.crate()
    (run.root / MODEL).unlink()
    with pytest.raises(CrateError, match=rf"{MODEL}: found nothing"):
        run.crate()


def test_a_file_that_was_made_again_later_is_refused(run):
    run.write(MODEL, "trained again")
    run.job("train_segmenter", [PREPARED[0]], [MODEL], {"dataset": "set"})
    with pytest.raises(CrateError, match=rf"{MODEL}: this file was made again after the job `collect` read it"):
        run.crate()


def test_a_folder_that_is_not_a_crate_is_not_replaced(run, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(CrateError, match="is not a crate"):
        run.crate(out=out)
    assert (out / "thesis.tex").exists()


def test_git_gives_author_and_address_without_credentials(tmp_path):
    git("init", "-q", root=tmp_path)
    settings = {"user.name": "Ada", "remote.origin.url": "https://ada:secret@example.org/ada/segcert.git"}
    for key, value in settings.items():
        git("config", key, value, root=tmp_path)
    assert find_author(tmp_path) == ("#agent", "Ada")
    assert public_address(tmp_path) == "https://example.org/ada/segcert"
    git("config", "user.orcid", "0000-0002-1825-0097", root=tmp_path)
    assert find_author(tmp_path) == ("https://orcid.org/0000-0002-1825-0097", "Ada")
