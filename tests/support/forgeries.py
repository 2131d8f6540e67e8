"""Forged certificates of a tiny network, with every digest made to fit.

A forger owns the folder of the certificate. The verifier owns a copy of the image and of the networks.
"""

import dataclasses
import io
import json
import re
import shutil
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image

from segcert.data.masks import read_mask
from segcert.io.arrays import save_arrays
from segcert.measurements import measurements_of
from segcert.networks.registry import build_segmenter, save_segmenter
from segcert.provenance.digests import array_digest, file_digest, value_digest
from segcert.single_image.certificate_file import Decision, write_certificate
from segcert.single_image.inputs import AS_STATED, Networks, Reading, Sampling
from segcert.single_image.picture_files import encode_png, encode_tiff
from segcert.votes import FORMAT, Votes, narrow, pack_labels, save_votes

CPU = torch.device("cpu")
CLASSES = ["background", "lungs", "heart"]
ASKED = ["area", "cardiothoracic_ratio"]
THRESHOLDS = {"area_heart": 30.0, "cardiothoracic_ratio": 0.7}
SAMPLING = Sampling(0.25, n0=10, n=60, seed=7)
DECISION = Decision(0.75, 0.001, "segcertify")
HEART = 2


def save_network(folder, seed, classes=CLASSES):
    torch.manual_seed(seed)
    arguments = {"in_channels": 1, "num_classes": 3, "width": 4, "depth": 1}
    model = build_segmenter("unet", arguments)
    with torch.no_grad():
        model.head.bias.zero_()  # so that all classes occur
    config = {"architecture": "unet", "arguments": arguments, "classes": list(classes), "image_size": 8}
    save_segmenter(folder, model, config)
    return folder


def save_image(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16)).astype(np.uint8)).save(path)
    return path


@dataclasses.dataclass
class Forger:
    """A folder with a certificate, which the forger rewrites."""

    folder: Path
    votes: Votes
    image_path: Path
    networks: Networks
    sampling: Sampling = SAMPLING
    decision: Decision = DECISION
    reading: Reading = AS_STATED

    @property
    def image(self):
        return self.networks.read_image(self.image_path, reading=self.reading)

    @property
    def path(self):
        return self.folder / "chest.certificate.json"

    @property
    def maps(self):
        return self.votes.label_maps().copy()

    @property
    def asked(self):
        return measurements_of(ASKED, self.networks.config["classes"], *self.image.pixel_scale)

    def write(self, votes=None, **changes):
        """Write everything anew, as an honest author of these votes and settings would."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.votes = votes or self.votes
        write_certificate(
            self.image_path,
            self.folder,
            image=self.image,
            votes=self.votes,
            networks=self.networks,
            sampling=self.sampling,
            decision=self.decision,
            measurements=self.asked,
            thresholds=THRESHOLDS,
            radii=True,
            reading=self.reading,
        )

    def vote(self, maps, *, keep=True, origin=None):
        """Return the votes of forged label maps (draws, H, W), consistent in all parts."""
        n0 = self.sampling.n0
        one_hot = np.stack([maps == c for c in range(3)], axis=1)
        return Votes(
            narrow(one_hot[:n0].sum(0), n0),
            narrow(one_hot[n0:].sum(0), len(maps) - n0),
            self.sampling.sigma,
            one_hot.sum((2, 3)).astype(np.uint32),
            measurements={each.name: np.array([each.function(m) for m in maps], float) for each in self.asked},
            draws=pack_labels(maps, 3) if keep else np.zeros((0, 1, 0), np.uint8),
            origin={**self.votes.origin, **(origin or {})},
        )

    def edit(self, key, value):
        """Replace a value of the JSON file; numbers in the key are places in lists."""
        document = json.loads(self.path.read_text())
        *parents, last = [int(part) if part.isdigit() else part for part in key.split("/")]
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = value(place.get(last) if isinstance(place, dict) else place[last]) if callable(value) else value
        self.path.write_text(json.dumps(document, indent=2))

    def replace(self, kind, content):
        """Replace a file, and make its digest fit."""
        file = self.folder / f"chest.{kind}"
        file.write_bytes(content)
        self.edit(f"files/{kind}/sha256", file_digest(file))

    def save_votes(self, **changes):
        """Replace parts of the votes only, and make the digest fit."""
        dataclasses.replace(self.votes, **changes).save(self.folder / "chest.votes.npz")
        self.edit("files/votes.npz/sha256", file_digest(self.folder / "chest.votes.npz"))

    def save_arrays(self, changed):
        """Replace arrays of the votes file only, of any type, with a digest of the votes that fits them."""
        arrays = {f"image/{name}": array for name, array in self.votes.arrays().items()} | changed
        digests = {name.removeprefix("image/"): array_digest(array) for name, array in arrays.items()}
        about = {"sigma": self.votes.sigma, "digest": value_digest([digests, self.votes.sigma, self.votes.origin])}
        about |= {"measurements": list(self.votes.measurements), "origin": self.votes.origin}
        header = json.dumps({"format": FORMAT, "images": {"image": about}}, sort_keys=True)
        save_arrays(self.folder / "chest.votes.npz", {"header": np.array(header), **arrays})
        self.edit("files/votes.npz/sha256", file_digest(self.folder / "chest.votes.npz"))

    @property
    def members(self):
        """Names and contents of the members of the votes file."""
        with zipfile.ZipFile(self.folder / "chest.votes.npz") as archive:
            return [(name, archive.read(name)) for name in archive.namelist()]

    @property
    def heart_counts(self):
        """Content of a member with counts that say heart everywhere."""
        counts, buffer = np.zeros_like(self.votes.estimation), io.BytesIO()
        counts[HEART] = self.votes.n
        np.save(buffer, counts)
        return buffer.getvalue()

    def save_members(self, members):
        """Replace the votes file by an archive of these members, and make its digest fit."""
        buffer = io.BytesIO()
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w") as archive:  # of names used twice
            for name, content in members:
                archive.writestr(name, content)
        self.replace("votes.npz", buffer.getvalue())

    def add_chunk(self, kind, name, body):
        """Add a chunk behind the header of a PNG file."""
        content = (self.folder / f"chest.{kind}").read_bytes()
        chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        self.replace(kind, content[:33] + chunk + content[33:])

    @property
    def labels(self):
        return read_mask((self.folder / "chest.labels.png").read_bytes()).values.astype(np.uint8)


def all_heart(forger):
    forger.write(forger.vote(np.full_like(forger.maps, HEART)))


def heart_without_label_maps(forger):
    forger.write(forger.vote(np.full_like(forger.maps, HEART), keep=False))


def one_draw(forger):
    maps = forger.maps
    maps[41] = HEART
    forger.write(forger.vote(maps))


def one_pixel_of_one_draw(forger):
    maps = forger.maps
    maps[33, 2, 3] = (maps[33, 2, 3] + 1) % 3
    forger.write(forger.vote(maps))


def one_selection_draw(forger):
    maps = forger.maps
    maps[4] = (maps[4] + 1) % 3
    forger.write(forger.vote(maps))


def draws_that_were_not_repeated_formerly(forger):
    """The draws 0, 4, 7, 11, ... were known to be repeated: linspace(0, n0 + n - 1, 20)."""
    maps, known = forger.maps, np.unique(np.linspace(0, 69, 20).round().astype(int))
    maps[np.setdiff1d(np.arange(70), known)] = HEART
    forger.write(forger.vote(maps))


def the_same_without_label_maps(forger):
    maps, known = forger.maps, np.unique(np.linspace(0, 69, 20).round().astype(int))
    maps[np.setdiff1d(np.arange(70), known)] = HEART
    forger.write(forger.vote(maps, keep=False))


def classes_exchanged(forger):
    forger.write(forger.vote(np.array([0, 2, 1], np.uint8)[forger.maps]))


def draws_in_another_order(forger):
    forger.write(forger.vote(np.concatenate([forger.maps[:10], forger.maps[10:][::-1]])))


def draws_counted_twice(forger):
    maps = np.concatenate([forger.maps, forger.maps[10:]])
    forger.write(forger.vote(maps), sampling=dataclasses.replace(SAMPLING, n=120))


def pixels_turned_over(forger):
    forger.write(forger.vote(forger.maps[:, ::-1].copy()))


def counts_moved_without_label_maps(forger):
    """Two pixels exchange their counts: all areas stay right, so the repeated draws alone contradict nothing."""
    votes = forger.vote(forger.maps, keep=False)
    turned = {name: getattr(votes, name)[:, ::-1].copy() for name in ("selection", "estimation")}
    forger.write(dataclasses.replace(votes, **turned))


def votes_moved_without_label_maps(forger):
    """Three votes of one pixel go from one class to another, and three votes of another pixel go back."""
    votes = forger.vote(forger.maps, keep=False)
    estimation = votes.estimation.copy()
    pairs = [(0, 1), (0, 2), (1, 2)]
    both = {pair: np.argwhere((estimation[list(pair)] >= 12).all(axis=0)) for pair in pairs}
    one, other = max(pairs, key=lambda pair: len(both[pair]))
    spread = both[one, other]
    (y, x), (v, u) = spread[0], spread[-1]
    estimation[one, y, x], estimation[other, y, x] = estimation[one, y, x] + 3, estimation[other, y, x] - 3
    estimation[one, v, u], estimation[other, v, u] = estimation[one, v, u] - 3, estimation[other, v, u] + 3
    forger.write(dataclasses.replace(votes, estimation=estimation))


def counts_moved_beside_label_maps(forger):
    turned = {name: getattr(forger.votes, name)[:, ::-1].copy() for name in ("selection", "estimation")}
    forger.write(dataclasses.replace(forger.votes, **turned))


def counts_without_areas(forger):
    votes = forger.votes
    estimation = np.zeros_like(votes.estimation)
    estimation[HEART] = 60
    areas, draws = np.zeros((0, 0), np.uint32), np.zeros((0, 1, 0), np.uint8)
    forger.write(dataclasses.replace(votes, estimation=estimation, areas=areas, draws=draws))


def areas_of_two_draws_exchanged(forger):
    areas = forger.votes.areas.copy()
    areas[[20, 30]] = areas[[30, 20]]
    areas[20, 0], areas[20, 1] = areas[20, 0] + 1, areas[20, 1] - 1
    areas[30, 0], areas[30, 1] = areas[30, 0] - 1, areas[30, 1] + 1
    forger.write(dataclasses.replace(forger.votes, areas=areas))


def a_ground_truth_in_the_votes(forger):
    forger.write(dataclasses.replace(forger.votes, truth_areas=np.array([30, 20, 14], np.uint32)))


def votes_of_another_sigma(forger):
    sampling = dataclasses.replace(SAMPLING, sigma=0.5)
    votes = dataclasses.replace(forger.votes, sigma=0.5, origin={**forger.votes.origin, "sigma": 0.5})
    forger.write(votes, sampling=sampling)


def votes_of_another_seed(forger):
    sampling = dataclasses.replace(SAMPLING, seed=8)
    forger.write(forger.vote(forger.maps, origin={"seed": 8}), sampling=sampling)


def votes_of_other_noise(forger):
    sampling = dataclasses.replace(SAMPLING, noise="exact")
    forger.write(forger.vote(forger.maps, origin={"noise": "exact, 8 bits"}), sampling=sampling)


def votes_of_another_image(forger):
    """Honest votes of another image, under the digest of this image."""
    other = forger.networks.read_image(forger.folder.parent / "other.png")
    votes = forger.networks.smoothed(other, SAMPLING, CPU).sample(
        other.unit(), 10, 60, measurements=forger.asked, keep_draws=True
    )
    forger.write(dataclasses.replace(votes, origin=forger.votes.origin))


def votes_of_another_image_as_they_are(forger):
    other = forger.networks.read_image(forger.folder.parent / "other.png")
    forger.write(
        forger.networks.smoothed(other, SAMPLING, CPU).sample(
            other.unit(), 10, 60, measurements=forger.asked, keep_draws=True
        )
    )


def votes_of_another_network(forger):
    other = Networks.load(forger.folder.parent / "other", None)
    votes = other.smoothed(forger.image, SAMPLING, CPU).sample(
        forger.image.unit(), 10, 60, measurements=forger.asked, keep_draws=True
    )
    forger.write(dataclasses.replace(votes, origin=forger.votes.origin))


def all_measurements(forger):
    values = {each.name: np.full(70, 0.62 if not each.unit else 50.0) for each in forger.asked}
    forger.write(dataclasses.replace(forger.votes, measurements=values))


def all_measurements_without_label_maps(forger):
    votes = forger.vote(forger.maps, keep=False)
    values = {each.name: np.full(70, 0.62 if not each.unit else 50.0) for each in forger.asked}
    forger.write(dataclasses.replace(votes, measurements=values))


def one_measured_value(forger):
    values = {name: value.copy() for name, value in forger.votes.measurements.items()}
    values["cardiothoracic_ratio"][50] = 0.1
    forger.write(dataclasses.replace(forger.votes, measurements=values))


def one_measured_area(forger):
    values = {name: value.copy() for name, value in forger.votes.measurements.items()}
    values["area_heart"][50] += 1
    forger.write(dataclasses.replace(forger.votes, measurements=values))


def measurements_exchanged(forger):
    values = dict(forger.votes.measurements)
    values["area_lungs"], values["area_heart"] = values["area_heart"], values["area_lungs"]
    forger.write(dataclasses.replace(forger.votes, measurements=values))


def measured_with_another_pixel_size(forger):
    """All areas in mm2, for a file that states no pixel size; only the JSON file says where they come from."""
    forger.write(reading=Reading(pixel_size=(0.5, 0.5)))
    forger.write(forger.vote(forger.maps))
    forger.edit("image/pixel_size_set", None)


def measurement_with_an_unknown_name(forger):
    values = dict(forger.votes.measurements)
    values["malignancy"] = values.pop("cardiothoracic_ratio")
    forger.save_votes(measurements=values)
    forger.edit("measurements/2/name", "malignancy")


def a_measurement_left_out(forger):
    forger.edit("measurements", lambda each: each[:-1])


def radius_map_of_nines(forger):
    forger.replace("radius.tif", encode_tiff(np.full((8, 8), 9.99, "f4")))


def one_radius(forger):
    radius = tifffile.imread(forger.folder / "chest.radius.tif").copy()
    radius.flat[radius.argmax()] *= 1.01
    forger.replace("radius.tif", encode_tiff(radius))


def radius_where_nothing_is_certified(forger):
    radius = tifffile.imread(forger.folder / "chest.radius.tif").copy()
    radius.flat[radius.argmin()] = radius.max()
    forger.replace("radius.tif", encode_tiff(radius))


def radius_map_with_a_second_page(forger):
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(tifffile.imread(forger.folder / "chest.radius.tif"))
        writer.write(np.full((8, 8), 9.99, "f4"))
    forger.replace("radius.tif", buffer.getvalue())


def labels_on_the_grid_of_the_file(forger):
    forger.replace("labels.original-nearest.png", encode_png(np.full((16, 16), HEART, np.uint8)))


def radii_on_the_grid_of_the_file(forger):
    forger.replace("radius.original-nearest.tif", encode_tiff(np.full((16, 16), 9.99, "f4")))


def a_radius_map_that_is_not_listed(forger):
    radius_map_of_nines(forger)
    forger.edit("files", lambda files: {kind: file for kind, file in files.items() if not kind.startswith("radius")})


def an_overlay_that_is_not_listed(forger):
    blank_overlay(forger)
    forger.edit("files", lambda files: {kind: file for kind, file in files.items() if kind != "overlay.png"})


def blank_overlay(forger):
    forger.replace("overlay.png", encode_png(np.ones((32, 32, 3))))


def overlay_of_other_labels(forger):
    other = dataclasses.replace(forger, folder=forger.folder.parent / "aside")
    other.folder.mkdir()
    other.write(forger.vote(np.full_like(forger.maps, HEART)))
    forger.replace("overlay.png", (other.folder / "chest.overlay.png").read_bytes())


def larger_overlay(forger):
    with Image.open(forger.folder / "chest.overlay.png") as overlay:
        larger = overlay.resize((64, 64), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    larger.save(buffer, "PNG")
    forger.replace("overlay.png", buffer.getvalue())


def animated_overlay(forger):
    with Image.open(forger.folder / "chest.overlay.png") as overlay:
        first = overlay.copy()
    buffer = io.BytesIO()
    first.save(buffer, "PNG", save_all=True, append_images=[Image.new("RGBA", first.size, "white")])
    forger.replace("overlay.png", buffer.getvalue())


def abstaining_pixel_certified(forger):
    labels = forger.labels
    labels.flat[np.flatnonzero(labels == 255)[0]] = HEART
    forger.replace("labels.png", encode_png(labels))


def certified_pixel_of_another_class(forger):
    labels = forger.labels
    place = np.flatnonzero(labels != 255)[0]
    labels.flat[place] = (labels.flat[place] + 1) % 3
    forger.replace("labels.png", encode_png(labels))


def labels_with_counts_and_overlay_to_match(forger):
    """A false label map; the JSON file and the overlay agree with it. Only the votes do not."""
    other = dataclasses.replace(forger, folder=forger.folder.parent / "aside")
    other.folder.mkdir()
    other.write(forger.vote(np.full_like(forger.maps, HEART)))
    shutil.copy(other.path, forger.path)
    for kind in ("labels.png", "overlay.png", "radius.tif"):
        forger.replace(kind, (other.folder / f"chest.{kind}").read_bytes())
    forger.edit("files/votes.npz/sha256", file_digest(forger.folder / "chest.votes.npz"))
    for place, measured in enumerate(json.loads((forger.folder.parent / "honest.json").read_text())["measurements"]):
        forger.edit(f"measurements/{place}", measured)


def labels_of_another_shape(forger):
    forger.replace("labels.png", encode_png(forger.labels[:4]))


def labels_with_a_false_palette(forger):
    picture = Image.fromarray(forger.labels).convert("P")
    picture.putpalette([200, 0, 0] * 256)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    forger.replace("labels.png", buffer.getvalue())


def labels_with_a_text(forger):
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Comment", "certified: no heart disease")
    buffer = io.BytesIO()
    Image.fromarray(forger.labels).save(buffer, "PNG", pnginfo=text)
    forger.replace("labels.png", buffer.getvalue())


def edits(**changes):
    """Return a forger's function that replaces values of the JSON file. The keys are written a__b for a/b."""

    def edit(forger):
        for key, value in changes.items():
            forger.edit(key.replace("__", "/"), value)

    edit.__name__ = "_and_".join(changes)
    return edit


def twice(value):
    return 2 * value


def a_key_twice(forger):
    forger.path.write_text(forger.path.read_text().replace('"abstain": ', '"abstain": 0.0,\n  "abstain": ', 1))


def a_key_like_a_path(forger):
    """The document gets a key image.path. The key path of its image, which is not checked, is another."""
    forger.path.write_text(
        forger.path.read_text().replace('"format"', '"image.path": "of a healthy person", "format"', 1)
    )


def a_note_on_a_file(forger):
    forger.edit("files/labels.png/note", lambda _: "checked")


def a_file_of_another_name(forger):
    """The certificate names an honest label map; the one that people open is forged."""
    shutil.copy(forger.folder / "chest.labels.png", forger.folder / "x.labels.png")
    forger.edit("files/labels.png/path", "x.labels.png")
    (forger.folder / "chest.labels.png").write_bytes(encode_png(np.full((8, 8), HEART, np.uint8)))


def another_network(forger):
    forger.write(networks=Networks.load(forger.folder.parent / "other", None))
    all_heart(forger)


def names_of_classes_exchanged_in_the_network(forger):
    other = save_network(forger.folder.parent / "exchanged", 0, ["background", "heart", "lungs"])
    networks = Networks.load(other, None)
    votes = networks.smoothed(forger.image, SAMPLING, CPU).sample(
        forger.image.unit(), 10, 60, measurements=measurements_of(ASKED, networks.config["classes"]), keep_draws=True
    )
    forger.write(votes, networks=networks)


def a_denoiser_that_was_not_there(forger):
    forger.edit("networks/denoiser", {"path": str(forger.folder), "digest": "0" * 64, "steps": 1})


def another_image(forger):
    image = forger.folder.parent / "elsewhere/chest.png"
    image.parent.mkdir()
    save_image(image, 9)
    forger.write(image_path=image)


def whole_certificate_of_another_image(forger):
    """An honest certificate of another image under the name of this one."""
    image = forger.folder.parent / "elsewhere/chest.png"
    image.parent.mkdir()
    save_image(image, 9)
    forger.image_path = image
    forger.write(
        forger.networks.smoothed(forger.image, SAMPLING, CPU).sample(
            forger.image.unit(), 10, 60, measurements=forger.asked, keep_draws=True
        )
    )


def as_text(value):
    return str(value)


def as_true(value):
    return True


def negative_counts(forger):
    """A class gets more votes than there are draws, and another one fewer than none."""
    votes = forger.vote(forger.maps, keep=False)
    estimation = votes.estimation.astype(np.int16)
    estimation[:, 2, 3] = [65, -5, 0]
    forger.save_arrays({"image/estimation": estimation, "image/draws": np.zeros((0, 1, 0), np.uint8)})


def counts_of_more_draws_than_stated(forger):
    """Every pixel has 120 votes; the certificate and the areas are about 60."""
    forger.save_arrays({"image/estimation": forger.votes.estimation * 2})


def counts_that_are_fractions(forger):
    forger.save_arrays({"image/estimation": forger.votes.estimation.astype(float)})


def areas_that_are_texts(forger):
    forger.save_arrays({"image/areas": forger.votes.areas.astype(str)})


def measurements_that_are_texts(forger):
    values = forger.votes.measurements["cardiothoracic_ratio"]
    forger.save_arrays({"image/measurement/cardiothoracic_ratio": np.where(values > 0, "low", "none")})


def label_maps_of_wide_numbers(forger):
    forger.save_arrays({"image/draws": forger.votes.draws.astype(np.uint16)})


def two_arrays_of_one_name(forger):
    """The last member is honest; a program that reads the archive from its start finds the forged one."""
    forger.save_members([("image/estimation.npy", forger.heart_counts), *forger.members])


def an_array_without_a_suffix(forger):
    """A reader that uses numpy prefers a member `image/estimation` to `image/estimation.npy`."""
    forger.save_members([*forger.members, ("image/estimation", forger.heart_counts)])


def an_array_more(forger):
    forger.save_members([*forger.members, ("image/certified.npy", forger.heart_counts)])


def votes_of_two_images(forger):
    """The certificate is about one image; the file has votes of a second one."""
    votes = forger.vote(np.full_like(forger.maps, HEART))
    save_votes(forger.folder / "chest.votes.npz", {"image": forger.votes, "other": votes})
    forger.edit("files/votes.npz/sha256", file_digest(forger.folder / "chest.votes.npz"))


def votes_elsewhere(forger):
    (forger.folder.parent / "elsewhere.npz").write_bytes((forger.folder / "chest.votes.npz").read_bytes())
    (forger.folder / "chest.votes.npz").unlink()
    forger.edit("files/votes.npz/path", "../elsewhere.npz")


def a_link_to_other_labels(forger):
    """The label map in the folder is a symbolic link to a forged one, with its digest."""
    file = forger.folder / "chest.labels.png"
    forger.replace("labels.png", encode_png(np.full((8, 8), HEART, np.uint8)))
    file.rename(forger.folder.parent / "labels.png")
    file.symlink_to(forger.folder.parent / "labels.png")


def radius_map_of_nan(forger):
    radius = tifffile.imread(forger.folder / "chest.radius.tif").copy()
    radius.flat[radius.argmin()] = np.nan
    forger.replace("radius.tif", encode_tiff(radius))


def radius_map_of_infinity(forger):
    radius = tifffile.imread(forger.folder / "chest.radius.tif").copy()
    radius.flat[radius.argmax()] = np.inf
    forger.replace("radius.tif", encode_tiff(radius))


def radius_map_with_black_and_white_exchanged(forger):
    """The same numbers; programs that show them as a picture make large radii dark."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, tifffile.imread(forger.folder / "chest.radius.tif"), photometric="miniswhite")
    forger.replace("radius.tif", buffer.getvalue())


def larger_labels(forger):
    labels = np.full((16, 16), HEART, np.uint8)
    labels[:8, :8] = forger.labels
    forger.replace("labels.png", encode_png(labels))


def overlay_in_another_colour_space(forger):
    """A cICP chunk makes browsers show other colours; pixel values stay."""
    forger.add_chunk("overlay.png", b"cICP", bytes([9, 16, 0, 1]))


def labels_that_are_turned_when_shown(forger):
    exif = Image.Exif()
    exif[274] = 3  # orientation: upside down
    forger.add_chunk("labels.png", b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))


def labels_with_a_second_file_behind_them(forger):
    content = (forger.folder / "chest.labels.png").read_bytes()
    forger.replace("labels.png", content + encode_png(np.full((8, 8), HEART, np.uint8)))


def numbers_in_json(text):
    """Return a forger's function that replaces the share of abstaining pixels by a text that is no JSON number."""

    def edit(forger):
        forger.path.write_text(re.sub(r'"abstain": [^,]+,', f'"abstain": {text},', forger.path.read_text(), count=1))

    edit.__name__ = f"abstain_is_{text.replace('-', 'minus_')}"
    return edit


def a_key_twice_with_an_escape(forger):
    text = forger.path.read_text()
    forger.path.write_text(text.replace('"abstain": ', '"\\u0061bstain": 0.0,\n  "abstain": ', 1))


def a_key_twice_deep_inside(forger):
    forger.path.write_text(forger.path.read_text().replace('"tau": ', '"tau": 0.9,\n    "tau": ', 1))


def a_measurement_twice(forger):
    forger.edit("measurements", lambda each: [*each, each[0]])


def seeds_of_two_certificates_exchanged(forger):
    """Each certificate is honest but for its seed, which is that of the other one; votes and document agree."""
    sampling = dataclasses.replace(SAMPLING, seed=11)
    own = forger.networks.smoothed(forger.image, sampling, CPU).sample(
        forger.image.unit(), 10, 60, measurements=forger.asked, keep_draws=True
    )
    forger.write(dataclasses.replace(own, origin={**own.origin, "seed": SAMPLING.seed}), sampling=SAMPLING)


def remarks_deleted(forger):
    """The pixels of the file are not square, which the certificate must say."""
    forger.write(reading=Reading(pixel_size=(1.0, 0.5)))
    forger.write(forger.vote(forger.maps))
    assert json.loads(forger.path.read_text())["remarks"]
    forger.edit("remarks", [])


# (forgery, True if the checker finds it)
FORGERIES = {
    "votes": [
        (all_heart, False),
        (heart_without_label_maps, False),
        (one_draw, False),
        (one_pixel_of_one_draw, False),
        (one_selection_draw, False),
        (draws_that_were_not_repeated_formerly, False),
        (the_same_without_label_maps, False),
        (classes_exchanged, False),
        (draws_in_another_order, False),
        (draws_counted_twice, False),
        (pixels_turned_over, False),
        (counts_moved_without_label_maps, False),
        (votes_moved_without_label_maps, False),
        (counts_moved_beside_label_maps, True),
        (counts_without_areas, True),
        (areas_of_two_draws_exchanged, True),
        (a_ground_truth_in_the_votes, False),
        (votes_of_another_sigma, False),
        (votes_of_another_seed, False),
        (votes_of_other_noise, False),
        (votes_of_another_image, False),
        (votes_of_another_image_as_they_are, False),
        (votes_of_another_network, False),
        (seeds_of_two_certificates_exchanged, False),
        (negative_counts, True),
        (counts_of_more_draws_than_stated, True),
        (counts_that_are_fractions, False),
        (areas_that_are_texts, False),
        (measurements_that_are_texts, True),
        (label_maps_of_wide_numbers, True),
        (two_arrays_of_one_name, False),
        (an_array_without_a_suffix, True),
        (an_array_more, False),
        (votes_of_two_images, True),
        (votes_elsewhere, True),
    ],
    "measurements": [
        (all_measurements, True),
        (all_measurements_without_label_maps, True),
        (one_measured_value, False),
        (one_measured_area, True),
        (measurements_exchanged, True),
        (measured_with_another_pixel_size, False),
        (measurement_with_an_unknown_name, False),
        (a_measurement_left_out, True),
        (edits(measurements__1__low=twice), True),
        (edits(measurements__1__high=None), True),
        (edits(measurements__2__median=0.1), True),
        (edits(measurements__1__unit="mm2"), True),
        (edits(measurements__1__alpha=1e-6), True),
        (edits(measurements__1__radius=twice), True),
        (edits(measurements__1__draws=700), True),
        (edits(measurements__1__decision=lambda each: "below" if each != "below" else "above"), True),
        (edits(measurements__2__threshold=0.0, measurements__2__decision="below"), True),
        (edits(measurements__1__threshold=10**400), True),
        (edits(measurements__1__threshold=True), False),
        (edits(measurements__2__unit="cm"), False),
        (edits(measurements__1__low=as_text), True),
        (a_measurement_twice, True),
    ],
    "pictures": [
        (radius_map_of_nines, True),
        (one_radius, True),
        (radius_where_nothing_is_certified, True),
        (radius_map_with_a_second_page, True),
        (labels_on_the_grid_of_the_file, False),
        (radii_on_the_grid_of_the_file, False),
        (a_radius_map_that_is_not_listed, False),
        (an_overlay_that_is_not_listed, False),
        (blank_overlay, False),
        (overlay_of_other_labels, False),
        (larger_overlay, False),
        (animated_overlay, False),
        (abstaining_pixel_certified, True),
        (certified_pixel_of_another_class, True),
        (labels_with_counts_and_overlay_to_match, True),
        (labels_of_another_shape, True),
        (labels_with_a_false_palette, True),
        (labels_with_a_text, True),
        (a_file_of_another_name, True),
        (a_link_to_other_labels, True),
        (radius_map_of_nan, True),
        (radius_map_of_infinity, True),
        (radius_map_with_black_and_white_exchanged, False),
        (larger_labels, True),
        (overlay_in_another_colour_space, False),
        (labels_that_are_turned_when_shown, True),
        (labels_with_a_second_file_behind_them, True),
    ],
    "settings": [
        (edits(certificate__tau=0.9), True),
        (edits(certificate__alpha=1e-9), True),
        (edits(certificate__method="holm"), True),
        (edits(certificate__radius=twice), True),
        (edits(certificate__radius=twice, radius_gray_levels=twice), True),
        (edits(radius_gray_levels=twice), True),
        (edits(certificate__sigma=twice, certificate__radius=twice, radius_gray_levels=twice), True),
        (edits(certificate__n=600), True),
        (edits(certificate__n=600, sampling__n=600), True),
        (edits(sampling__n0=0), True),
        (edits(sampling__batch_size=32), True),
        (edits(sampling__seed=8), True),
        (edits(sampling__noise="exact"), True),
        (edits(sampling__precision="bfloat16"), True),
        (edits(certificate__k=5), False),
        (edits(certificate__guarantee="no pixel is wrong"), False),
        (edits(abstain=0.01), True),
        (edits(classes__2__certified_pixels=64), True),
        (edits(classes__2__certified_pixels=10**400), True),
        (edits(abstain=True), True),
        (edits(classes__2__area_low=60), True),
        (edits(classes__1__name="heart", classes__2__name="lungs"), True),
        (edits(remarks=["checked by a physician"]), False),
        (edits(segcert="9.9"), False),
        (a_key_twice, True),
        (a_key_twice_with_an_escape, True),
        (a_key_twice_deep_inside, True),
        (edits(certificate__alpha=as_text), True),
        (edits(certificate__alpha="1e-3"), True),
        (edits(certificate__alpha="0.001", certificate__tau="0.75"), True),
        (edits(certificate__n0=as_text), True),
        (edits(sampling__n=60.0), False),
        (edits(certificate__k=as_true), False),
        (edits(classes__0__id=False), False),
        (edits(abstain=[0.0]), True),
        (numbers_in_json("NaN"), True),
        (numbers_in_json("Infinity"), True),
        (numbers_in_json("-Infinity"), True),
        (numbers_in_json("1e999"), True),
        (edits(diagnosis="healthy"), False),
        (edits(certificate__checked_by="a physician"), False),
        (edits(runtime__torch="9.9"), False),
        (edits(format="segcert-certificate-2"), False),
        (edits(decisions__number=3), False),
        (edits(decisions__number=0), False),
        (edits(decisions__note="checked by a physician"), False),
        (remarks_deleted, False),
    ],
    "networks": [
        (another_network, False),
        (names_of_classes_exchanged_in_the_network, False),
        (a_denoiser_that_was_not_there, False),
        (edits(networks__segmenter__digest="0" * 64), False),
    ],
    "image": [
        (another_image, False),
        (whole_certificate_of_another_image, False),
        (edits(image__sha256="0" * 64), False),
        (edits(image__shape=[1, 16, 16]), True),
        (edits(image__shape=[1, 2**30, 2**30]), True),
        (edits(image__bits=12), False),
        (edits(image__pixel_size_mm=[0.1, 0.1]), False),
        (edits(image__pixel_size_set=[0.1, 0.1]), False),
        (edits(image__applied=[]), False),
        (edits(image__window=[0.0, 100.0]), False),
        (edits(image__grid__original=[32, 32]), False),
        (edits(image__length_unit="mm"), False),
        (edits(image__path_withheld=True), False),
        (edits(image__patient="healthy"), False),
        (a_key_like_a_path, False),
        (a_note_on_a_file, True),
    ],
}
