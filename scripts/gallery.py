from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import recorded
from segcert.reporting.example_figure import example_caption, example_figure
from segcert.reporting.examples import read_examples
from segcert.reporting.gallery import caption, gallery_figure
from segcert.reporting.style import save_figure

with recorded(snakemake):
    examples = read_examples(
        snakemake.input.index,
        dict(zip(snakemake.params.models, snakemake.input.predictions, strict=True)),
        dict(zip(snakemake.params.denoised, snakemake.input.denoised, strict=True)),
        dict(zip(snakemake.params.certificates, snakemake.input.certificates, strict=True)),
        snakemake.params.examples,
    )
    save_figure(gallery_figure(examples), snakemake.output.picture)
    save_figure(example_figure(examples[0]), snakemake.output.example)
    captions = {"caption": caption(examples), "example_caption": example_caption(examples[0])}
    for name, text in captions.items():
        with atomic_file(snakemake.output[name]) as path:
            path.write_text(text + "\n", encoding="utf-8")
