"""The lineage of a run: which job made each file, from what, back to the archives. Read from the run records.

The certificates of a job: for each noise level some files, whose names begin alike.
"""

import dataclasses
import functools
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Self

import networkx

from segcert.provenance.records import RecordError
from segcert.provenance.staleness import MisplacedRecordError, find_records


class LineageError(ValueError):
    """A run that is not there."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A job by its run record; `path` is that of the record, relative to the checkout."""

    path: str
    record: dict[str, Any]

    @property
    def rule(self) -> str:
        """The rule that it ran."""
        return str(self.record["rule"])

    @property
    def name(self) -> str:
        """The rule and its wildcards: `sample phantom unet clean ddpm 0.5 0`."""
        return " ".join([self.rule, *map(str, self.record["wildcards"].values())])

    @functools.cached_property
    def inputs(self) -> dict[str, str]:
        """SHA-256 of what it read, by path."""
        return dict(self.record["inputs"])

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        """SHA-256 of its declared outputs, by path."""
        return dict(self.record["outputs"])

    @property
    def output(self) -> str:
        """The first of its declared outputs, which names it."""
        return next(iter(self.outputs))

    @functools.cached_property
    def extra_outputs(self) -> dict[str, str]:
        """SHA-256 of what it made or found beside its declared outputs (images and masks, archives), by path."""
        return dict(self.record.get("holds", {}))

    @property
    def clean(self) -> bool | None:
        """Whether it ran from a clean commit; None where no git was."""
        clean: bool | None = self.record["git"]["clean"]
        return clean


@dataclasses.dataclass(frozen=True)
class Lineage:
    """The jobs that a run's report comes from, those that made something before those that read it.

    Attributes
    ----------
    root, run
        The checkout, and the name of the run.
    jobs
        In the order of their work.
    orphaned
        Jobs of the run that its report does not come from: of a noise level that was taken out, for example.
    files
        The files that the lineage leads to, if not to the whole report.
    unreadable, misplaced
        Files that should be run records and are none, and records that do not stand beside what they speak of, with
        the reason.
    """

    root: Path
    run: str
    jobs: list[Job]
    orphaned: list[Job]
    unreadable: dict[str, str]
    misplaced: dict[str, str]
    files: Collection[str] = ()

    @classmethod
    def read(cls, run: str, root: str | Path = ".", files: Collection[str] = ()) -> Self:
        """Read the lineage of a run of a checkout: of some files, else of its page, else of all that is there.

        Raises LineageError where nothing of it is there.
        """
        root = Path(root)
        known, unreadable, misplaced = list[Job](), dict[str, str](), dict[str, str]()
        for path, record in sorted(find_records(root), key=lambda found: found[0]):
            name = path.relative_to(root).as_posix()
            if isinstance(record, RecordError):
                (misplaced if isinstance(record, MisplacedRecordError) else unreadable)[name] = str(record)
            else:
                known.append(Job(name, record))
        of_run = [job for job in known if job.path.startswith((f"results/{run}/", f"reports/{run}/"))]
        if not of_run:
            runs = sorted({path.name for path in root.glob("results/[!.]*") if path.is_dir()})
            raise LineageError(
                f"{root / 'results' / run}: holds no run records; the runs here: {', '.join(runs) or 'none'}"
            )
        wanted = set(files or [f"reports/{run}/index.html"])
        last = [job for job in of_run if not wanted.isdisjoint(job.outputs)]
        graph = job_graph(known)
        reached = {job.path for job in last or of_run}
        for job in last or of_run:
            reached |= networkx.ancestors(graph, job.path)
        orphaned = [job for job in of_run if job.path not in reached and not files]
        by_path = {job.path: job for job in known}
        try:
            jobs = [by_path[path] for path in networkx.lexicographical_topological_sort(graph.subgraph(reached))]
        except networkx.NetworkXUnfeasible as error:
            told = "run records: a file was made from itself, directly or not; records were edited"
            raise LineageError(told) from error
        return cls(root, run, jobs, orphaned, unreadable, misplaced, files)

    @functools.cached_property
    def makers(self) -> dict[str, Job]:
        """The job that made each file, by path, files that it holds included."""
        return makers(self.jobs, extra=True)

    @property
    def sources(self) -> dict[str, str]:
        """SHA-256 of the files that were read and that no job of the run made, by path: what came from outside."""
        return {path: sha256 for job in self.jobs for path, sha256 in job.inputs.items() if path not in self.makers}

    def upstream(self, job: Job) -> list[Job]:
        """The jobs whose files a job rests on, directly or not, in the order of the work."""
        reached = networkx.ancestors(job_graph(self.jobs), job.path)
        return [each for each in self.jobs if each.path in reached]

    def downstream(self, *paths: str) -> list[str]:
        """Every file that was made from some files, directly or not, in the order of the work."""
        touched = set(paths)
        for path in paths:
            maker = self.makers.get(path)
            if maker and path not in maker.outputs:  # an image stands for its index
                touched |= set(maker.outputs)
        for job in self.jobs:
            if not touched.isdisjoint(job.inputs):
                touched |= set(job.outputs)
        return sorted(touched - set(paths), key=lambda path: (self.place(path), path))

    def place(self, path: str) -> int:
        """Where in the order of the work a file stands; behind everything, if no job made or read it."""
        return self._places.get(path, 2 * len(self.jobs))

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        """What no job made comes before the first job that read it."""
        places: dict[str, int] = {}
        for place, job in enumerate(self.jobs):
            for path in job.inputs:
                places.setdefault(path, 2 * place)
            for path in (*job.outputs, *job.extra_outputs):
                places.setdefault(path, 2 * place + 1)
        return places


def makers(jobs: Iterable[Job], extra: bool = False) -> dict[str, Job]:
    """The job that made each file, by path; with `held`, also of the files beside its declared outputs."""
    return {path: job for job in jobs for path in (*job.outputs, *(job.extra_outputs if extra else ()))}


def job_graph(jobs: Iterable[Job]) -> "networkx.DiGraph[str]":
    """Jobs by the paths of their records; an edge from the job that made a file to each that read it."""
    jobs = list(jobs)
    made_by = makers(jobs)
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(job.path for job in jobs)
    graph.add_edges_from((made_by[path].path, job.path) for job in jobs for path in job.inputs if path in made_by)
    return graph
