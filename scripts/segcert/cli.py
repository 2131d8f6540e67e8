"""Certify segmentations of images, and plan, audit, trace, compare and pack runs of the pipeline."""

import dataclasses
import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segcert
from segcert.certification.methods import METHODS, SEGCERTIFY
from segcert.data.errors import DataError
from segcert.io.progress import printable

if TYPE_CHECKING:
    from segcert.certification.looks import Looks
    from segcert.single_image.inputs import Reading

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Method = enum.StrEnum("Method", list(METHODS))  # type: ignore[misc]  # mypy wants the names spelled out
PUBLISHED = Method(SEGCERTIFY.name)
NoiseKind = enum.StrEnum("NoiseKind", ["normal", "exact"])
DeviceName = enum.StrEnum("DeviceName", ["auto", "cpu", "cuda"])
Precision = enum.StrEnum("Precision", ["float32", "bfloat16"])

Sigma = Annotated[float, typer.Option(help="Standard deviation of the noise, for pixel values in [0, 1].")]
Tau = Annotated[
    float,
    typer.Option(help="Share of the noisy copies, above 0.5, that must agree on a pixel's class to certify the pixel."),
]
Alpha = Annotated[float, typer.Option(help="Error probability of each image's certificate.")]
Selection = Annotated[
    int, typer.Option("--n0", min=1, help="Number of selection draws, which choose the class to test at each pixel.")
]
MethodOption = Annotated[
    Method, typer.Option(help="Multiple-testing correction. The methods `kfwer` and `by` give weaker guarantees.")
]
WrongPixels = Annotated[
    int,
    typer.Option(
        "--k",
        min=1,
        help="For method kfwer: alpha bounds the probability that k or more pixels are certified wrongly.",
    ),
]
DeviceOption = Annotated[DeviceName, typer.Option(help="Device that runs the networks; auto uses a GPU if available.")]


def _typed(context: typer.Context, name: str) -> bool:
    """Return whether a parameter was given on the command line."""
    return str(context.get_parameter_source(name)).endswith("COMMANDLINE")


class FolderError(ValueError):
    """Error for a command that was run in the wrong folder. The message names the correct folder."""


def print_version(asked: bool) -> None:
    """Print the version of this source code, whether it is installed or not, and exit."""
    if asked:
        typer.echo(f"segcert {segcert.__version__}")
        raise typer.Exit


@app.callback(help=__doc__)
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Define the options that `segcert` takes without a subcommand; `print_version` handles `--version`."""


@app.command()
def certify(
    context: typer.Context,
    images: Annotated[list[Path], typer.Argument(help="Image files: PNG, JPEG, TIFF, GIF, BMP or DICOM.")],
    segmenter: Annotated[Path, typer.Option(help="Folder that contains model.safetensors and config.json.")],
    sigma: Sigma,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    denoiser: Annotated[
        Path | None, typer.Option(help="Folder that contains unet/ and scheduler/, in diffusers format.")
    ] = None,
    denoising_steps: Annotated[int, typer.Option(min=1, help="Number of denoiser calls per noisy copy.")] = 1,
    n0: Selection = 10,
    n: Annotated[
        int, typer.Option("--n", min=1, help="Number of estimation draws, which test the chosen class of each pixel.")
    ] = 100,
    looks: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Planned looks: numbers of estimation draws, such as 60,110,300, after which the image may be "
            "certified. The looks share alpha and replace --n.",
        ),
    ] = "",
    stop_at_abstention: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="With --looks: stop at the first look at which the share of abstaining pixels is at most this value.",
        ),
    ] = 0.0,
    tau: Tau = 0.75,
    alpha: Alpha = 0.001,
    method: MethodOption = PUBLISHED,
    k: WrongPixels = 10,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="Measurement to certify: area, diameter, cardiothoracic_ratio or package.module:function; repeatable."
        ),
    ] = None,
    decide: Annotated[
        list[str] | None, typer.Option(help='Threshold on a measurement, such as "diameter > 20"; repeatable.')
    ] = None,
    pixel_size: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Height and width of a pixel of the image file, in mm, if the file does not state them."),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="Bit depth of 16-bit PNG and TIFF files, which do not state how many bits they use."),
    ] = None,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Stored values that become black and white; default: the values used in training or, if there are "
            "none, the values in the file."
        ),
    ] = None,
    frame: Annotated[
        int | None,
        typer.Option(min=1, help="Number of the frame or page to read if a file has several; the first is 1."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Height and width of the resized image, in pixels; default: the size used in training."
        ),
    ] = None,
    noise: Annotated[
        NoiseKind, typer.Option(help="Kind of noise; with exact noise, the guarantee also holds in floating point.")
    ] = NoiseKind.normal,
    keep_draws: Annotated[bool, typer.Option("--keep-draws", help="Store the label map of each draw.")] = False,
    radius_map: Annotated[bool, typer.Option("--radius-map", help="Write a map of each pixel's radius.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the noise; default: a random seed for each image, which is saved in OUT."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of noisy copies per network call.")] = 10,
    precision: Annotated[
        Precision, typer.Option(help="Precision of the networks; bfloat16 is for GPUs.")
    ] = Precision.float32,
    device: DeviceOption = DeviceName.auto,
    threads: Annotated[int, typer.Option(min=1, help="Number of CPU threads.")] = 2,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Folder for blocks of draws, so that an interrupted command can resume; default: .draws in OUT."
        ),
    ] = None,
) -> None:
    """Certify images, and write a label map, an overlay, the votes and a JSON certificate for each image.

    In the label map, 255 means that the pixel abstains. A second label map is written on the pixel grid of the image
    file.
    """
    from segcert.measurements import check_measurements, measurements_of, parse_decision
    from segcert.networks.folders import ModelError
    from segcert.networks.runtime import set_up_torch
    from segcert.provenance.ledger import Ledger
    from segcert.single_image.certificate_file import (
        DRAWS,
        Decision,
        certificate_path,
        check_decision,
        require_own_results,
        write_certificate,
    )
    from segcert.single_image.explain import summary
    from segcert.single_image.inputs import Networks, Sampling
    from segcert.single_image.seeds import seeded
    from segcert.smoothing.looks import sample_at_looks
    from segcert.smoothing.store import BlockStore

    reading = _reading(bits, window, frame, pixel_size)
    planned = _planned(context, looks, n, tau, alpha, method.value, k, stop_at_abstention)
    require_own_results(images, out)
    networks = Networks.load(segmenter, denoiser, denoising_steps)
    sampling = Sampling(sigma, n0, planned.ns[-1], seed or 0, batch_size, precision.value, noise.value)
    decision = Decision(tau, alpha, method.value, k, planned.ns if looks else ())
    check_measurements(measure or [], decide or [], [networks.config["classes"]])
    thresholds = dict(map(parse_decision, decide or []))
    target = set_up_torch(device.value, threads)
    cases, refused = [], list[ValueError]()
    for path in images:  # check all images before the first draw
        try:
            image = networks.read_image(path, size, reading)
            networks.require_fit(image, sampling)
        except (DataError, ModelError) as error:
            refused.append(error)
            continue
        asked = measurements_of(measure or [], networks.config["classes"], *image.pixel_scale)
        check_decision(image, sampling, decision, asked, radius_map)
        cases.append((path, image, asked))
    if not cases:
        raise DataError("\n".join(map(str, refused)))
    ledger = Ledger.of_store(store) if store else Ledger.of_user()
    for path, image, asked in cases:
        if seed is None:  # drawn after the image is read, and stored before the first draw
            sampling = seeded(sampling, store or out, image, networks)
        smoothed = networks.smoothed(image, sampling, target, BlockStore(store or out / DRAWS))
        try:
            votes = sample_at_looks(smoothed, image.unit(), planned, n0, measurements=asked, keep_draws=keep_draws)
        except KeyboardInterrupt:
            _say("Interrupted. Finished draws are kept; the same command resumes.")
            raise
        document = write_certificate(
            path,
            out,
            image=image,
            votes=votes,
            networks=networks,
            sampling=dataclasses.replace(sampling, n=votes.n),
            decision=decision,
            ledger=ledger,
            measurements=asked,
            thresholds=thresholds,
            radii=radius_map,
            reading=reading,
        )
        for line in summary(document):
            _say(line)
    _say(f"The results are in {out}. To explain a certificate: segcert explain {certificate_path(cases[0][0], out)}")
    if refused:
        listed = "\n".join(f"  {error}" for error in refused)
        raise DataError(f"{len(refused)} of {len(images)} images were not certified:\n{listed}")


def _reading(
    bits: int | None,
    window: tuple[float, float] | None,
    frame: int | None,
    pixel_size: tuple[float, float] | None,
) -> "Reading":
    """Return the settings for reading image files. Raises DataError if a setting is impossible."""
    from segcert.single_image.inputs import Reading

    if pixel_size and min(pixel_size) <= 0:
        raise DataError(
            f"--pixel-size: found {pixel_size[0]} {pixel_size[1]}; expected the height and width of a pixel in mm, "
            "both above 0"
        )
    if window and window[0] >= window[1]:
        raise DataError(f"--window: found {window[0]:g} {window[1]:g}; expected the lower value first")
    return Reading(bits, window, frame, pixel_size)


def _planned(context: typer.Context, looks: str, n: int, *settings: Any) -> "Looks":
    """Return the planned looks. If none are planned, n is the only look.

    Raises DataError if the options contradict each other.
    """
    from segcert.certification.looks import Looks
    from segcert.certification.methods import parse_looks

    planned = Looks(parse_looks(looks) or (n,), *settings)
    if looks and _typed(context, "n"):
        raise DataError(
            f"--looks: found {looks} and --n {n}, but planned looks replace --n. Remove one of the two options"
        )
    if not looks and planned.stop_at_abstention:
        raise DataError(
            "--stop-at-abstention: this option requires planned looks. Add, for example, --looks 60,110,300"
        )
    return planned


@app.command()
def explain(certificate: Annotated[Path, typer.Argument(help="Certificate file, NAME.certificate.json.")]) -> None:
    """Explain in plain English what a certificate guarantees."""
    from segcert.single_image.explain import explain as explanation
    from segcert.single_image.schema import read_certificate

    _say(explanation(read_certificate(certificate)))


@app.command()
def verify(
    certificate: Annotated[Path, typer.Argument(help="Certificate file, NAME.certificate.json.")],
    draws: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of draws to repeat, chosen at random; default: 20 if the votes contain label maps, otherwise "
            "all.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Repeat all draws.")] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed for choosing the draws, to repeat a choice; default: random.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Your copy of the image file.")] = None,
    segmenter: Annotated[
        Path | None,
        typer.Option(help="Folder of your copy of the segmenter; always required for an exported network."),
    ] = None,
    denoiser: Annotated[Path | None, typer.Option(help="Folder of your copy of the denoiser.")] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="Measurement that is not part of segcert, as package.module:function; repeatable. Its code is run, so "
            "name only code that you trust."
        ),
    ] = None,
    device: DeviceOption = DeviceName.auto,
    threads: Annotated[int, typer.Option(min=1, help="Number of CPU threads.")] = 2,
) -> None:
    """Compute a certificate again from its votes and its image, and repeat some or all of its draws."""
    from segcert.networks.runtime import set_up_torch
    from segcert.single_image.schema import DocumentError, read_certificate
    from segcert.single_image.verify import verify as check

    if everything and draws:
        raise DocumentError(f"--all: cannot be combined with --draws {draws}. Pass only one of the two options")
    document = read_certificate(certificate)
    done = check(
        certificate,
        document,
        device=set_up_torch(device.value, threads),
        draws=document["sampling"]["n0"] + document["sampling"]["n"] if everything else draws,
        seed=seed,
        image_path=image,
        segmenter=segmenter,
        denoiser=denoiser,
        measure=measure or [],
    )
    _say(f"passed: {certificate}\n\n{done.text()}")


@app.command()
def plan(
    context: typer.Context,
    sigma: Annotated[float | None, typer.Option(help="For an image: standard deviation of the noise.")] = None,
    shape: Annotated[str | None, typer.Option(help="For an image: its shape, HxW or CxHxW (3xHxW for colour).")] = None,
    tau: Tau = 0.75,
    alpha: Alpha = 0.001,
    method: MethodOption = PUBLISHED,
    n0: Selection = 10,
    k: WrongPixels = 10,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", "--configfile", help="For a run: configuration file or KEY=VALUE; repeatable."),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="For a run: further settings, as for --config.")
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(help="For a run: hardware to plan for, h100 or cpu; default: the hardware of this machine."),
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="For a run: number of test images per data set; default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a run: print the full plan as JSON.")] = False,
) -> None:
    """Estimate the cost of a run, or the number of draws that an image needs.

    For a run, the plan lists the jobs of each stage that are not up to date, with the number of their network calls and
    the hours that they take. It also lists the disk space that the complete run needs. In the root of the checkout,
    run:

    segcert plan --config config/paper.yaml

    For an image, the plan states the radius and the number of draws that certification needs:

    segcert plan --sigma 0.25 --shape 256x256
    """
    from segcert.plan.command import plan_image, plan_run, which_plan

    typed = [name for name in context.params if _typed(context, name)]
    if which_plan(typed) == "image":
        _say(plan_image(sigma, shape, tau=tau, alpha=alpha, method=method.value, n0=n0, k=k))
        return
    from segcert.plan.snakemake_plan import read_graph

    _require_root()
    settings = [*(config or []), *(changes or [])]
    text = plan_run(read_graph, settings, hardware=hardware, images=images, as_json=as_json)
    typer.echo(text)


@app.command()
def audit(
    run: Annotated[str, typer.Argument(help="Name of the run.")],
    replay: Annotated[int, typer.Option(min=0, help="Number of images for which to repeat the draws.")] = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed for choosing the images for --replay; default: random.")
    ] = None,
) -> None:
    """Check every link between a report's numbers and the original archives.

    If a link is broken, the exit status is 1.
    """
    from segcert.audit.audit import CHECKS, audit
    from segcert.audit.page import write_audit
    from segcert.audit.text import audit_to_text

    _open_runs()
    checks = CHECKS
    if replay:
        from segcert.audit.checks.replay import replay_check  # loads the networks

        checks = CHECKS | replay_check(replay, seed)
    done = audit(run, checks=checks)
    page = write_audit(done)
    _say(audit_to_text(done, page))
    raise typer.Exit(not done.passed)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def status(context: typer.Context) -> None:
    """List the jobs that `snakemake` would run, and the reasons. The arguments are those of `snakemake`."""
    from segcert.plan.status import status

    _require_root()
    _say(status(context.args))


@app.command()
def trace(
    run: Annotated[str, typer.Argument(help="Name of the run.")],
    row: Annotated[str, typer.Argument(help="Row of the report, as dataset/model/regime/denoiser/sigma.")],
) -> None:
    """Trace a row of the report back to the archives: list every job, file and digest on which the row depends."""
    from segcert.audit.text import trace_row
    from segcert.provenance.lineage import Lineage

    _open_runs()
    _say(trace_row(Lineage.read(run), row))


@app.command()
def datasets(
    name: Annotated[
        str | None, typer.Argument(help="Name of the data set to describe, with its terms and how to obtain it.")
    ] = None,
) -> None:
    """List the supported data sets, or describe one data set and how to obtain it."""
    from segcert.data.catalogue import NAMES, OWN_FOLDER, dataset, describe, overview

    if name == "folder":
        _say(OWN_FOLDER)
    else:
        _say(describe(dataset(name)) if name else overview(map(dataset, NAMES)))


@app.command()
def crate(
    run: Annotated[str, typer.Argument(help="Name of a finished run in this checkout.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the crate; default: reports/RUN.crate.")] = None,
) -> None:
    """Pack a run as a Workflow Run RO-Crate: its outputs, and a record of the jobs and inputs that they come from."""
    from segcert.exchange.crate import write_crate

    _open_runs()
    _say(write_crate(run, out))


@app.command()
def diff(
    a: Annotated[
        str, typer.Argument(metavar="RUN_A", help="First run: its name, CHECKOUT:RUN, or CHECKOUT/results/RUN.")
    ],
    b: Annotated[
        str, typer.Argument(metavar="RUN_B", help="Second run: its name, CHECKOUT:RUN, or CHECKOUT/results/RUN.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the full comparison as JSON.")] = False,
) -> None:
    """List the inputs, parameters, code, packages and numbers that differ between two runs, and by how much.

    The exit status is 0 if the runs are the same, 1 if they differ, and 2 if a run cannot be read.

    Differences between measured times are ignored, and so are different commits with identical code. Run records are
    not verified.
    """
    from segcert.compare.numbers import changed_intervals, changed_metrics
    from segcert.compare.records import diff_records
    from segcert.compare.runs import CompareError, find_run
    from segcert.compare.text import to_json, to_text
    from segcert.provenance.lineage import LineageError

    try:
        runs = find_run(a), find_run(b)
        records, metrics, intervals = diff_records(*runs), changed_metrics(*runs), changed_intervals(*runs)
    except (CompareError, LineageError) as error:
        _say(f"segcert: {error}", err=True)
        raise typer.Exit(2) from None
    to_output = to_json if as_json else to_text
    _say(to_output(*runs, records, metrics, intervals))
    raise typer.Exit(0 if records.same and metrics.identical and intervals.identical else 1)


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Names of two to eight finished runs in this checkout.")],
) -> None:
    """Write a page that compares finished runs with the first of them, as `snakemake compare` does.

    The exit status is 0 if the page was written, even if the runs differ, and 2 if the runs cannot be compared.
    """
    from segcert.compare.page import write_comparison
    from segcert.compare.runs import CompareError

    _require_root()
    try:
        _say(f"Comparison page: {write_comparison(runs)}")
    except CompareError as error:
        _say(f"segcert: {error}", err=True)
        raise typer.Exit(2) from None


def _require_root() -> None:
    """Raise FolderError if the working directory is a subfolder of a checkout, because no run would be found there."""
    if Path("Snakefile").exists() or Path("results").exists():
        return
    for folder in Path.cwd().parents:
        if (folder / "Snakefile").exists():
            raise FolderError(
                f"{Path.cwd()}: this command must be run in the root of the checkout. First run: cd {folder}"
            )


def _open_runs() -> None:
    """Raise FolderError unless runs can be found in the working directory, and restore the pulled run records."""
    from segcert.provenance.snakemake_metadata import restore_metadata

    _require_root()
    restore_metadata()


def _say(text: object, err: bool = False) -> None:
    """Print a text with control characters escaped, because it may contain names from untrusted files."""
    typer.echo(printable(str(text)), err=err)


def main() -> None:
    """Run the command. An error in the input is printed as one line, without a traceback."""
    try:
        app()
    except ValueError as error:  # an error of the library; any other ValueError is a bug and shows its traceback
        if type(error).__module__.split(".")[0] != "segcert":
            raise
        raise SystemExit(printable(f"segcert: {error}")) from None
    except OSError as error:
        raise SystemExit(printable(f"segcert: {error.filename or ''}: {error.strerror or error}")) from None


if __name__ == "__main__":
    main()
