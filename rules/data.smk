# in:  official archives (or a mirror of them); nothing for the phantom
# out: data/raw/<dataset>/manifest.json and the archives beside it
#      data/prepared/<dataset>/{index.csv,dataset.json,splits/*.txt}, images/*.png and masks/*.png beside them


def prepared_files(dataset):
    names = (
        "index.csv",
        "dataset.json",
        "splits/train.txt",
        "splits/val.txt",
        "splits/test.txt",
    )
    return [f"data/prepared/{dataset}/{name}" for name in names]


rule fetch:
    output:
        "data/raw/{dataset}/manifest.json",
    log:
        "logs/fetch/{dataset}.log",
    resources:
        runtime=240,
    params:
        folder=subpath(output[0], parent=True),
        code=code("fetch"),
    script:
        "../scripts/fetch.py"


rule prepare_phantom:
    output:
        prepared_files("phantom"),
    log:
        "logs/prepare/phantom.log",
    params:
        folder=subpath(output[0], parent=True),
        counts=CONFIG.phantom.model_dump(),
        image_size=CONFIG.image_size,
        code=code("prepare_phantom"),
    script:
        "../scripts/prepare_phantom.py"


rule prepare_montgomery:
    input:
        "data/raw/montgomery/manifest.json",
    output:
        prepared_files("montgomery"),
    log:
        "logs/prepare/montgomery.log",
    params:
        raw=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
        image_size=CONFIG.image_size,
        code=code("prepare_montgomery"),
    script:
        "../scripts/prepare_montgomery.py"
