"""Fuzz the reader of configurations: values parsed from YAML, as Snakemake passes them."""

import contextlib

from tests.tools.fuzz.contract import Target

SEEDS = (
    "run: a\nsigmas: [0.25, 0.5]\nn: 100\ntau: 0.75\n"
    "own_data: {clinic: {images: a, masks: b, values: {0: background, 1: x}}}\n",
    "own_models: {net: {target: 'a.b:C', arguments: {x: 1}}, p: {program: x.pt2}}\nmodels: [net, p]\n",
    "splits: {phantom: made}\nexclude: {phantom: [a]}\nmeasurements: [area, 'a:b']\ndecisions: ['area > 1']\n",
    "segmenter: {steps: 10, depth: 3, optimizer: adam}\ndenoiser: {channels: small}\nattack: {factors: [1]}\n",
)


def settings():
    import yaml

    from segcert.certification.methods import CertificationError, require_feasible
    from segcert.config import Config, ConfigError
    from segcert.measurements import MeasurementError, check_measurements, parse_decision

    def read(path):
        try:
            values = yaml.safe_load(path.read_text(errors="replace"))
        except (yaml.YAMLError, RecursionError, ValueError):
            return  # not segcert's error: Snakemake parses the file
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            return
        config = Config.read(values)
        config.warnings()
        for decision in config.decisions:
            with contextlib.suppress(MeasurementError):
                parse_decision(decision)
        built_in = [measure for measure in config.measurements if ":" not in measure]
        with contextlib.suppress(CertificationError, MeasurementError):
            require_feasible(
                config.n, config.image_size**2, config.tau, config.alpha, config.method, config.n0, config.kfwer_k
            )
            check_measurements(built_in, config.decisions, [("background", "x")])

    return Target(read, lambda: [text.encode() for text in SEEDS], (ConfigError,), "config.yaml", named=False)
