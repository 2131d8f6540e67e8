"""Decide a certificate again from its votes, without segcert: python check_certificate.py NAME.certificate.json

It needs only Python 3.11 and numpy. It prints a line per check: ok, WRONG or "not checked". If any is WRONG, the exit
status is 1. Binomial tails are exact. `segcert verify --all` checks that the image and networks give these votes.
"""

import hashlib
import json
import math
import statistics
import struct
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np

ABSTAIN, MAP_TAUS = 255, (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
phi_inverse = statistics.NormalDist().inv_cdf  # the radius is sigma * phi_inverse(tau) (Cohen et al. 2019)


def tails(n, p):
    """Return the integers `t[0..n+1]` and `one` for which P(Bin(n, p) >= c) is exactly `t[c] / one` for the float p."""
    (a, d), t = Fraction(p).as_integer_ratio(), [0]
    for k in range(n, -1, -1):
        t.append(t[-1] + math.comb(n, k) * a**k * (d - a) ** (n - k))
    return t[::-1], d**n


def tested_class(selection, estimation, method):
    """Return the class of each pixel, its number of votes, and the number of draws that test the class."""
    choose, test = [selection + estimation] * 2 if method == "holm" else [selection, estimation]
    chosen = choose.argmax(axis=0)  # the lowest class id in a tie
    counts = np.take_along_axis(test, chosen[None], axis=0)[0]
    return chosen.ravel().tolist(), counts.ravel().tolist(), int(test[:, 0, 0].sum())


def certified_pixels(counts, n, tau, alpha, method, k):
    """Return the flat indices of the certified pixels. A plain loop tests them in the order of their p-values."""
    pixels, (above, one), (below, _) = len(counts), tails(n, tau), tails(n, 1 - Fraction(tau))
    order, level, certified = sorted(range(pixels), key=lambda i: -counts[i]), Fraction(alpha) * one, 0
    harmonic = Fraction(math.fsum(1 / i for i in range(1, pixels + 1)))
    for rank, pixel in enumerate(order, start=1):
        c = counts[pixel]
        if method == "segcertify":  # Holm 1979
            passes = above[c] * (pixels - rank + 1) <= level
        elif method == "holm":  # Holm, with a bound for a wrong class that has c votes at any pixel
            passes = c - 1 >= Fraction(tau) * (n - 1) and above[c] * (pixels - rank + 1) + below[c] * pixels <= level
        elif method == "kfwer":  # Lehmann and Romano 2005
            passes = above[c] * (pixels + k - max(rank, k)) <= k * level
        else:  # Benjamini and Yekutieli 2001: up to the last pixel that passes
            passes = above[c] * pixels * harmonic <= rank * level
        if passes:
            certified = rank
        elif method != "by":
            break
    return order[:certified]


def radius_map(counts, n, sigma, alpha, method):
    """Return the radius of each pixel, in a flat array, for all values of tau at once."""
    alpha, floor = Fraction(alpha), 0
    if method == "holm":  # a hundredth of alpha is for wrong classes
        below, one = tails(n, 1 - Fraction(MAP_TAUS[0]))
        enough = (c for c in range(n + 2) if c - 1 >= Fraction(MAP_TAUS[0]) * (n - 1))
        floor = next(c for c in enough if below[c] * len(counts) <= alpha / 100 * one)
        alpha *= Fraction(99, 100)
    first = certified_pixels(counts, n, MAP_TAUS[-1], alpha, "segcertify", 1)
    left, radius = max(1, len(counts) - sum(counts[pixel] >= floor for pixel in first)), [0.0] * len(counts)
    for tau in MAP_TAUS:
        above, one = tails(n, tau)
        least = next(c for c in range(n + 2) if c >= floor and above[c] * left <= alpha * one)
        radius = [sigma * phi_inverse(tau) if c >= least else r for c, r in zip(counts, radius, strict=True)]
    return radius


def interval(values, tau, alpha):
    """Return low, median and high. The two ends are order statistics at the exact binomial level alpha / 2."""
    n, (above, one) = len(values), tails(len(values), tau)
    u = next(c for c in range(n + 2) if 2 * above[c] <= Fraction(alpha) * one)
    low = sorted(-math.inf if math.isnan(v) else v for v in values)[n - u]
    high = sorted(math.inf if math.isnan(v) else v for v in values)[u - 1]
    return low, statistics.median([v for v in values if not math.isnan(v)] or [math.nan]), high


def read_png(data):
    """Return the pixels of an 8-bit gray PNG file without interlacing (PNG specification, filters 0 to 4)."""
    place, chunks = 8, []
    while place < len(data):
        (size,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[0][1])
    if kind != [8, 0, 0, 0, 0] or {name for name, _ in chunks} != {b"IHDR", b"IDAT", b"IEND"}:
        raise ValueError("labels: not an 8-bit gray PNG file, or one with additional data")
    raw, above, rows = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT")), [0] * width, []
    for start in range(0, height * (width + 1), width + 1):
        filtered, row = raw[start : start + width + 1], []
        for x in range(width):
            a, b, c = row[x - 1] if x else 0, above[x], above[x - 1] if x else 0
            paeth = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            row.append((filtered[x + 1] + (0, a, b, (a + b) // 2, paeth)[filtered[0]]) % 256)
        rows.append(above := row)
    return rows


def read_tiff(data):
    """Return the pixels of a one-page float32 TIFF file (little-endian), plain or compressed with zlib."""
    (start,), tags = struct.unpack_from("<I", data, 4), {}
    end = start + 2 + 12 * struct.unpack_from("<H", data, start)[0]
    for place in range(start + 2, end, 12):
        tag, kind, size, at = struct.unpack_from("<HHII", data, place)
        form = f"<{size}{ {3: 'H', 4: 'I'}.get(kind, 'B') }"
        tags[tag] = struct.unpack_from(form, data, place + 8 if struct.calcsize(form) <= 4 else at)
    if data[:2] != b"II" or any(data[end : end + 4]) or tags[258] + tags[339] + tags.get(317, (1,)) != (32, 3, 1):
        raise ValueError("radius: not a one-page float32 TIFF file")
    strips = (data[at : at + size] for at, size in zip(tags[273], tags[279], strict=True))
    return np.frombuffer(b"".join(strips if tags[259] == (1,) else map(zlib.decompress, strips)), "<f4")


def check(path):  # noqa: PLR0915  # one list of checks
    """Yield `(passed, text)` for each check. If something is not checked, `passed` is None."""
    document = json.loads(path.read_text())
    yield "".join(json.dumps(document).split()) == "".join(path.read_text().split()), "no key is in the file twice"
    stated, sampling, classes, measured = map(document.get, ("certificate", "sampling", "classes", "measurements"))
    names = {kind: f"{path.name.removesuffix('certificate.json')}{kind}" for kind in document["files"]}
    data = {kind: (path.parent / name).read_bytes() for kind, name in names.items()}
    digests = {kind: {"path": names[kind], "sha256": hashlib.sha256(each).hexdigest()} for kind, each in data.items()}
    yield digests == document["files"], f"names and digests of {', '.join(names.values())}"
    archive = np.load(path.parent / names["votes.npz"], allow_pickle=False)
    ((name, about),) = json.loads(str(archive["header"]))["images"].items()
    selection, estimation, areas = (archive[f"{name}/{p}"].astype("i8") for p in ("selection", "estimation", "areas"))
    n0, n, tau, method, origin = (*(stated[key] for key in ("n0", "n", "tau", "method")), about["origin"])
    alpha = stated["alpha"] / len(looks := stated.get("looks") or [n])  # planned looks share alpha
    pixels, draws, shape = estimation[0].size, archive[f"{name}/draws"], document["image"]["shape"]
    yield method in ("segcertify", "holm", "kfwer", "by") and 0.5 < tau < 1 and 0 < alpha < 0.5, "method, tau, alpha"
    right = (selection.sum(0) == n0).all() and (estimation.sum(0) == n).all() and shape[1:] == [*estimation.shape[1:]]
    right = right and (sampling["n0"], sampling["n"]) == (n0, n) and n in looks
    yield right, f"every pixel of the image has {n0} + {n} votes"
    right = about["sigma"] == stated["sigma"] and sampling["noise"] == origin["noise"].split(",")[0]
    right = right and all(sampling[k] == origin[k] for k in ("sigma", "seed", "precision", "device", "batch_size"))
    yield right, "sigma, noise, seed, precision, device and batch size are those of the votes"
    right = [*areas[:n0].sum(0), *areas[n0:].sum(0)] == [*selection.sum((1, 2)), *estimation.sum((1, 2))]
    yield right and len(areas) == n0 + n and (areas.sum(1) == pixels).all(), "areas of the draws add up to the votes"
    if right := len(draws) or None:
        planes = np.unpackbits(draws, axis=2, count=pixels).astype("i8")
        maps = sum(planes[:, bit] << bit for bit in range(draws.shape[1])).reshape(-1, *estimation.shape[1:])
        one_hot = np.stack([maps == c for c in range(len(estimation))], axis=1)
        right = (one_hot[:n0].sum(0) == selection).all() and (one_hot[n0:].sum(0) == estimation).all()
        right = right and np.array_equal(one_hot.sum((2, 3)), areas)
    yield right, "label maps of the draws give the votes and areas"
    chosen, counts, tested = tested_class(selection, estimation, method)
    labels = np.full(pixels, ABSTAIN)
    for pixel in certified_pixels(counts, tested, tau, alpha, method, stated["k"]):
        labels[pixel] = chosen[pixel]
    unsure, radius = int((labels == ABSTAIN).sum()), stated["sigma"] * phi_inverse(tau)
    yield read_png(data["labels.png"]) == labels.reshape(shape[1:]).tolist(), "label of each pixel"
    sizes, bounded = np.bincount(labels, minlength=256)[: len(estimation)].tolist(), method in ("segcertify", "holm")
    sure = [[c, size, *((size, size + unsure) if bounded else (None, None))] for c, size in enumerate(sizes)]
    found = [[c["id"], c["certified_pixels"], c["area_low"], c["area_high"]] for c in classes]
    yield found == sure and math.isclose(document["abstain"], unsure / pixels), "pixels of each class; abstention"
    right = math.isclose(document["radius_gray_levels"], 255 * radius / math.sqrt(math.prod(shape)))
    yield right and math.isclose(stated["radius"], radius), f"radius {radius:.6g}, also in gray levels"
    if "radius.tif" in data:
        radii = radius_map(counts, tested, stated["sigma"], alpha, method)
        yield np.allclose(read_tiff(data["radius.tif"]), radii, rtol=1e-6, atol=0), "radius of each pixel"
    yield [each["name"] for each in measured] == about["measurements"], "names of the measurements"
    for title, each in zip(about["measurements"], measured, strict=True):
        values = archive[f"{name}/measurement/{title}"].tolist()
        ends = interval(values, tau, Fraction(alpha) / len(measured))
        right = [each["low"], each["median"], each["high"]] == [v if math.isfinite(v) else None for v in ends]
        right = right and math.isclose(each["alpha"], alpha / len(measured)) and math.isclose(each["radius"], radius)
        yield right and each["draws"] == len(values) == n0 + n, f"{title}: {ends[0]} to {ends[2]}"
        if "threshold" in each:
            decision = "above" if ends[0] > each["threshold"] else "below" if ends[2] < each["threshold"] else "open"
            yield each["decision"] == decision, f"{title}: {decision} {each['threshold']}"
        right = None
        for class_id in (c["id"] for c in classes if title == f"area_{c['name']}"):
            size = document["image"]["pixel_size_mm"] if "mm2" in each["unit"] else [1]
            found = areas[:, class_id] * math.prod(size)
            right = np.allclose(values, np.where(found > 0, found, np.nan), equal_nan=True)  # NaN: no such structure
        yield right, f"{title}: value in each draw"
    yield None, "that the networks and the image give these votes (segcert verify --all), the other pictures, texts"


def main(path):
    """Print a line for each check, and return the exit status."""
    status = 0
    try:
        for passed, text in check(Path(path)):
            print("not checked" if passed is None else "ok" if passed else "WRONG", text, sep=": ")
            status |= passed is not None and not passed
    except Exception as error:  # a damaged file may raise any error
        sys.exit(f"WRONG: the certificate cannot be checked ({type(error).__name__}: {error})")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
