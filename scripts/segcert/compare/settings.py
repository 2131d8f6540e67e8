"""What runs were told differently, and what of it keeps their numbers from being compared one to one."""

from collections.abc import Iterator, Sequence
from typing import Any

from segcert.certification.certificate import GUARANTEES
from segcert.certification.methods import WEAKER
from segcert.compare.causes import ABSENT, leaves
from segcert.compare.runs import ComparedRun
from segcert.compare.table import BY_NAME, NOT_PAIRED, same_images
from segcert.config.errors import in_yaml


def differing_settings(runs: Sequence[ComparedRun]) -> dict[str, list[str]]:
    """The keys of the configuration, by their dotted names, that differ between runs: YAML of each run's value."""
    flat = [dict(leaves(run.configuration)) for run in runs]
    values = {
        name: [each.get(name, ABSENT) for each in flat] for name in dict.fromkeys(key for each in flat for key in each)
    }
    return {
        name: [_shown(run, value) for run, value in zip(runs, each, strict=True)]
        for name, each in values.items()
        if name != "run" and any(value != each[0] for value in each)
    }


def promise(run: ComparedRun) -> str:
    """What the certificates of a run promise, in words."""
    settings = run.settings
    sized = f", k = {settings['k']}" if settings["method"] == "kfwer" else ""
    return f"{GUARANTEES[settings['method']]} (alpha = {settings['alpha']:g}{sized})"


def notices(runs: Sequence[ComparedRun]) -> list[tuple[str, str]]:
    """What a reader has to know before comparing: (heading, words), most serious first."""
    return [*_promises(runs), *_radii(runs), *_images(runs), *_draws(runs), *_pages(runs)]


def _promises(runs: Sequence[ComparedRun]) -> Iterator[tuple[str, str]]:
    weaker = [f"{run.name} ({run.settings['method']})" for run in runs if run.settings["method"] in WEAKER]
    if len({promise(run) for run in runs}) > 1:
        words = "A certified pixel does not mean the same in each; the table of runs says what each promises."
        if weaker:
            words += (
                f" Weaker than the paper's: {_listed(weaker)}. There single certified pixels may be wrong, so more of "
                "them is no better certificate."
            )
        yield "These runs promise different things.", words
    elif weaker:
        yield (
            "A weaker guarantee than the paper's.",
            f"In all of these runs single certified pixels may be wrong ({runs[0].settings['method']}).",
        )


def _radii(runs: Sequence[ComparedRun]) -> Iterator[tuple[str, str]]:
    taus = {run.name: f"tau = {run.settings['tau']:g}" for run in runs}
    if len(set(taus.values())) > 1:
        yield (
            "The certified radius differs at the same sigma.",
            f"It is sigma * Phi^-1(tau), and tau is not the same ({_listed(_of(taus))}): less Dice at a larger radius "
            "is no worse certificate. The table shows each radius.",
        )
    sizes = {run.name: f"{run.configuration['image_size']} pixels" for run in runs if "image_size" in run.configuration}
    if len(set(sizes.values())) > 1:
        yield (
            "The images have different sizes.",
            f"({_listed(_of(sizes))}.) The same l2 radius allows another change per pixel on each.",
        )


def _images(runs: Sequence[ComparedRun]) -> Iterator[tuple[str, str]]:
    first = runs[0]
    for run in runs[1:]:
        for dataset in dict.fromkeys(run.certificates["dataset"]):
            if dataset not in set(first.certificates["dataset"]):
                continue
            _, note = same_images(first, run, dataset)
            if note in NOT_PAIRED:
                yield f"{run.name} is not paired with {first.name} on {dataset}:", f"{NOT_PAIRED[note]}."
            elif note == BY_NAME:
                yield (
                    f"{run.name} is paired with {first.name} on {dataset} by the names of the images alone.",
                    "The votes, which say which pixels they had, are not here.",
                )


def _draws(runs: Sequence[ComparedRun]) -> Iterator[tuple[str, str]]:
    extended = [run.name for run in runs if run.certificates["extended"].any()]
    if extended:
        yield (
            "Draws were added after a look.",
            f"In {_listed(extended)} some images had been certified before with fewer draws; alpha covers one decision "
            "with n fixed beforehand.",
        )


def _pages(runs: Sequence[ComparedRun]) -> Iterator[tuple[str, str]]:
    for run in runs:
        if not run.configuration:
            yield (
                f"The settings of {run.name} are not known.",
                "No run record stands beside its page, so the table of settings leaves it out.",
            )
        elif run.outdated():
            yield (
                f"{run.name} was not finished after its last change.",
                f"Its page and its certificates name different values of {_listed(run.outdated())}; the numbers here "
                "are those of the certificates. Run snakemake again with its settings.",
            )


def _shown(run: ComparedRun, value: Any) -> str:
    if not run.configuration:
        return "not known"
    return ABSENT if value == ABSENT else in_yaml(value)


def _of(values: dict[str, str]) -> list[str]:
    return [f"{name}: {value}" for name, value in values.items()]


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
