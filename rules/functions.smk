# What rules call: where logs lie, what a job needs, digests of what it runs, and its files and settings by its wildcards.


def logs(name):
    """The log of a job."""
    return f"logs/{name}.log"


def benchmarks(name):
    """Time and memory of a job."""
    return f"logs/{name}.tsv"


def needs(mib=2000, minutes=15, **others):
    """What a job asks for, with or without a profile: memory, a number or by wildcards, time, and what else."""

    def growing(wildcards, attempt):  # as much again at every retry
        return attempt * (mib(wildcards) if callable(mib) else mib)

    return {"mem_mb": growing, "runtime": minutes, **others}


def known(value):
    """The digest of a value, which run records write out; a plan writes nothing."""
    return store_value(value, write=WRITES)


def tracked(script, *loaded):
    """Parameters of a rule that make its outputs stale: digests of its code, and of the locked packages it can import.

    The code is the script with all that it imports from scripts/, and the modules `loaded`, which it loads by name.
    """
    modules = [SCRIPTS / module for module in loaded]
    code = code_files(SCRIPTS / f"{script}.py", *modules)
    environment = locked_environment(SCRIPTS / f"{script}.py", *modules, root=SOURCE, write=WRITES)
    return {"code": known(code), "environment": known(environment)}


def tracked_by(wildcard, script, loaded):
    """`tracked` for a script that loads other modules by a wildcard: `loaded` has them for each of its values."""
    of_value = {value: tracked(script, *modules) for value, modules in loaded.items()}  # now: before anything runs

    def of_job(parameter):
        return lambda wildcards: of_value[getattr(wildcards, wildcard)][parameter]

    return {parameter: of_job(parameter) for parameter in ("code", "environment")}


def templates(*names):
    """Digest of templates of the report."""
    return known({name: file_digest(SCRIPTS / "segcert/report/templates" / name) for name in names})


def disturbed(pattern, missing=False):
    """Files beside an output that changed since they were made, or with `missing` are gone: see `Preparation`."""
    return lambda wildcards: CHECKOUT.changed_extra_outputs(pattern.format(**wildcards), missing=missing)


def software(group):
    """The conda file of a group of rules, where conda is asked for (`--sdm conda`), for the build of torch that plans.

    Snakemake keeps a copy of the file in the record of each output, also of those made without conda: hence a function.
    """
    file = f"../envs/{group}-{BUILD}.yaml" if group == "networks" else f"../envs/{group}.yaml"
    used = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    return lambda wildcards: file if used else None


def chosen(method):
    """What a method of ASKED says of the job: its arguments are the wildcards of their names."""
    names = inspect.signature(method).parameters
    return lambda wildcards: method(**{name: getattr(wildcards, name) for name in names})


def filled(pattern):
    """A pattern with the wildcards of a job: not `subpath`, which of files in a bucket gives the place of the copy."""
    return lambda wildcards: pattern.format(**wildcards)


def only(names):
    """A constraint on a wildcard: one of some names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def at_each_sigma(pattern):
    """A file of each noise level, in their order."""
    return expand(pattern, sigma=SIGMAS, allow_missing=True)


def of_each_dataset(pattern):
    """A file of each data set, in their order."""
    return expand(pattern, dataset=DATASETS)


def grid(pattern, datasets=DATASETS, **more):
    """A pattern filled for every data set, pairing and sigma of the configuration, each file once."""
    files = []
    for model, regime, denoiser in ASKED.pairings:
        values = {"dataset": datasets, "model": model, "regime": regime, "denoiser": denoiser, "sigma": SIGMAS}
        files += expand(pattern, **values, **more)
    return list(dict.fromkeys(files))


def votes(wildcards):
    """The votes of all test images of a data set, for a pairing: those of a sigma follow one another."""
    return expand(VOTES, sigma=SIGMAS, shard=range(ASKED.shards(wildcards.dataset)), **wildcards)


def trained_on(pattern):
    """A file of each data set that a denoiser is trained on."""
    return lambda wildcards: expand(pattern, dataset=wildcards.source.split("+"))


def made_before_the_report():
    """An output of every job up to the collection of the certificates: what has a run record."""
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
    """An output of every job of the run but stages and the page: what has a run record."""
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
