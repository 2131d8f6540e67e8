"""Explanation of a certificate in plain English."""

from typing import Any

from segcert.certification.methods import METHODS

ROUNDING = 0.001  # smaller differences in aspect ratio are not mentioned


def explain(document: dict[str, Any]) -> str:
    """Explain the guarantee of a certificate as text: the perturbations, the units and the error probability."""
    settings, image, sampling = document["certificate"], document["image"], document["sampling"]
    channels, height, width = image["shape"]
    percent = 100 * document["abstain"]
    guarantee = settings["guarantee"].replace("1 - alpha", f"{1 - settings['alpha']:.12g}")
    guarantee = guarantee.replace("fewer than k", f"fewer than {settings['k']}")
    guarantee = guarantee.replace("the share alpha", f"the share {settings['alpha']:g}")
    in_channels = f"{channels} channels" if channels > 1 else f"{channels} channel"
    lines = [
        f"Certificate of {image['path']} (SHA-256 {image['sha256'][:12]}...)",
        f"  certified at {width}x{height} pixels with {in_channels}{_of_file(image)}",
        *_reading(image),
        "",
        "Guarantee",
        f"  {100 - percent:.1f}% of the pixels are certified; {percent:.1f}% abstain, that is, have no certificate.",
        "  A certified pixel keeps the label that the smoothed model gives it: the class that the network gives it in",
        "  more than half of all possible noisy copies. The network alone, or a vote of a few copies, may differ.",
        *[f"  Remark: {remark}." for remark in document.get("remarks", [])],
        "",
        "Perturbations",
        f"  Every perturbation with an l2 norm below {settings['radius']:.4g} is covered. This norm is the square",
        "  root of the sum of the squared changes of all pixels (and channels), where black is 0 and white is 1,",
        f"  at {width}x{height} pixels. If all values change equally, each may change by up to",
        f"  {document['radius_gray_levels']:.3g} of 255 gray levels; if only one value changes, by up to",
        f"  {255 * settings['radius']:.3g} gray levels.",
        "  Rotations, other scanners and larger changes are not covered.",
        "",
        "Error probability",
        f"  Method {settings['method']}: {guarantee}.",
        f"  (alpha = {settings['alpha']:g}; {settings['n0']} + {settings['n']} noisy copies at sigma "
        f"{settings['sigma']:g}, tau = {settings['tau']:g}.)",
        *_looks(settings),
    ]
    if METHODS[settings["method"]].weaker:
        lines += ["  This is weaker than the guarantee of segcertify and holm, which allows no wrong pixel."]
        lines += ["  It implies no interval for the area of a structure."]
    lines += _decisions(document.get("decisions"))
    if sampling["noise"] == "exact":
        lines += [
            "  The noise was drawn on the image's own grid, so floating-point rounding does not invalidate the",
            f"  guarantee (for perturbed images on the same {image['bits']}-bit grid).",
        ]
    else:
        lines += [
            "  The noise was float32, so the guarantee holds in real arithmetic. With `--noise exact`, it also holds",
            "  despite floating-point rounding.",
        ]
    if runtime := document.get("runtime"):
        lines.append(f"  The copies were drawn with {', '.join(f'{name} {each}' for name, each in runtime.items())}.")
    if not METHODS[settings["method"]].weaker:
        lines += ["", "Area of each structure (from its certified pixels to all pixels that may belong to it)"]
        for each in document["classes"]:
            if each["id"]:
                lines.append(f"  {each['name']}: {each['area_low']} to {each['area_high']} pixels")
    if document["measurements"]:
        alpha = document["measurements"][0]["alpha"] * max(1, len(settings.get("looks", [])))
        lines += [
            "",
            f"Measurements (median over the noise, for the same perturbations; error probability {alpha:.3g} each and",
            f"{settings['alpha']:g} for all together, in addition to the error probability of the labels)",
        ]
        lines += [_measurement(each) for each in document["measurements"]]
        if any(each[end] is None for each in document["measurements"] for end in ("low", "high")):
            lines += ["  Unbounded: a structure is absent from too many noisy copies, so nothing can be decided."]
    if "radius.tif" in document["files"]:
        lines += [
            "",
            f"Radius map: error probability {settings['alpha']:g} for all radii together, in addition to the above.",
        ]
    lines += _together(document)
    lines += [
        "",
        "This certificate says nothing about whether a label is medically right, and segcert is not a medical device.",
    ]
    return "\n".join(lines)


def summary(document: dict[str, Any]) -> list[str]:
    """Return the lines that `segcert certify` prints about a certificate: the result and the main warnings."""
    settings, name = document["certificate"], document["image"]["path"]
    after = f", decided after n = {settings['n']} of at most {settings['looks'][-1]}" if settings["looks"] else ""
    lines = [f"{name}: {1 - document['abstain']:.1%} certified at radius {settings['radius']:.4g}{after}"]
    if document["decisions"]["number"] > 1:
        lines.append(f"  {_numbered(document['decisions'])} (see segcert explain)")
    return lines + [f"  remark: {remark}" for remark in document["remarks"]]


def _numbered(decisions: dict[str, Any]) -> str:
    """Return the sentence that states the number of a decision on an image and network."""
    return f"decision {decisions['number']} on this image and network; alpha covers one"


def _decisions(decisions: dict[str, Any] | None) -> list[str]:
    """Return lines about this decision and the earlier ones on the same image and network."""
    if not decisions:
        return []
    if decisions["number"] == 1:
        return [f"  This is {_numbered(decisions)}. segcert has recorded no earlier decision."]
    lines = [
        f"  BUT: this is {_numbered(decisions)}, whose settings",
        "  were fixed before its votes were seen. Alpha does not cover the best of several decisions.",
        "  Earlier decisions:",
    ]
    for each in decisions["earlier"]:
        k = f", k = {each['k']}" if each["method"] in METHODS and METHODS[each["method"]].takes_k else ""
        looks = f" (looks {', '.join(map(str, each['looks']))})" if each.get("looks") else ""
        lines.append(
            f"    sigma {each['sigma']:g}, {each['n0']} + {each['n']} copies{looks}, seed {each['seed']}, "
            f"noise {each['noise']}, tau = {each['tau']:g}, alpha = {each['alpha']:g}, {each['method']}{k}"
        )
    return lines


def _looks(settings: dict[str, Any]) -> list[str]:
    """Return lines about the planned looks of a certificate."""
    looks = settings.get("looks", [])
    if not looks:
        return []
    return [
        f"  Looks were planned after n = {', '.join(map(str, looks))} copies, and the decision was",
        f"  made after n = {settings['n']}. The looks share alpha, so alpha covers all of them together.",
    ]


def _together(document: dict[str, Any]) -> list[str]:
    """Return lines about the total error probability of a certificate, if it makes several statements."""
    settings = document["certificate"]
    statements = 1 + bool(document["measurements"]) + ("radius.tif" in document["files"])
    if statements == 1:
        return []
    if METHODS[settings["method"]].expected_share:
        return [
            "",
            f"Method {settings['method']} bounds an expected share of wrong labels. No error probability covers the",
            "labels and the measurements together.",
        ]
    total = min(1, statements * settings["alpha"])
    return ["", f"All statements of this document together: error probability at most {total:.3g} (the sum)."]


def _reading(image: dict[str, Any]) -> list[str]:
    """Return lines that describe the conversion of the file into the certified image."""
    white = "white is the upper end of the window" if image.get("window") else f"white is {(1 << image['bits']) - 1}"
    applied = image.get("applied", [])
    lines = ["", "The file", f"  read with {image['bits']} bits: black is 0, {white}"]
    lines += [f"  {step}" for step in applied]
    if any(step.startswith("resized") for step in applied):
        lines += _resizing(image.get("grid"))
    return lines


def _resizing(grid: dict[str, Any] | None) -> list[str]:
    """Return lines about the effect of resizing on the certificate. In older certificates, `grid` is None."""
    lines = ["  A change to the file itself is covered only if the resized image stays within the radius."]
    if grid is None:
        return lines
    if abs(grid["squeeze"] - 1) > ROUNDING:
        lines.append(f"  Resizing multiplied the ratio of width to height by {grid['squeeze']:.4g}.")
    height, width = grid["original"]
    lines += [
        f"  The original-nearest files repeat the results on the {width}x{height} pixels of the file, as displayed.",
        "  They are copies by nearest neighbour, not certificates at that size.",
    ]
    return lines


def _measurement(each: dict[str, Any]) -> str:
    low, high = ("unbounded" if each[end] is None else f"{each[end]:.4g}" for end in ("low", "high"))
    text = f"  {each['name']}: {low} to {high} {each['unit']}".rstrip()
    if "threshold" in each:
        decided = {"above": "certified above", "below": "certified below", "open": "not certified on either side of"}
        text += f"; {decided[each['decision']]} {each['threshold']:g} {each['unit']}".rstrip()
    return text


def _of_file(image: dict[str, Any]) -> str:
    """Return text about the size of the image in the file, to follow the size at which the image was certified."""
    if not image.get("grid"):
        return ""
    height, width = image["grid"]["original"]
    return f"; the file has {width}x{height}"
