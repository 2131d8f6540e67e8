"""The work of a run in a crate: tools, steps and actions of the profile Provenance Run Crate 0.5.

A tool is the script of a rule, a step is the rule; each run record becomes a CreateAction (what a tool read and made,
when, on what) and a ControlAction (which step asked for it); one CreateAction is the run of the whole workflow and one
OrganizeAction that of Snakemake. https://w3id.org/ro/wfrun/provenance/0.5
"""

import dataclasses
from typing import Any
from urllib.parse import quote

from rocrate.rocrate import ROCrate

from segcert.config import Config
from segcert.exchange.crate_contents import Contents
from segcert.exchange.crate_data import one_or_many
from segcert.provenance.lineage import Job
from segcert.provenance.records import SUFFIX

PARAMETERS = (
    "datasets",
    "models",
    "denoisers",
    "image_size",
    "sigmas",
    "n0",
    "n",
    "tau",
    "alpha",
    "method",
    "noise",
    "seed",
)
SECONDS, MEBIBYTES = "https://qudt.org/vocab/unit/SEC", "https://qudt.org/vocab/unit/MebiBYTE"
COMPLETED = "http://schema.org/CompletedActionStatus"
WORKFLOW = "Snakefile"


@dataclasses.dataclass(frozen=True)
class Work:
    """Adds the tools, steps and actions of a run to a crate. `agent` is the @id of who ran it."""

    crate: ROCrate
    contents: Contents
    agent: str

    @property
    def jobs(self) -> list[Job]:
        """The jobs of the run, in the order of their work."""
        return self.contents.lineage.jobs

    def add(self) -> list[str]:
        """Add all of it; return the @id of the actions."""
        for rule in dict.fromkeys(job.rule for job in self.jobs):
            self._add_step(rule)
        for job in self.jobs:
            self._add_job(job)
        return [self._add_run(), *map(action_id, self.jobs)]

    def tools(self) -> list[str]:
        """The scripts that the jobs ran, by path."""
        return list(dict.fromkeys(map(script_of, self.jobs)))

    def steps(self) -> list[str]:
        """The @id of each step, in the order of the work."""
        return [f"{WORKFLOW}#{rule}" for rule in dict.fromkeys(job.rule for job in self.jobs)]

    def packages(self, script: str) -> list[str]:
        """Add the packages that a script imported, by their package URL (purl); return the @id of each."""
        found = {
            f"pkg:pypi/{name}@{quote(version)}": (name, version)
            for job in self.jobs
            if script_of(job) == script
            for name, version in job.record["packages"].items()
            if name != "segcert"
        }
        for purl, (name, version) in found.items():
            if not self.crate.get(purl):
                self._add(purl, "SoftwareApplication", name=name, softwareVersion=version, url=purl)
        return sorted(found)

    def _add_step(self, rule: str) -> None:
        first = next(job for job in self.jobs if job.rule == rule)
        identifier = f"{WORKFLOW}#{rule}"
        position = str(self.steps().index(identifier))
        self._add(identifier, "HowToStep", name=rule, position=position, workExample=ref(script_of(first)))

    def _add_job(self, job: Job) -> None:
        files = self.contents.identifiers
        self._add(
            action_id(job), "CreateAction",
            name=job.name,
            description=self._describe(job),
            instrument=ref(script_of(job)),
            agent=ref(self.agent),
            startTime=job.record["started"],
            endTime=job.record["ended"],
            actionStatus=COMPLETED,
            object=refs([files[path] for path in job.inputs] + self._values(job)),
            result=refs(files[path] for path in (*job.outputs, *job.holds)),
            resourceUsage=refs(self._usage(job)),
            subjectOf=ref(quote(job.path)),
        )  # fmt: skip
        step = ref(f"{WORKFLOW}#{job.rule}")
        self._add(
            control_id(job), "ControlAction", name=f"Step {job.rule}", instrument=step, object=ref(action_id(job))
        )

    def _describe(self, job: Job) -> str:
        record, git = job.record, job.record["git"]
        device = record.get("device") or f"cpu, {record['threads']} threads"
        where = f"On {device}; {record['machine']}, Python {record['python']}."
        if job.clean is None:
            state = "Outside of git: no commit says which code ran, only its digests in the run record."
        elif job.clean:
            state = f"From commit {git['commit']}."
        else:
            state = (
                f"From commit {git['commit']} with uncommitted changes in {len(git['changed'])} files, which the run "
                "record lists: the commit alone does not give this result."
            )
        later = self.contents.later_code(job)
        return " ".join([where, state] + ([f"The crate holds another version of {', '.join(later)}."] if later else []))

    def _values(self, job: Job) -> list[str]:
        """The wildcards and the parameters of a job that people vary, as PropertyValues; their @id."""
        params = job.record["params"]
        settings = params["settings"] if isinstance(params.get("settings"), dict) else {}
        varied = {name: value for name, value in (settings | params).items() if name in PARAMETERS}
        identifiers = []
        for name, value in (job.record["wildcards"] | varied).items():
            if isinstance(value, str | int | float):
                identifiers.append(f"#value/{quote(f'{name}={value}')}")
                if not self.crate.get(identifiers[-1]):
                    self._add(identifiers[-1], "PropertyValue", name=name, value=value)
        return identifiers

    def _usage(self, job: Job) -> list[str]:
        base = f"#usage/{quote(job.path.removesuffix(SUFFIX))}"
        quantities = (("seconds", "wall-clock time", SECONDS), ("peak_memory_mib", "peak memory", MEBIBYTES))
        for key, name, unit in quantities:
            self._add(
                f"{base}/{key}", "PropertyValue",
                name=name, propertyID=f"urn:segcert:record:{key}", unitCode=unit, value=job.record[key],
            )  # fmt: skip
        return [f"{base}/{key}" for key, *_ in quantities]

    def _add_run(self) -> str:
        """The run of the workflow and of its engine; the @id of the former."""
        run = self.contents.lineage.run
        start, end = min(job.record["started"] for job in self.jobs), max(job.record["ended"] for job in self.jobs)
        times = {"startTime": start, "endTime": end, "actionStatus": COMPLETED, "agent": ref(self.agent)}
        groups = [group.identifier for group in self.contents.groups if group.title.startswith("raw")]
        archives = [
            self.contents.identifiers[path]
            for job in self.jobs
            if not job.rule.startswith("prepare")
            for path in job.holds
            if path in self.contents.described
        ]
        sources = [self.contents.identifiers[path] for path in self.contents.lineage.sources]
        dirty = sum(job.clean is not True for job in self.jobs)
        self._add(
            "#run", "CreateAction",
            name=f"Run {run} of segcert",
            description=f"{len(self.jobs)} jobs, {dirty} of them not from a clean commit.",
            instrument=ref(WORKFLOW),
            object=refs(["configuration.yaml", *self._parameters(), *groups, *archives, *sources]),
            result=refs(quote(path) for path in self.contents.files if path.startswith(_results(run))),
            **times,
        )  # fmt: skip
        self._add("#engine", "SoftwareApplication", name="Snakemake", url="https://snakemake.github.io",
                  softwareVersion=self.contents.page.record["packages"].get("snakemake", "unknown"))  # fmt: skip
        self._add(
            "#organize", "OrganizeAction",
            name=f"Snakemake's run of {run}",
            instrument=ref("#engine"),
            object=refs(map(control_id, self.jobs)),
            result=ref("#run"),
            **times,
        )  # fmt: skip
        return "#run"

    def _parameters(self) -> list[str]:
        """The parameters of the configuration that matter, as inputs of the workflow; the @id of their values."""
        configuration = self.contents.page.record["params"]["configuration"]
        identifiers = []
        for name in (name for name in PARAMETERS if name in configuration):
            value = configuration[name]
            parameter = self.crate.add_formal_parameter(
                name, _type_of(value), f"#parameter/{name}", Config.model_fields[name].description
            )
            self.crate.mainEntity.append_to("input", parameter)
            identifiers.append(f"#parameter/{name}/value")
            shown = one_or_many(value) if isinstance(value, list) else value
            self._add(identifiers[-1], "PropertyValue", name=name, value=shown, exampleOfWork=ref(parameter.id))
        return identifiers

    def _add(self, identifier: str, kind: str, **properties: Any) -> None:
        filled = {name: value for name, value in properties.items() if value not in ([], None)}
        self.crate.add_jsonld({"@id": identifier, "@type": kind, **filled})


def script_of(job: Job) -> str:
    """The script that a job ran, by path: the part of its code that is not of the library."""
    scripts = [name for name in job.record["code"] if "/" not in name]
    return f"scripts/{scripts[0] if scripts else f'{job.rule}.py'}"


def action_id(job: Job) -> str:
    """The @id of the CreateAction of a job."""
    return f"#job/{quote(job.path.removesuffix(SUFFIX))}"


def control_id(job: Job) -> str:
    """The @id of the ControlAction of a job."""
    return f"#control/{quote(job.path.removesuffix(SUFFIX))}"


def ref(identifier: str) -> dict[str, str]:
    """A reference to an entity."""
    return {"@id": identifier}


def refs(identifiers: Any) -> Any:
    """References to entities, each once."""
    return one_or_many([ref(identifier) for identifier in dict.fromkeys(identifiers)])


def _type_of(value: Any) -> str:
    value = value[0] if isinstance(value, list) and value else value
    return {int: "Integer", float: "Float", bool: "Boolean"}.get(type(value), "Text")


def _results(run: str) -> tuple[str, ...]:
    tables = ("certificates", "intervals", "attacks", "budget", "radii")
    return (f"reports/{run}/", *(f"results/{run}/{table}.parquet" for table in tables))
