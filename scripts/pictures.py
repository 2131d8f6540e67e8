import pandas as pd

from segcert.io.arrays import StoredArrays
from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded
from segcert.report.gallery import (
    caption,
    example_caption,
    example_figure,
    gallery_figure,
    read_examples,
    write_typical_images,
)
from segcert.report.style import save_figure
from segcert.report.typical import typical_image, write_typical
from segcert.report.viewer import chosen_images, write_viewer


def opened(keys, paths):
    """Open array files, and return them as a dict with the given keys. An array is read only when it is used."""
    return {key: StoredArrays(path) for key, path in zip(keys, paths, strict=True)}


with recorded(snakemake):
    files, params, output = snakemake.input, snakemake.params, snakemake.output
    predictions = opened(params.segmenters, files.predictions)
    pictures = opened(params.pictures, files.pictures)
    labels = opened(params.certificates, files.labels)
    levels = opened(params.certificates, files.levels)
    metrics, intervals = (pd.concat(map(pd.read_parquet, files[kind])) for kind in ("metrics", "intervals"))
    write_viewer(
        files.index,
        images=output.images,
        noise=dict(zip(params.sigmas, output.noise, strict=True)),
        maps=dict(zip(params.segmenters, output.maps, strict=True)),
        predictions=predictions,
        pictures=pictures,
        labels=labels,
        levels=levels,
        metrics=metrics,
        intervals=intervals,
        most=params.viewer,
    )
    typical = typical_image(metrics, chosen_images(metrics, params.viewer))
    segmenter = f"{typical.model}-{typical.regime}"
    write_typical(typical, output.typical_facts)
    write_typical_images(
        files.index,
        typical,
        predictions[segmenter][typical.image],
        labels[segmenter, typical.denoiser, f"{typical.sigma:g}"][typical.image],
        output.typical,
    )
    examples = read_examples(
        files.index,
        {(model, regime): predictions[f"{model}-{regime}"] for model, regime, _ in params.shown},
        {sigma: pictures[denoiser, sigma] for denoiser in params.denoiser for sigma in params.sigmas},
        {
            (model, regime, denoiser, sigma): labels[f"{model}-{regime}", denoiser, sigma]
            for model, regime, denoiser in params.shown
            for sigma in params.sigmas
        },
        params.examples,
    )
    save_figure(gallery_figure(examples), output.gallery)
    save_figure(example_figure(examples[0]), output.example)
    for text, path in ((caption(examples), output.caption), (example_caption(examples[0]), output.example_caption)):
        with atomic_file(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
