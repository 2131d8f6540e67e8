"""All fuzzed readers, by name."""

from collections.abc import Callable

from tests.tools.fuzz import of_archives, of_data, of_documents, of_images, of_networks, of_runs, of_settings, of_votes
from tests.tools.fuzz.contract import Target

TARGETS: dict[str, Callable[[], Target]] = {
    make.__name__: make
    for make in (
        of_images.pictures, of_images.tiff, of_images.dicom,
        of_archives.zips, of_archives.tars, of_archives.gzipped_tars, of_archives.seven_zips, of_archives.rars,
        of_archives.releases,
        of_data.tables, of_data.prepared, of_data.split_files, of_data.manifests, of_data.sums,
        of_votes.votes, of_votes.blocks, of_votes.finished, of_votes.radii,
        of_documents.certificates,
        of_runs.records, of_runs.trails, of_runs.comparisons, of_runs.pointers,
        of_settings.settings,
        of_networks.segmenters, of_networks.state_dicts, of_networks.safetensors, of_networks.adm,
        of_networks.checkpoints, of_networks.programs, of_networks.denoisers,
    )
}  # fmt: skip
