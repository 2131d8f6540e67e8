"""The data sets of a run in a crate: title, licence, terms, citation, and by digest what is not contained."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.rocrate import ROCrate

from segcert.exchange.crate_contents import Contents, Group

Entity = dict[str, Any]

OFFICIAL = {True: "The official release.", False: "Not the official release.", None: "No checksum was published."}


def add_data(crate: ROCrate, contents: Contents) -> list[str]:
    """Describe the data sets of a run and what the crate does not contain; return the @id of each data entity."""
    cards = contents.cards
    parts: dict[str, list[str]] = {name: [] for name in cards}
    for group in contents.groups:
        crate.add_jsonld(_group(group, contents.lineage.root) | _terms(group.dataset))
        parts[group.dataset].append(group.identifier)
    others: list[str] = []
    for path, identifier in contents.identifiers.items():
        if path not in contents.described or crate.get(identifier):
            continue
        dataset = _dataset_of(path, contents)
        entity = _file(path, contents)
        crate.add_jsonld({"@id": identifier, **entity, **(_terms(dataset) if dataset in cards else {})})
        (parts[dataset] if dataset in cards else others).append(identifier)
    for name, card in cards.items():
        _add_dataset(crate, name, card, parts[name])
    return [identifier for names in parts.values() for identifier in names] + others


def _add_dataset(crate: ROCrate, name: str, card: Entity, parts: list[str]) -> None:
    crate.add_jsonld({
        "@id": f"#licence/{quote(name)}", "@type": "CreativeWork",
        "name": card["licence"], "description": card["terms"],
    })  # fmt: skip
    crate.add_jsonld({"@id": f"#citation/{quote(name)}", "@type": "CreativeWork", "name": card["citation"]})
    folder = f"data/prepared/{quote(name)}"
    contained = [f"{folder}/{file}" for file in ("index.csv", "dataset.json", "splits.json", "left_out.csv")]
    pages = sorted({archive["page"] for archive in card["archives"]})
    crate.add_jsonld({
        "@id": f"#data/{quote(name)}",
        "@type": "Dataset",
        "name": card["title"],
        "description": f"{card['modality']}; classes {', '.join(card['classes'])}. Images are not part of this crate; "
        f"{folder}/index.csv lists them.",
        "hasPart": [{"@id": part} for part in contained + parts],
        **({"url": one_or_many(pages)} if pages else {}),
        **_terms(name),
    })  # fmt: skip


def _terms(dataset: str) -> Entity:
    return {
        "license": {"@id": f"#licence/{quote(dataset)}"},
        "citation": {"@id": f"#citation/{quote(dataset)}"},
    }


def _group(group: Group, root: Path) -> Entity:
    sizes = [(root / path).stat().st_size for path in group.files if (root / path).is_file()]
    return {
        "@id": group.identifier,
        "@type": "Dataset",
        "name": f"{group.dataset}: {len(group.files)} {group.title}",
        "description": "Not part of this crate. The identifier is the SHA-256 of the JSON object of the files' SHA-256 "
        "by path, with sorted keys; the run record of the job that made or read them lists them one by one, and so "
        "does prov.json.",
        **({"contentSize": str(sum(sizes))} if len(sizes) == len(group.files) else {}),
    }


def _file(path: str, contents: Contents) -> Entity:
    """A file that is not contained; an archive names where it is published, and whether it is that very release."""
    file = contents.lineage.root / path
    entity: Entity = {
        "@type": "File",
        "name": path if path in contents.lineage.makers else Path(path).name,
        "sha256": contents.described[path],
        "encodingFormat": "application/octet-stream",
        "description": "Not part of this crate; named by its SHA-256.",
        **({"contentSize": str(file.stat().st_size)} if file.is_file() else {}),
    }
    if archive := contents.archives.get(path):
        entity["description"] += f" {OFFICIAL[archive['official']]}"
        entity["contentSize"] = str(archive["bytes"])
        if address := archive.get("url") or archive.get("page"):
            entity["url"] = address
    return entity


def _dataset_of(path: str, contents: Contents) -> str:
    maker = contents.lineage.makers.get(path)
    return str(maker.record["wildcards"].get("dataset", "")) if maker else ""


def one_or_many(values: list[Any]) -> Any:
    """A value as RO-Crate 1.1 wants it: a list only where there are several."""
    return values[0] if len(values) == 1 else values
