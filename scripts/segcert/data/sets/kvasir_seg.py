"""Kvasir-SEG: polyps in colonoscopy (Jha et al. 2020). The image domain differs from that of CVC-ClinicDB."""

from segcert.data.catalogue import Archive, Dataset
from segcert.data.release import Layout
from segcert.data.splits import GROUPS

DATASET = Dataset(
    name="kvasir_seg",
    title="Kvasir-SEG polyps",
    any_orientation=True,
    modality="colonoscopy",
    channels=3,
    classes=("background", "polyp"),
    citation="Jha D, Smedsrud PH, Riegler MA, Halvorsen P, de Lange T, Johansen D, Johansen HD. Kvasir-SEG: a "
    "segmented polyp dataset. MultiMedia Modeling 2020:451-462.",
    licence="Research and education only",
    terms="For research and education; cite the source.",
    splits={"groups": GROUPS},
    group="image",
    archives=(
        Archive(
            name="kvasir-seg.zip",
            holds=r"(?:images|masks)/\w+\.jpg",
            page="https://datasets.simula.no/kvasir-seg/",
            url="https://datasets.simula.no/downloads/kvasir-seg.zip",
            bytes=46_200_000,
            sha256="03b30e21d584e04facf49397a2576738fd626815771afbbf788f74a7153478f7",
        ),
    ),
    images=1000,
)

LAYOUT = Layout(images=r"images/(?P<name>\w+)\.jpg", masks={"polyp": [r"masks/(?P<name>\w+)\.jpg"]})
