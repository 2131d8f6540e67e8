"""Tools, steps and actions with which a crate describes a run (profile Provenance Run Crate 0.5).

Each rule is a step, and its script is a tool. Each run record becomes a CreateAction with the job's inputs, outputs,
times and hardware, and a ControlAction with the step that started the job. A further CreateAction describes the run of
the complete workflow, and an OrganizeAction describes the run of Snakemake. The profile is described at
https://w3id.org/ro/wfrun/provenance/0.5.
"""

import dataclasses
from typing import Any
from urllib.parse import quote

from rocrate.rocrate import ROCrate

from segcert.config import Config
from segcert.exchange.crate_contents import Contents, one_or_many, ref, refs
from segcert.provenance.lineage import Job
from segcert.provenance.records import SUFFIX

# Configuration keys that a crate describes as workflow inputs
PARAMETERS = [
    "datasets",
    "models",
    "denoisers",
    "image_size",
    "sigmas",
    "n0",
    "n",
    "looks",
    "stop_at_abstention",
    "tau",
    "alpha",
    "method",
    "noise",
    "seed",
]
TABLES = ("certificates", "intervals", "attacks", "budget", "radii")
TYPES = {int: "Integer", float: "Float", bool: "Boolean"}
USED = {
    "seconds": ("wall-clock time", "https://qudt.org/vocab/unit/SEC"),
    "peak_memory_mib": ("peak memory", "https://qudt.org/vocab/unit/MebiBYTE"),
}
COMPLETED = "http://schema.org/CompletedActionStatus"
WORKFLOW = "Snakefile"


@dataclasses.dataclass(frozen=True)
class Work:
    """Writer of a run's tools, steps and actions. `author` is the @id of the run's author."""

    crate: ROCrate
    contents: Contents
    author: str

    @property
    def jobs(self) -> list[Job]:
        """Jobs of the run, in topological order."""
        return self.contents.lineage.jobs

    def tools(self) -> list[str]:
        """Return the paths of the jobs' scripts, without duplicates."""
        return list(dict.fromkeys(map(job_script, self.jobs)))

    def steps(self) -> list[str]:
        """Return the @id of each step, in topological order."""
        return list(dict.fromkeys(_step_id(job) for job in self.jobs))

    def packages(self, script: str) -> list[str]:
        """Add the packages that a script imported, and return their @ids, which are package URLs (purl)."""
        purls = set()
        for job in self.jobs:
            if job_script(job) != script:
                continue
            for name, version in job.record["packages"].items():
                if name == "segcert":
                    continue
                purl = f"pkg:pypi/{name}@{quote(version)}"
                purls.add(self._add(purl, "SoftwareApplication", name=name, softwareVersion=version, url=purl))
        return sorted(purls)

    def add_actions(self) -> list[str]:
        """Add the steps and the actions, and return the @ids of the actions."""
        first: dict[str, Job] = {}
        for job in self.jobs:
            first.setdefault(_step_id(job), job)
        for position, (step, job) in enumerate(first.items()):
            self._add(step, "HowToStep", name=job.rule, position=str(position), workExample=ref(job_script(job)))
        for job in self.jobs:
            self._add_job(job)
        self._add_run()
        return ["#run", *map(action_id, self.jobs)]

    def _add_job(self, job: Job) -> None:
        files = self.contents.identifiers
        read = [files[path] for path in job.inputs]
        self._add(
            action_id(job),
            "CreateAction",
            name=job.name,
            description=self._describe(job),
            instrument=ref(job_script(job)),
            agent=ref(self.author),
            startTime=job.record["started"],
            endTime=job.record["ended"],
            actionStatus=COMPLETED,
            object=refs(read + self._add_values(job)),
            result=refs(files[path] for path in (*job.outputs, *job.extra_outputs)),
            resourceUsage=refs(self._add_usage(job)),
            subjectOf=ref(quote(job.path)),
        )
        step, action = ref(_step_id(job)), ref(action_id(job))
        self._add(_control_id(job), "ControlAction", name=f"Step {job.rule}", instrument=step, object=action)

    def _describe(self, job: Job) -> str:
        record, git = job.record, job.record["git"]
        device = record.get("device") or f"cpu, {record['threads']} threads"
        text = f"On {device}; {record['machine']}, Python {record['python']}. "
        if job.clean is None:
            text += "The job ran outside Git, so only the digests in the run record identify its code."
        elif job.clean:
            text += f"From commit {git['commit']}."
        else:
            text += (
                f"From commit {git['commit']} with uncommitted changes in {len(git['changed'])} files, which the run "
                "record lists. The commit is not sufficient to reproduce this result."
            )
        if replaced := self.contents.replaced_code(job):
            text += f" The crate contains a different version of {', '.join(replaced)}."
        return text

    def _add_values(self, job: Job) -> list[str]:
        """Add a job's wildcards and the params in PARAMETERS as PropertyValues, and return their @ids."""
        params = job.record["params"]
        settings = params["settings"] if isinstance(params.get("settings"), dict) else {}
        varied = {name: value for name, value in (settings | params).items() if name in PARAMETERS}
        identifiers = []
        for name, value in (job.record["wildcards"] | varied).items():
            if isinstance(value, str | int | float):
                identifier = f"#value/{quote(f'{name}={value}')}"
                identifiers.append(self._add(identifier, "PropertyValue", name=name, value=value))
        return identifiers

    def _add_usage(self, job: Job) -> list[str]:
        """Add a job's time and peak memory as PropertyValues, and return their @ids."""
        identifiers = []
        for key, (name, unit) in USED.items():
            about = {"propertyID": f"urn:segcert:record:{key}", "unitCode": unit, "value": job.record[key]}
            identifiers.append(self._add(f"#usage/{_artifact_id(job)}/{key}", "PropertyValue", name=name, **about))
        return identifiers

    def _add_run(self) -> None:
        """Add the actions for the workflow run and for Snakemake."""
        contents, run = self.contents, self.contents.lineage.run
        common = {
            "startTime": min(job.record["started"] for job in self.jobs),
            "endTime": max(job.record["ended"] for job in self.jobs),
            "actionStatus": COMPLETED,
            "agent": ref(self.author),
        }
        read = ["configuration.yaml", *self._add_parameters()]
        read += [group.identifier for group in contents.groups if group.title.startswith("raw")]
        for job in self.jobs:
            if not job.rule.startswith("prepare"):  # for other rules, the extra outputs are archives
                read += [contents.identifiers[path] for path in job.extra_outputs if path in contents.described]
        read += [contents.identifiers[path] for path in contents.lineage.sources]
        results = (f"reports/{run}/", *(f"results/{run}/{table}.parquet" for table in TABLES))
        dirty = sum(job.clean is not True for job in self.jobs)
        self._add(
            "#run",
            "CreateAction",
            name=f"Run {run} of segcert",
            description=f"The run has {len(self.jobs)} jobs; {dirty} of them did not run from a clean commit.",
            instrument=ref(WORKFLOW),
            object=refs(read),
            result=refs(quote(path) for path in contents.files if path.startswith(results)),
            **common,
        )
        version = contents.page.record["packages"].get("snakemake", "unknown")
        address = "https://snakemake.github.io"
        self._add("#engine", "SoftwareApplication", name="Snakemake", url=address, softwareVersion=version)
        self._add(
            "#organize",
            "OrganizeAction",
            name=f"Snakemake's run of {run}",
            instrument=ref("#engine"),
            object=refs(map(_control_id, self.jobs)),
            result=ref("#run"),
            **common,
        )

    def _add_parameters(self) -> list[str]:
        """Add the main configuration keys as workflow inputs, and return the @ids of their values."""
        configuration = self.contents.page.record["params"]["configuration"]
        identifiers = []
        for name in PARAMETERS:
            value = configuration.get(name, [])
            if value == []:  # no looks, or a key that an earlier version lacked
                continue
            example = value[0] if isinstance(value, list) and value else value
            kind = TYPES.get(type(example), "Text")
            description = Config.model_fields[name].description
            parameter = self.crate.add_formal_parameter(name, kind, f"#parameter/{name}", description)
            self.crate.mainEntity.append_to("input", parameter)
            shown = one_or_many(value) if isinstance(value, list) else value
            about = {"value": shown, "exampleOfWork": ref(parameter.id)}
            identifiers.append(self._add(f"#parameter/{name}/value", "PropertyValue", name=name, **about))
        return identifiers

    def _add(self, identifier: str, kind: str, **properties: Any) -> str:
        """Add an entity unless the crate already contains it, and return its @id."""
        if not self.crate.get(identifier):
            filled = {name: value for name, value in properties.items() if value not in ([], None)}
            self.crate.add_jsonld({"@id": identifier, "@type": kind, **filled})
        return identifier


def job_script(job: Job) -> str:
    """Return the path of a job's script: its only code file outside the library."""
    scripts = [name for name in job.record["code"] if "/" not in name]
    return f"scripts/{scripts[0] if scripts else f'{job.rule}.py'}"


def action_id(job: Job) -> str:
    """Return the @id of a job's CreateAction."""
    return f"#job/{_artifact_id(job)}"


def _control_id(job: Job) -> str:
    return f"#control/{_artifact_id(job)}"


def _step_id(job: Job) -> str:
    return f"{WORKFLOW}#{job.rule}"


def _artifact_id(job: Job) -> str:
    return quote(job.path.removesuffix(SUFFIX))
