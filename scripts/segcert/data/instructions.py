"""What a person has to know of a data set, and to do to get it."""

from collections.abc import Iterable, Iterator

from segcert.data.catalogue import Archive, Dataset

OWN_FOLDER = """\
folder: images of your own, in a folder, with their masks in another. In the configuration:

  datasets: [clinic]
  own_data:
    clinic:
      kind: folder
      images: data/raw/clinic/images      # PNG, JPEG, TIFF, GIF, BMP or DICOM
      masks: data/raw/clinic/masks        # of the same name, but for the suffixes
      mask_suffix: _mask.png
      values: {0: background, 255: lesion}
      group_pattern: ^(\\d+)_              # finds the patient in an image's name, so that none is split up

or `table: clinic.csv` with the columns image, mask, group, split. More: docs/how-to/own-data.md. What lies in data/raw/
is versioned with the run; folders elsewhere are read where they are."""


def overview(all_known: Iterable[Dataset]) -> str:
    """A line for each data set, and how to name one of one's own."""
    rows = [("name", "images", "modality", "classes", "to get", "licence")]
    for about in all_known:
        by_hand = [archive for archive in about.archives if not archive.url]
        partly = "partly " * (len(by_hand) < len(about.archives))
        how = f"{partly}by hand" if by_hand else "fetched" if about.archives else "made here"
        count = f"{about.images}" if about.images else "any"
        rows.append((about.name, count, about.modality, ", ".join(about.classes[1:]), how, about.licence))
    rows.append(("folder", "any", "your own", "your own", "yours", "yours"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", "More of one: segcert datasets NAME. Images of your own: segcert datasets folder"])


def terms(about: Dataset) -> str:
    """Title, licence, terms and citation on a few lines."""
    return f"{about.title}\n  Licence: {about.licence}\n  Terms: {about.terms}\n  Cite: {about.citation}"


def how_to_get(about: Dataset, archives: Iterable[Archive]) -> str:
    """Where some archives are to be had by hand, and where to put them."""
    lines = [f"{archive.name}: from {archive.page} {archive.note}".rstrip() for archive in archives]
    return (
        f"Put into data/raw/{about.name}/, as downloaded or unpacked, under any name:\n  "
        + "\n  ".join(lines)
        + "\nthen run snakemake again. Or name a folder or URL that has the files: --config mirror=..."
    )


def describe(about: Dataset) -> str:
    """All that the catalogue says of a data set."""
    return "\n".join([f"{about.name}: {terms(about)}", *(f"  {line}" for line in _facts(about)), *_archives(about)])


def _facts(about: Dataset) -> Iterator[str]:
    count = about.images or "as many as asked for"
    yield f"Images: {count}, {about.modality}, {about.channels} channel(s), {about.bits} bits"
    sizes = ", ".join(f"{width}x{height}" for height, width in about.native_sizes) or "vary"
    spacing = f"{about.pixel_size[0]:g} x {about.pixel_size[1]:g} mm" if about.pixel_size else "unknown"
    yield f"Native size (width x height): {sizes}; pixel size: {spacing}"
    order = " (where they overlap, the later one counts)" if len(about.classes) > 2 else ""
    yield f"Classes: {', '.join(about.classes)}{order}"
    yield f"Grouped by: {about.group}"
    for number, (name, rule) in enumerate(about.splits.items()):
        notes = " (the default)" * (number == 0) + " (LEAKS between the splits)" * rule.leaks
        yield f"Split {name}{notes}: {rule.description}"


def _archives(about: Dataset) -> Iterator[str]:
    by_hand = [archive for archive in about.archives if not archive.url]
    for archive in about.archives:
        size = f"{archive.bytes / 1e6:,.0f} MB" if archive.bytes else "size not known"
        known = {"sha256": archive.sha256, "md5": archive.md5}
        sums = [f"{kind} {value}" for kind, value in known.items() if value]
        checked = sums[0] if sums else "checksum not published: recorded when first seen"
        yield f"  {archive.name}: {archive.url or 'by hand'} ({size}, {checked})"
    if by_hand:
        yield how_to_get(about, by_hand)
    elif about.archives:
        yield f"Fetched into data/raw/{about.name}/; an archive or its unpacked folder that lies there is taken."
