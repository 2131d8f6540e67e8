"""Random seeds of single images, which are stored so that an interrupted command resumes with the same noise.

The noise is a function of the seed and the image. Therefore, anyone who knows the seed in advance can search for an
image with a wrong certificate. To prevent this, the seed is drawn after the image has been read.
"""

import dataclasses
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segcert.data.raster import Raster
from segcert.io.atomic import atomic_file
from segcert.io.json_files import parse_json
from segcert.provenance.digests import value_digest
from segcert.single_image.inputs import Networks, Sampling
from segcert.single_image.schema import DocumentError
from segcert.smoothing.noise import image_digest

FOLDER = ".seeds"
LIMIT = 2**53  # JSON readers read all integers below this value exactly


def seeded(sampling: Sampling, folder: str | Path, image: Raster, networks: Networks) -> Sampling:
    """Return the settings with the seed that is stored in `folder` for an image and networks (see `seed_for`)."""
    return dataclasses.replace(sampling, seed=seed_for(folder, image_digest(image.unit()), networks.digests))


def seed_for(folder: str | Path, image: str, networks: Mapping[str, str | None]) -> int:
    """Return the seed that is stored in `folder` for an image and networks, which are given by their digests.

    If no seed is stored, a random seed is drawn and stored before it is returned. Raises DocumentError if the file is
    damaged.
    """
    about: dict[str, Any] = {"image": image, **networks}
    path = Path(folder, FOLDER, f"{value_digest(about)}.json")
    if path.exists():
        try:
            seed = parse_json(path.read_bytes())["seed"]
            if type(seed) is not int or not 0 <= seed < LIMIT:
                raise ValueError(f"found {seed!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise DocumentError(
                f"{path}: is damaged ({error}); expected the seed of the noise, an integer. Delete the file to draw "
                "a new seed, or pass --seed"
            ) from error
        return int(seed)
    seed = secrets.randbelow(LIMIT)
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps({"seed": seed, **about}, indent=2) + "\n")
    return seed
