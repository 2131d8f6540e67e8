# What travels with the files of a run in a bucket, for jobs that begin in an empty folder: with each file the run record
# of the job that made it and, packed in one file, what that job made beside its outputs (images, archives).

from functools import cache

from segcert.provenance.storage import PACKED
from segcert.provenance.records import SUFFIX
from snakemake.io import apply_wildcards, is_callable, strip_wildcard_constraints

PACKING = {"fetch", "prepare_phantom", "prepare_release", "prepare_folder", "import_adm"}  # their records have `holds`
RECORDED = [rule for rule in workflow.rules if rule.output and rule.benchmark]


def maker(path):
    """The rule that makes a file of the run, and the wildcards that it makes it with; None for a file of one's own."""
    copy = f"{COPIES}/{plain(path)}"
    return next(((each, each.get_wildcards(copy)) for each in RECORDED if each.is_producer(copy)), None)


def named(pattern, wildcards):
    """The name in the run of an output or input of a rule."""
    return plain(pattern.apply_wildcards(wildcards))


@cache
def made_with(path):
    """All outputs of the job that makes a file, its companions among them."""
    made = maker(path)
    return [named(pattern, made[1]) for pattern in made[0].output] if made else []


def companions(paths):
    """What travels with files: run records; all of a job that packs files, whose readers look beside their input."""
    made = map(made_with, paths)
    return [each for files in made for each in files if each.endswith(SUFFIX) or files[-1].endswith(PACKED)]


def benchmark_of(path):
    """The benchmark file of the job that makes a file."""
    its, wildcards = maker(path)
    return named(its.benchmark, wildcards)


def declared(its, items, wildcards):
    """Names of inputs that a rule declares, input functions called."""
    for item in items:
        if is_callable(item):
            values = strings(its.apply_input_function(item, wildcards)[0])
            yield from (plain(apply_wildcards(str(path), wildcards)) for path in values)
        else:
            yield named(item, wildcards)


def strings(value):
    """The strings in nested lists and dictionaries."""
    if isinstance(value, (str, Path)):
        return [value]
    return [each for inner in (value.values() if isinstance(value, dict) else value) for each in strings(inner)]


def bring_along(its, more):
    """Let what travels with its inputs be inputs of a rule, and the files that `more` names: records first.

    Whether a job is stale is for the inputs alone that it has without a bucket: the rest is `ancient`.
    """
    items = list(its.input)

    def brought(wildcards):
        own = list(declared(its, items, wildcards))
        others = dict.fromkeys(each for each in [*companions(own), *more()] if each not in own)
        return [ancient(each) for each in sorted(others, key=lambda path: not path.endswith(SUFFIX))]

    its.set_input(brought)


MORE = {
    "summary": lambda: companions(made_before_the_report()),
    "check": lambda: all_of(made_before_the_report()),
    "stages": lambda: [*companions(recorded_artifacts()), *map(benchmark_of, recorded_artifacts())],
    "page": lambda: companions(recorded_artifacts()),
    "version_results": lambda: all_of([*recorded_artifacts(), rules.stages.output.table, PAGE]),
}


def all_of(artifacts):
    """Everything that the jobs made that made some artifacts."""
    return [each for path in artifacts for each in made_with(path)]


if STORED:
    for each in RECORDED:
        first = plain(strip_wildcard_constraints(each.output[0]))
        each.set_output(f"{first}{SUFFIX}", *([f"{first}{PACKED}"] if each.name in PACKING else []))
    for name in [*(each.name for each in RECORDED), "version_data", "version_models", "version_results"]:
        bring_along(workflow.get_rule(name), MORE.get(name, list))
    workflow.get_rule("version_results").set_output(f"{REPORT}.dvc")

    localrules:
        version_data,
        version_models,
        version_results,
        record_folder,
        prepare_folder,
        push,
