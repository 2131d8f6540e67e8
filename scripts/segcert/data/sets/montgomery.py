"""Montgomery County chest X-rays (Jaeger et al. 2014)."""

from segcert.data.catalogue import Archive, Dataset
from segcert.data.release import Layout
from segcert.data.splits import GROUPS

IMAGES = r"CXR_png/(?P<name>MCUCXR_(?P<group>\d{4})_[01])\.png"

DATASET = Dataset(
    name="montgomery",
    title="Montgomery County chest X-rays",
    modality="X-ray",
    channels=1,
    classes=("background", "lungs"),
    citation="Jaeger S, Candemir S, Antani S, Wang YX, Lu PX, Thoma G. Two public chest X-ray datasets for "
    "computer-aided screening of pulmonary diseases. Quant Imaging Med Surg 2014;4(6):475-477.",
    licence="Open for research, no formal licence",
    terms="Released by the US National Library of Medicine for research; cite the source.",
    splits={"groups": GROUPS},
    group="patient",
    archives=(
        Archive(
            name="NLM-MontgomeryCXRSet.zip",
            holds=r"(?:CXR_png|ManualMask/(?:left|right)Mask)/MCUCXR_\d{4}_[01]\.png",
            page="http://openi.nlm.nih.gov/faq#collection",
            url="http://openi.nlm.nih.gov/imgs/collections/NLM-MontgomeryCXRSet.zip",
            sha256="54601e952315d8f67383e9202a6e145997ade429f54f7e0af44b4e158714f424",
        ),
    ),
    images=138,
    native_sizes=((4020, 4892), (4892, 4020)),
    pixel_size=(0.0875, 0.0875),
    length_unit="mm at the detector",
    file_bits=12,
)

LAYOUT = Layout(
    images=IMAGES,
    masks={"lungs": [rf"ManualMask/{side}Mask/(?P<name>MCUCXR_\d{{4}}_[01])\.png" for side in ("left", "right")]},
)
