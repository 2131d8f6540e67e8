# Functions that rules call: paths of logs, resources, digests of code, and files and settings by wildcards


def logs(name):
    """Return the log of a job."""
    return f"logs/{name}.log"


def benchmarks(name):
    """Return the file with the time and memory of a job."""
    return f"logs/{name}.tsv"


def needs(mib=2000, minutes=15, **others):
    """Return the resources of a job: memory (a number, or a function of the wildcards), minutes and others."""

    def growing(wildcards, attempt):  # each retry adds as much again
        return attempt * (mib(wildcards) if callable(mib) else mib)

    return {"mem_mb": growing, "runtime": minutes, **others}


def stored_digest(value):
    """Store a value for run records, and return its digest; a plan stores nothing."""
    return store_value(value, write=WRITES)


def tracked(script, *loaded):
    """Return parameters that make the outputs stale: digests of the code, and of the locked packages it can import.

    The code is the script, everything that it imports from scripts/, and the modules `loaded`, which it loads by name.
    """
    modules = [SCRIPTS / module for module in loaded]
    code = code_files(SCRIPTS / f"{script}.py", *modules)
    environment = locked_environment(SCRIPTS / f"{script}.py", *modules, root=SOURCE, write=WRITES)
    return {"code": stored_digest(code), "environment": stored_digest(environment)}


def tracked_by(wildcard, script, loaded):
    """Return `tracked` for a script that loads modules by a wildcard; `loaded` lists them for each of its values."""
    of_value = {value: tracked(script, *modules) for value, modules in loaded.items()}  # now, before any job runs

    def of_job(parameter):
        return lambda wildcards: of_value[getattr(wildcards, wildcard)][parameter]

    return {parameter: of_job(parameter) for parameter in ("code", "environment")}


def templates(*names):
    """Return the digest of templates of the report."""
    return stored_digest({name: file_digest(SCRIPTS / "segcert/report/templates" / name) for name in names})


def changed_extra_outputs(pattern, missing=False):
    """Return the extra outputs of a job that changed since, or with `missing` also deleted ones: see `Preparation`."""
    return lambda wildcards: CHECKOUT.changed_extra_outputs(pattern.format(**wildcards), missing=missing)


def software(group):
    """Return the conda file of a group of rules for this build of torch, if conda is requested (`--sdm conda`).

    It is a function because Snakemake copies a plain file into the record of each output, even without conda.
    """
    file = f"../envs/{group}-{BUILD}.yaml" if group == "networks" else f"../envs/{group}.yaml"
    used = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    return lambda wildcards: file if used else None


def chosen(method):
    """Return a function that calls a method of ASKED for a job, with the wildcards that its arguments name."""
    names = inspect.signature(method).parameters
    return lambda wildcards: method(**{name: getattr(wildcards, name) for name in names})


def filled(pattern):
    """Return a pattern with the wildcards of a job. (`subpath` would return Snakemake's copy of a file in a bucket.)"""
    return lambda wildcards: pattern.format(**wildcards)


def only(names):
    """Return a constraint on a wildcard: one of these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def at_each_sigma(pattern):
    """Return a file for each noise level, in order."""
    return expand(pattern, sigma=SIGMAS, allow_missing=True)


def of_each_dataset(pattern):
    """Return a file for each data set, in order."""
    return expand(pattern, dataset=DATASETS)


def grid(pattern, datasets=DATASETS, **more):
    """Return a file for every data set, pairing and sigma of the configuration, each once."""
    files = []
    for model, regime, denoiser in ASKED.pairings:
        values = {"dataset": datasets, "model": model, "regime": regime, "denoiser": denoiser, "sigma": SIGMAS}
        files += expand(pattern, **values, **more)
    return list(dict.fromkeys(files))


def votes(wildcards):
    """Return the votes of a pairing on all test images of a data set, ordered by sigma."""
    return expand(VOTES, sigma=SIGMAS, shard=range(ASKED.shards(wildcards.dataset)), **wildcards)


def trained_on(pattern):
    """Return a file for each data set that a denoiser is trained on."""
    return lambda wildcards: expand(pattern, dataset=wildcards.source.split("+"))


def made_before_the_report():
    """Return an output of every job up to the collection of the certificates: each has a run record."""
    shards_of_votes = []
    for dataset in DATASETS:
        shards_of_votes += grid(VOTES, [dataset], shard=range(ASKED.shards(dataset)))
    return [
        *MANIFESTS,
        *of_each_dataset(INDEX),
        *ASKED.weights(),
        *ASKED.cards(),
        *shards_of_votes,
        *grid(PREDICTIONS),
        *expand(DENOISED, dataset=DATASETS, denoiser=PICTURED, sigma=SIGMAS[0]),
        *(of_each_dataset(SCORES) if ASKED.diffusion else []),
        *of_each_dataset(COSTS),
        *grid(at_each_sigma(f"{CERTIFICATES}.npz")[0]),
        *(grid(ATTACKED) if CONFIG.attack.images else []),
        TABLE,
    ]


def recorded_artifacts():
    """Return an output of every job of the run except stages and page: each has a run record."""
    return [
        *made_before_the_report(),
        *of_each_dataset(f"{VIEWER}/images.js"),
        MAIN_TABLE,
        f"{FIGURES}/headline.svg",
        *of_each_dataset(DATA_SUMMARY),
        DATA_PAGE,
        SUMMARY,
        CHECKS,
    ]
