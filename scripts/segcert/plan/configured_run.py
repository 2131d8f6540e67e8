"""The run that a configuration describes: its data sets, networks and pairings, checked before any job runs.

The rules get their files and parameters from `ConfiguredRun`. This module does not depend on Snakemake.
"""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from functools import cached_property
from itertools import chain, product
from pathlib import Path
from typing import Any

from segcert.certification.methods import CertificationError, require_feasible, require_intervals
from segcert.config import Config, ConfigError
from segcert.data import catalogue
from segcert.data.catalogue import RELEASED_AS_JPEG, Dataset, SplitRule
from segcert.data.errors import DataError
from segcert.data.splits import expected_tests, rule_of
from segcert.data.user_data import OwnFolder
from segcert.measurements import MeasurementError, applicable, check_measurements, code_of, measurements_of
from segcert.networks.architectures import ARCHITECTURES
from segcert.networks.folders import CONFIG, DENOISER_FILES, PROGRAM, WEIGHTS
from segcert.provenance.code import target_digest
from segcert.provenance.records import SUFFIX, RecordError, load_record

SEGMENTER = "models/segmenter/{dataset}/{model}-{regime}"
DENOISER = "models/denoiser/{source}"
LAST, HISTORY = "last.safetensors", "history.csv"  # files in the folder of each network that the pipeline trains


class RunError(ValueError):
    """Error for a configuration that describes an impossible run. The message says what to write instead."""


@dataclasses.dataclass(frozen=True)
class ConfiguredRun:
    """The run that a configuration describes.

    Attributes
    ----------
    about, splits
        Dicts that map the name of each data set to its description and to its split rule.
    own_folders, own_files
        Dicts that map the name of each user-supplied data set to its settings and to the files in its folders.
    """

    config: Config
    about: Mapping[str, Dataset]
    splits: Mapping[str, SplitRule]
    own_folders: Mapping[str, OwnFolder]
    own_files: Mapping[str, list[Path]]

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "ConfiguredRun":
        """Return the run that a configuration describes. Raises RunError if the configuration is not valid.

        `values` is the configuration that Snakemake has merged from all its sources.
        """
        try:
            config = Config.read(values)
            pixels, first = config.image_size**2, min(config.looks, default=config.n)
            decision = config.tau, config.alpha, config.method, config.n0, config.kfwer_k
            require_feasible(first, pixels, *decision, config.looks)
            own_folders, about, splits = {}, {}, {}
            for name in config.datasets:
                if name in config.own_data:
                    own_folders[name] = OwnFolder(name, config.own_data[name].model_dump())
                    about[name] = own_folders[name].about
                else:
                    about[name] = catalogue.dataset(name)
                _, splits[name] = rule_of(about[name], config.splits.get(name))
            for each in about.values():
                measured = measurements_of(applicable(config.measurements, each.classes), each.classes)
                count = len(each.classes) - 1 + len(measured)  # the Dice of each structure is measured too
                require_intervals(first, count, config.tau, config.alpha, config.n0, config.looks)
            own_files = {name: folder.files() for name, folder in own_folders.items()}
            check_measurements(config.measurements, config.decisions, [each.classes for each in about.values()])
            _require_files(config)
        except (ConfigError, CertificationError, DataError, MeasurementError, RecordError) as error:
            raise RunError(str(error)) from error
        return cls(config, about, splits, own_folders, own_files)

    def warnings(self) -> list[str]:
        """Return warnings about settings that are valid but may not be intended."""
        warnings = self.config.warnings()
        for dataset in self.about:
            left_out = sorted(set(self.config.measurements) - set(self.measurements(dataset)))
            if left_out:
                warnings.append(
                    f"{', '.join(left_out)}: not measured on {dataset}, which does not have the necessary classes"
                )
        return warnings

    def titles(self) -> dict[str, str]:
        """Return a dict that maps data sets to titles.

        The title of a synthetic data set contains the word "synthetic".
        """
        titles = {}
        for name, about in self.about.items():
            says_so = not about.synthetic or "synthetic" in about.title.lower()
            titles[name] = about.title if says_so else f"{about.title} (synthetic)"
        return titles

    def measurements(self, dataset: str) -> list[str]:
        """Return the measurements that fit the classes of a data set."""
        return applicable(self.config.measurements, self.about[dataset].classes)

    def classes(self, dataset: str) -> tuple[str, ...]:
        """Return the class names of a data set, in the order of the class ids."""
        return self.about[dataset].classes

    def channels(self, dataset: str) -> int:
        """Return the number of channels of a data set's images."""
        return self.about[dataset].channels

    def decision(self) -> dict[str, Any]:
        """Return the settings of the rule `certify`."""
        config = self.config
        return {"tau": config.tau, "alpha": config.alpha, "method": config.method, "k": config.kfwer_k} | (
            {"looks": config.looks} if config.looks else {}
        )

    def looks(self) -> dict[str, Any]:
        """Return the planned looks and the settings that determine when an image's draws end.

        If no looks are planned, the result is empty.
        """
        if not self.config.looks:
            return {}
        settings = self.config.model_dump(include={"tau", "alpha", "method", "stop_at_abstention"})
        return {"ns": self.config.looks, "k": self.config.kfwer_k, **settings}

    def preprocessing(self, dataset: str) -> dict[str, Any]:
        """Return the settings for reading a data set's files, with the keys of `networks.folders.Preprocessing`."""
        about = self.about[dataset]
        window = list(about.window) if about.window else None
        own = self.own_folders.get(dataset)
        lossy = own.is_lossy() if own else dataset in RELEASED_AS_JPEG
        steps = {"bits": about.bits, "window": window, "keep_aspect": self.config.keep_aspect}
        return steps | {"lossy": True} if lossy else steps

    def archives(self, dataset: str) -> list[list[str | None]]:
        """Return the properties of a data set's archives. If a property changes, the rule `fetch` runs again."""
        archives = self.about[dataset].archives
        return [[archive.name, archive.holds, archive.url, archive.sha256, archive.md5] for archive in archives]

    def choice(self, dataset: str) -> dict[str, Any]:
        """Return the configured split of a data set, and the images to exclude."""
        return {"split": self.config.splits.get(dataset), "exclude": self.config.exclude.get(dataset, [])}

    def split_file(self, dataset: str) -> list[str]:
        """Return a list with the .json file that defines a data set's split.

        The list is empty if a split rule is configured instead.
        """
        split = self.config.splits.get(dataset, "")
        return [split] if split.endswith(".json") else []

    def own_settings(self, dataset: str) -> dict[str, Any]:
        """Return the entry of a user-supplied data set in `own_data`."""
        return self.config.own_data[dataset].model_dump()

    def measured_code(self, dataset: str) -> list[str | None]:
        """Return the code digests of user-supplied measurements. If a digest changes, the measuring jobs run again."""
        own = applicable(self.config.measurements, self.about[dataset].classes)
        return [code_of(name) for name in own if ":" in name]

    def shards(self, dataset: str) -> int:
        """Return the number of shards into which a data set's test images are split.

        There is one sampling job for each shard and noise level of a pairing.
        """
        return self._shards[dataset]

    @cached_property
    def _shards(self) -> dict[str, int]:  # cached, because listing a user's folder takes time
        sampling, shards = self.config.sampling, dict.fromkeys(self.about, 1)
        if sampling.shard_size is None:
            return shards
        for name, about in self.about.items():
            images: int | None
            if name in self.own_folders:
                images = self.own_folders[name].tests(self.splits[name])
            elif name == "phantom":
                images = self.config.phantom.test
            else:
                images = expected_tests(about, self.splits[name])
            counts = [count for count in (images, sampling.test_images) if count is not None]
            if counts:
                shards[name] = max(1, math.ceil(min(counts) / sampling.shard_size))
        return shards

    @cached_property
    def pretrained(self) -> dict[str, str]:
        """Dict that maps the name of each user-supplied pretrained network to its file."""
        return {name: own.pretrained for name, own in self.config.own_models.items() if own.pretrained}

    @cached_property
    def exported(self) -> list[str]:
        """Names of the user-supplied exported networks."""
        return [name for name, own in self.config.own_models.items() if own.program]

    @cached_property
    def models(self) -> list[tuple[str, str]]:
        """Model and regime of each segmenter."""
        models = []
        for model in self.config.models:
            regimes = ["given"] if model in self.pretrained else self.config.regimes
            models += [(model, regime) for regime in regimes]
        return models

    @cached_property
    def trained(self) -> list[tuple[str, str]]:
        """Model and regime of each segmenter that the pipeline trains."""
        return [(model, regime) for model, regime in self.models if regime != "given"]

    @cached_property
    def pairings(self) -> list[tuple[str, str, str]]:
        """Model, regime and denoiser of each pairing. The regime `denoised` is always paired with a denoiser."""
        every = [(model, regime, denoiser) for (model, regime), denoiser in product(self.models, self.config.denoisers)]
        return [pairing for pairing in every if pairing[1:] != ("denoised", "none")]

    @cached_property
    def diffusion(self) -> list[str]:
        """Names of the denoisers, except "none"."""
        return [denoiser for denoiser in self.config.denoisers if denoiser != "none"]

    @cached_property
    def sources(self) -> dict[str, str]:
        """Dict that maps each data set to the data sets on which its denoiser is trained, joined by "+"."""
        shared = self.config.denoiser.shared
        return {dataset: "+".join(shared) if dataset in shared else dataset for dataset in self.about}

    def segmenter_files(self, dataset: str, model: str, regime: str) -> list[str]:
        """Return the paths of a segmenter's two files: the weights or the exported network, and the configuration."""
        folder = SEGMENTER.format(dataset=dataset, model=model, regime=regime)
        return [f"{folder}/{PROGRAM if model in self.exported else WEIGHTS}", f"{folder}/{CONFIG}"]

    def denoiser_folder(self, dataset: str, denoiser: str) -> str | None:
        """Return the folder of the denoiser in front of a data set's segmenters, or None if `denoiser` is "none"."""
        if denoiser == "none":
            return None
        return DENOISER.format(source=self.sources[dataset] if denoiser == "ddpm" else denoiser)

    def denoiser_files(self, dataset: str, denoiser: str) -> list[str]:
        """Return the files of the denoiser in front of a data set's segmenters.

        The list is empty if `denoiser` is "none".
        """
        folder = self.denoiser_folder(dataset, denoiser)
        return [f"{folder}/{name}" for name in DENOISER_FILES] if folder else []

    @cached_property
    def learned_segmenters(self) -> list[tuple[str, str, str]]:
        """Data set, model and regime of each segmenter that the pipeline trains."""
        return [(dataset, model, regime) for dataset, (model, regime) in product(self.about, self.trained)]

    @cached_property
    def learned_denoisers(self) -> list[tuple[str, str]]:
        """Data sets whose denoisers the pipeline trains, with the data sets on which each denoiser is trained."""
        return list(self.sources.items()) if "ddpm" in self.diffusion else []

    def histories(self) -> tuple[list[str], list[str]]:
        """Return the paths of the training histories of `learned_segmenters` and `learned_denoisers`."""
        segmenters = [path for each in self.learned_segmenters for path in self.history(*each)]
        return segmenters, [f"{DENOISER.format(source=source)}/{HISTORY}" for _, source in self.learned_denoisers]

    def all_segmenters(self, dataset: str) -> list[str]:
        """Return the files of all the segmenters for a data set."""
        return [path for model, regime in self.models for path in self.segmenter_files(dataset, model, regime)]

    def all_denoisers(self, dataset: str) -> list[str]:
        """Return the files of all the denoisers in front of a data set's segmenters."""
        return [path for denoiser in self.diffusion for path in self.denoiser_files(dataset, denoiser)]

    def denoiser_folders(self, dataset: str) -> dict[str, str | None]:
        """Return a dict that maps each denoiser in front of a data set's segmenters to its folder."""
        return {denoiser: self.denoiser_folder(dataset, denoiser) for denoiser in self.diffusion}

    def denoising_calls(self, denoiser: str) -> int:
        """Return the number of denoiser calls per draw, or 1 if there is no denoiser."""
        return 1 if denoiser == "none" else self.config.denoising_steps

    def memory(self, denoiser: str) -> int:
        """Return the memory, in MiB, that a job needs for a segmenter and the denoiser in front of it."""
        return 12000 if denoiser == "adm256" else 4000

    def memory_of_tuning(self, regime: str) -> int:
        """Return the memory, in MiB, for a training job. In the regime `denoised`, the job also loads a denoiser."""
        return self.memory(self.diffusion[0] if regime == "denoised" else "none")

    def paired_folders(self, dataset: str) -> list[list[list[str | None]]]:
        """Return the pairings, each with the folders of its segmenter and its denoiser.

        The folder of the denoiser "none" is None.
        """
        paired: list[list[list[str | None]]] = []
        for model, regime, denoiser in self.pairings:
            segmenter = SEGMENTER.format(dataset=dataset, model=model, regime=regime)
            paired.append([[model, regime, denoiser], [segmenter, self.denoiser_folder(dataset, denoiser)]])
        return paired

    def pretrained_file(self, model: str) -> str:
        """Return the file of a user-supplied pretrained network."""
        return self.pretrained[model]

    def start_files(self, dataset: str, model: str, regime: str) -> list[str]:
        """Return the files of the segmenter from which training in the regime `denoised` starts.

        For other regimes, the list is empty.
        """
        return self.segmenter_files(dataset, model, "clean") if regime == "denoised" else []

    def tuning_files(self, dataset: str, regime: str) -> list[str]:
        """Return the files of the denoiser that is used for training in the regime `denoised`.

        For other regimes, the list is empty.
        """
        return self.denoiser_files(dataset, self.diffusion[0]) if regime == "denoised" else []

    def history(self, dataset: str, model: str, regime: str) -> list[str]:
        """Return a list with the path of a segmenter's training history, or an empty list for a pretrained network."""
        if regime == "given":
            return []
        return [f"{SEGMENTER.format(dataset=dataset, model=model, regime=regime)}/{HISTORY}"]

    def weights(self) -> list[str]:
        """Return the path of each network's weight file."""
        files = []
        for dataset, (model, regime, denoiser) in product(self.about, self.pairings):
            files += self.segmenter_files(dataset, model, regime)[:1]
            files += self.denoiser_files(dataset, denoiser)[:1]
        return list(dict.fromkeys(files))

    def model_files(self) -> list[str]:
        """Return the paths of all files of all networks."""
        files = []
        for dataset, (model, regime) in product(self.about, self.models):
            files += self.segmenter_files(dataset, model, regime)
        for dataset, denoiser in product(self.about, self.diffusion):
            files += self.denoiser_files(dataset, denoiser)
        for history in chain(*self.histories()):
            files += [f"{history.removesuffix(HISTORY)}{LAST}", history]
        return list(dict.fromkeys(files))

    def cards(self) -> list[str]:
        """Return the path of each network's model card."""
        names = product(self.models, self.about)
        folders = [SEGMENTER.format(dataset=dataset, model=model, regime=regime) for (model, regime), dataset in names]
        for dataset, denoiser in product(self.about, self.diffusion):
            folders += filter(None, [self.denoiser_folder(dataset, denoiser)])
        return [f"{folder}/README.md" for folder in dict.fromkeys(folders)]

    def network(self, dataset: str, model: str) -> dict[str, Any]:
        """Return a dict with the architecture of a network (segcert's own or user-supplied) and its arguments."""
        about, own = self.about[dataset], self.config.own_models.get(model)
        if own:
            arguments = own.filled(
                in_channels=about.channels,
                num_classes=len(about.classes),
                image_size=self.config.image_size // self.config.pool,
            )
            code = own.target and target_digest(own.target)
            chosen = {} if own.weights_key is None else {"weights_key": own.weights_key}
            return {"architecture": own.target, "arguments": arguments, "target_code": code, **chosen}
        arguments = {"in_channels": about.channels, "num_classes": len(about.classes)}
        arguments |= self.config.segmenter.model_dump(include=set(ARCHITECTURES[model].arguments))
        return {"architecture": model, "arguments": arguments}

    def segmenter_settings(self, dataset: str, regime: str) -> dict[str, Any]:
        """Return the settings in the section `segmenter` that training uses.

        For a pretrained network, the result is empty.
        """
        if regime == "given":
            return {}
        of_networks = {argument for each in ARCHITECTURES.values() for argument in each.arguments}
        settings = self.config.segmenter.model_dump(exclude={"fine_tuning", *of_networks})
        settings["augmentation"]["flips"] &= self.about[dataset].any_orientation
        if regime != "noise":
            del settings["sigma_max"]
        if regime == "denoised":
            share = self.config.segmenter.fine_tuning
            settings["steps"] = max(1, round(share * settings["steps"]))
            settings["epochs"] = settings["epochs"] and share * settings["epochs"]
        return settings

    def denoiser_settings(self, source: str) -> dict[str, Any]:
        """Return the settings in the section `denoiser` that training uses."""
        channels, layers_per_block = self.config.denoiser.layout
        settings = self.config.denoiser.model_dump(exclude={"size", "shared"})
        settings["augmentation"]["flips"] &= all(self.about[dataset].any_orientation for dataset in source.split("+"))
        return settings | {"channels": channels, "layers_per_block": layers_per_block}

    def tuning(self, dataset: str, model: str, regime: str) -> dict[str, Any]:
        """Return the settings for fine-tuning in the regime `denoised`, or an empty dict for other regimes.

        The settings include the folder of the denoiser, and the folder of the segmenter from which training starts.
        """
        if regime != "denoised":
            return {}
        return {
            "start": SEGMENTER.format(dataset=dataset, model=model, regime="clean"),
            "denoiser": self.denoiser_folder(dataset, self.diffusion[0]),
            "denoising_steps": self.config.denoising_steps,
            "sigmas": self.config.sigmas,
        }


def _require_files(config: Config) -> None:
    """Raise ConfigError for a configured file or folder that does not exist.

    Without this check, Snakemake would keep outputs whose source file is missing. A path that is listed in a run record
    is accepted, because a clone contains a pretrained model but not the file from which the model was imported.
    """
    for name in config.models:
        own = config.own_models.get(name)
        if own is None or own.pretrained is None or Path(own.pretrained).is_file():
            continue
        records = Path().glob(f"models/segmenter/*/{name}-given/*{SUFFIX}")
        if not any(own.pretrained in load_record(record)["inputs"] for record in records):
            key = f"own_models.{name}.{'program' if own.program else 'weights'}"
            raise ConfigError(_missing(key, own.pretrained))
    if config.mirror and "://" not in config.mirror and not Path(config.mirror).expanduser().is_dir():
        official = [name for name in config.datasets if name in catalogue.NAMES and catalogue.dataset(name).archives]
        fetched = [name for name in official if Path(f"data/raw/{name}/manifest.json").is_file()]
        if fetched != official:
            raise ConfigError(_missing("mirror", config.mirror))


def _missing(key: str, path: str) -> str:
    """Return an error message for a path that does not exist. The message suggests the most similar existing path."""
    folder = Path(path).expanduser().parent
    others = [str(other) for other in folder.iterdir()] if folder.is_dir() else []
    similar = difflib.get_close_matches(str(folder / Path(path).name), others, n=1)
    advice = f" Did you mean `{similar[0]}`?" if similar else " Write the path relative to the root of the checkout"
    return f"`{key}`: found {path!r}, which does not exist; expected an existing path.{advice}"
