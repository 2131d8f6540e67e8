"""What a person has to know of a data set, and to do to get it."""

from collections.abc import Iterable, Iterator

from segcert.data.catalogue import Archive, Dataset


def terms(about: Dataset) -> str:
    """Title, licence, terms and citation on a few lines."""
    return f"{about.title}\n  Licence: {about.licence}\n  Terms: {about.terms}\n  Cite: {about.citation}"


def how_to_get(about: Dataset, archives: Iterable[Archive]) -> str:
    """Where some archives are to be had by hand, and where to put them."""
    lines = [f"{archive.name}: from {archive.page}" for archive in archives]
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
    yield f"Classes: {', '.join(about.classes)} (where they overlap, the later one counts)"
    yield f"Grouped by: {about.group}"
    for number, (name, rule) in enumerate(about.splits.items()):
        notes = " (the default)" * (number == 0) + " (LEAKS between the splits)" * rule.leaks
        yield f"Split {name}{notes}: {rule.description}"


def _archives(about: Dataset) -> Iterator[str]:
    by_hand = [archive for archive in about.archives if not archive.url]
    for archive in about.archives:
        size = f"{archive.bytes / 1e9:.1f} GB, " if archive.bytes else ""
        known = {"sha256": archive.sha256, "md5": archive.md5}
        sums = [f"{kind} {value}" for kind, value in known.items() if value]
        checked = sums[0] if sums else "checksum not published: recorded when first seen"
        yield f"  {archive.name}: {archive.url or 'by hand'} ({size}{checked})"
    if by_hand:
        yield how_to_get(about, by_hand)
    elif about.archives:
        yield f"Fetched into data/raw/{about.name}/; an archive or its unpacked folder that lies there is taken."
