"""Lineage of a run: the job that made each file, and the files that this job read, back to the archives.

The lineage is read from run records.
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
    """Error for a run that does not exist or whose records contradict each other."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A job, described by its run record. `path` is the record's path, relative to the checkout."""

    path: str
    record: dict[str, Any]

    @property
    def rule(self) -> str:
        """Name of the job's rule."""
        return str(self.record["rule"])

    @property
    def name(self) -> str:
        """Rule and wildcard values of the job, as in `sample phantom unet clean ddpm 0.5 0`."""
        return " ".join([self.rule, *map(str, self.record["wildcards"].values())])

    @functools.cached_property
    def inputs(self) -> dict[str, str]:
        """Dict that maps the path of each input to its SHA-256."""
        return dict(self.record["inputs"])

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        """Dict that maps the path of each declared output to its SHA-256."""
        return dict(self.record["outputs"])

    @property
    def output(self) -> str:
        """First declared output, which identifies the job."""
        return next(iter(self.outputs))

    @functools.cached_property
    def extra_outputs(self) -> dict[str, str]:
        """Dict that maps the path of each extra output to its SHA-256.

        Extra outputs are files that the rule does not declare, such as images and archives.
        """
        return dict(self.record.get("holds", {}))

    @property
    def clean(self) -> bool | None:
        """True if the job ran from a clean commit, False if files were changed, and None if the job ran outside Git."""
        clean: bool | None = self.record["git"]["clean"]
        return clean


@dataclasses.dataclass(frozen=True)
class Lineage:
    """Jobs that a run's report depends on.

    Attributes
    ----------
    root, run
        Path of the checkout, and name of the run.
    jobs
        Jobs in topological order: a job that makes a file comes before the jobs that read it.
    orphaned
        Jobs of the run that its report does not depend on, such as jobs for a noise level that was removed.
    unreadable, misplaced
        Files that are not valid run records, and run records that are not next to their artifacts. Both are dicts that
        map each path to the reason.
    files
        Files whose lineage was read. The collection is empty if the lineage of the complete report was read.
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
        """Read the lineage of the given files of a run, by default of its report page.

        If no job made any of these files, the lineage contains all jobs of the run. Raises LineageError if the run has
        no run records, or if its jobs depend on each other in a cycle.
        """
        root = Path(root)
        valid, unreadable, misplaced = list[Job](), dict[str, str](), dict[str, str]()
        for path, record in sorted(find_records(root), key=lambda found: found[0]):
            name = path.relative_to(root).as_posix()
            if isinstance(record, RecordError):
                (misplaced if isinstance(record, MisplacedRecordError) else unreadable)[name] = str(record)
            else:
                valid.append(Job(name, record))
        own = [job for job in valid if job.path.startswith((f"results/{run}/", f"reports/{run}/"))]
        if not own:
            runs = sorted({path.name for path in root.glob("results/[!.]*") if path.is_dir()})
            raise LineageError(
                f"{root / 'results' / run}: contains no run records. Runs in this checkout: {', '.join(runs) or 'none'}"
            )
        wanted = set(files or [f"reports/{run}/index.html"])
        last = [job for job in own if not wanted.isdisjoint(job.outputs)]
        graph = job_graph(valid)
        reached = {job.path for job in last or own}
        for job in last or own:
            reached |= networkx.ancestors(graph, job.path)
        orphaned = [job for job in own if job.path not in reached and not files]
        by_path = {job.path: job for job in valid}
        try:
            jobs = [by_path[path] for path in networkx.lexicographical_topological_sort(graph.subgraph(reached))]
        except networkx.NetworkXUnfeasible as error:
            raise LineageError(
                "run records: a file depends on itself, directly or indirectly, so a record was edited. To restore the "
                "records: dvc checkout"
            ) from error
        return cls(root, run, jobs, orphaned, unreadable, misplaced, files)

    @functools.cached_property
    def makers(self) -> dict[str, Job]:
        """Dict that maps the path of each file, including extra outputs, to the job that made it."""
        return makers(self.jobs, extra=True)

    @property
    def sources(self) -> dict[str, str]:
        """Dict with the path and the SHA-256 of each file that a job read but no job made."""
        return {path: sha256 for job in self.jobs for path, sha256 in job.inputs.items() if path not in self.makers}

    def upstream(self, job: Job) -> list[Job]:
        """Return the jobs that a job depends on, directly or indirectly, in topological order."""
        reached = networkx.ancestors(job_graph(self.jobs), job.path)
        return [each for each in self.jobs if each.path in reached]

    def downstream(self, *paths: str) -> list[str]:
        """Return every file that depends on the given files, directly or indirectly, in topological order."""
        touched = set(paths)
        for path in paths:
            maker = self.makers.get(path)
            if maker and path not in maker.outputs:  # a job that reads an image declares the index as its input
                touched |= set(maker.outputs)
        for job in self.jobs:
            if not touched.isdisjoint(job.inputs):
                touched |= set(job.outputs)
        return sorted(touched - set(paths), key=lambda path: (self.position(path), path))

    def position(self, path: str) -> int:
        """Return a file's position in topological order. A file that no job made or read comes last."""
        return self._positions.get(path, 2 * len(self.jobs))

    @functools.cached_property
    def _positions(self) -> dict[str, int]:
        """Dict that maps paths to positions. A file that no job made comes just before the first job that read it."""
        positions: dict[str, int] = {}
        for number, job in enumerate(self.jobs):
            for path in job.inputs:
                positions.setdefault(path, 2 * number)
            for path in (*job.outputs, *job.extra_outputs):
                positions.setdefault(path, 2 * number + 1)
        return positions


def makers(jobs: Iterable[Job], extra: bool = False) -> dict[str, Job]:
    """Return a dict that maps each file to the job that made it. Extra outputs are included only if `extra` is True."""
    return {path: job for job in jobs for path in (*job.outputs, *(job.extra_outputs if extra else ()))}


def job_graph(jobs: Iterable[Job]) -> "networkx.DiGraph[str]":
    """Return the directed graph of jobs, with an edge from the job that made a file to each job that read the file.

    Nodes are the paths of the jobs' run records.
    """
    jobs = list(jobs)
    made_by = makers(jobs)
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(job.path for job in jobs)
    graph.add_edges_from((made_by[path].path, job.path) for job in jobs for path in job.inputs if path in made_by)
    return graph
