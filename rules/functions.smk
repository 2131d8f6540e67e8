# Functions that rules call: log paths, resources, code digests, and files and settings chosen by wildcards


def logs(name):
    """Return the path of a job's log."""
    return f"logs/{name}.log"


def benchmarks(name):
    """Return the path of the file that records a job's time and memory."""
    return f"logs/{name}.tsv"


def needs(mib=2000, minutes=15, **others):
    """Return a job's memory in MiB (a number, or a function of the wildcards), time in minutes, and other resources."""

    def growing(wildcards, attempt):  # each retry adds the same amount
        return attempt * (mib(wildcards) if callable(mib) else mib)

    return {"mem_mb": growing, "runtime": minutes, **others}


def stored_digest(value):
    """Store a value for run records, and return its digest. A dry run stores nothing."""
    return store_value(value, write=WRITES)


def tracked(script, *loaded):
    """Return digests of a script's code and locked packages, as parameters that make outputs stale if they change.

    The code consists of the script, everything that it imports from scripts/, and the modules `loaded`, which it loads
    by name. The packages are those that this code can import.
    """
    modules = [SCRIPTS / module for module in loaded]
    code = code_files(SCRIPTS / f"{script}.py", *modules)
    environment = locked_environment(SCRIPTS / f"{script}.py", *modules, root=SOURCE, write=WRITES)
    return {"code": stored_digest(code), "environment": stored_digest(environment)}


def tracked_by(wildcard, script, loaded):
    """Return the parameters of `tracked` for a script that loads modules by a wildcard's value.

    `loaded` maps the values of the wildcard to lists of modules.
    """
    of_value = {value: tracked(script, *modules) for value, modules in loaded.items()}  # computed before any job runs

    def of_job(parameter):
        return lambda wildcards: of_value[getattr(wildcards, wildcard)][parameter]

    return {parameter: of_job(parameter) for parameter in ("code", "environment")}


def templates(*names):
    """Return a digest of the given report templates."""
    return stored_digest({name: file_digest(SCRIPTS / "segcert/report/templates" / name) for name in names})


def changed_extra_outputs(pattern, missing=False):
    """Return a function that finds a job's changed or (with `missing`) deleted extra outputs; see `Preparation`."""
    return lambda wildcards: CHECKOUT.changed_extra_outputs(pattern.format(**wildcards), missing=missing)


def software(group):
    """Return a function that gives the conda file for a group of rules, or None without `--sdm conda`.

    The file is for this build of torch. A function is returned because Snakemake copies the content of a file given by
    its path into the record of each output, even without conda.
    """
    file = f"../envs/{group}-{BUILD}.yaml" if group == "networks" else f"../envs/{group}.yaml"
    used = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    return lambda wildcards: file if used else None


def chosen(method):
    """Return a function that takes the wildcards of a job, and passes them to a method of ASKED by name."""
    names = inspect.signature(method).parameters
    return lambda wildcards: method(**{name: getattr(wildcards, name) for name in names})


def filled(pattern):
    """Return a function that fills a pattern with a job's wildcards.

    (`subpath` would return the path of Snakemake's copy of a file in a bucket.)
    """
    return lambda wildcards: pattern.format(**wildcards)


def only(names):
    """Return a wildcard constraint that allows only the given names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def at_each_sigma(pattern):
    """Return a list with a file for each noise level, in the configured order."""
    return expand(pattern, sigma=SIGMAS, allow_missing=True)


def of_each_dataset(pattern):
    """Return a list with a file for each data set, in the configured order."""
    return expand(pattern, dataset=DATASETS)


def grid(pattern, datasets=DATASETS, **more):
    """Return a list with a file for each configured data set, pairing and sigma, without duplicates."""
    files = []
    for model, regime, denoiser in ASKED.pairings:
        values = {"dataset": datasets, "model": model, "regime": regime, "denoiser": denoiser, "sigma": SIGMAS}
        files += expand(pattern, **values, **more)
    return list(dict.fromkeys(files))


def votes(wildcards):
    """Return the files that contain a pairing's votes on all test images of a data set, ordered by sigma."""
    return expand(VOTES, sigma=SIGMAS, shard=range(ASKED.shards(wildcards.dataset)), **wildcards)


def trained_on(pattern):
    """Return a function that lists a file for each data set on which a denoiser is trained."""
    return lambda wildcards: expand(pattern, dataset=wildcards.source.split("+"))


def made_before_the_report():
    """Return, for each job up to and including `collect`, the output that has a run record."""
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
    """Return, for each job of the run except `stages` and `page`, the output that has a run record."""
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
