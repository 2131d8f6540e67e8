# Paths, with wildcards, of files that several rules use (SEGMENTER and DENOISER are in segcert.plan.configured_run)

RUN = CONFIG.run
RESULTS = f"results/{RUN}"
REPORT = f"reports/{RUN}"
FIGURES = f"{REPORT}/figures"
TABLES = f"{REPORT}/tables"

RAW = "data/raw/{dataset}"
MANIFEST = f"{RAW}/manifest.json"
PREPARED = "data/prepared/{dataset}"
INDEX = f"{PREPARED}/index.csv"
PREPARED_FILES = [INDEX, *(f"{PREPARED}/{name}" for name in ("dataset.json", "splits.json", "left_out.csv"))]
RELEASES = [name for name in DATASETS if ABOUT[name].archives]
MANIFESTS = expand(MANIFEST, dataset=[*RELEASES, *ASKED.own_folders])
DENOISER_FILES = [f"{DENOISER}/{name}" for name in DIFFUSERS]
ADM = DENOISER.format(source="adm256")
ADM_FILES = [f"{ADM}/{name}" for name in DIFFUSERS]

PAIRING = "{dataset}/{model}-{regime}/{denoiser}"
VOTES = f"{RESULTS}/votes/{PAIRING}/sigma_{{sigma}}/shard_{{shard}}.npz"
PREDICTIONS = f"{RESULTS}/predictions/{{dataset}}/{{model}}-{{regime}}.npz"
DENOISED = f"{RESULTS}/denoised/{{dataset}}/{{denoiser}}/sigma_{{sigma}}.npz"
SCORES = f"{RESULTS}/denoiser_scores/{{dataset}}.csv"
COSTS = f"{RESULTS}/costs/{{dataset}}.csv"
SECONDS = f"{RESULTS}/seconds/{{dataset}}.csv"
CERTIFICATES = f"{RESULTS}/certificates/{PAIRING}/sigma_{{sigma}}"
ATTACKED = f"{RESULTS}/attacks/{PAIRING}.parquet"

# Files for each kind of result: at one noise level (CERTIFIED), and for the complete run (COLLECTED)
CERTIFIED = {kind: f"{CERTIFICATES}{suffix}" for kind, suffix in {**ARRAYS, **CERTIFIED_TABLES}.items()}
COLLECTED = {kind: f"{RESULTS}/{each.collected}.parquet" for kind, each in KINDS.items()}
TABLE = COLLECTED["metrics"]

MAIN_TABLE = f"{TABLES}/main.csv"
CSV_TABLES = [f"{TABLES}/{name}.csv" for name in IN_CSV]
STAGES_TABLE = f"{TABLES}/stages.csv"
DATA_SUMMARY = f"{TABLES}/data_{{dataset}}.json"
DATA_PAGE = f"{REPORT}/data.html"
# Figures that have nothing to show are left out.
CURVES = list(PRINTED)
if not ASKED.diffusion:
    CURVES.remove("denoisers")
if not (ASKED.learned_segmenters or ASKED.learned_denoisers):
    CURVES.remove("training")
SEGMENTERS = [f"{model}-{regime}" for model, regime in ASKED.models]
PICTURED = ASKED.diffusion or ["none"]
VIEWER = f"{REPORT}/viewer/{{dataset}}"
GALLERY = f"{FIGURES}/gallery_{{dataset}}"
EXAMPLE = f"{FIGURES}/example_{{dataset}}"
TYPICAL = f"{FIGURES}/typical_{{dataset}}"
TYPICAL_IMAGES = [f"{TYPICAL}_predicted.png", f"{TYPICAL}_certified.png"]
SUMMARY = f"{REPORT}/summary.pdf"
CHECKS = f"{REPORT}/checks.json"
PAGE = f"{REPORT}/index.html"

# State from which an interrupted job resumes. It is not an output, because Snakemake deletes a failed job's outputs.
STORE = ".segcert/blocks"
CHECKPOINTS = ".segcert/checkpoints"

# Modules that scripts load by name, by network and by data set
OF_NETWORKS = {model: modules_of(model) for model in CONFIG.models}
OF_RELEASES = {dataset: [f"segcert/data/sets/{dataset}.py"] for dataset in RELEASES}
