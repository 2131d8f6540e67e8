"""Shenzhen chest X-rays (Jaeger et al. 2014) with the lung masks of Stirenko et al. 2018."""

from segcert.data.catalogue import Archive, Dataset
from segcert.data.release import Layout
from segcert.data.splits import GROUPS

IMAGES = r"(?:CXR_png/)?(?P<name>CHNCXR_(?P<group>\d{4})_[01])\.png"
MASKS = r"(?P<name>CHNCXR_\d{4}_[01])_mask\.png"

DATASET = Dataset(
    name="shenzhen",
    title="Shenzhen chest X-rays",
    modality="X-ray",
    channels=1,
    classes=("background", "lungs"),
    citation="Jaeger S, Candemir S, Antani S, Wang YX, Lu PX, Thoma G. Two public chest X-ray datasets for "
    "computer-aided screening of pulmonary diseases. Quant Imaging Med Surg 2014;4(6):475-477. Masks: Stirenko S, "
    "Kochura Y, Alienin O, et al. Chest X-ray analysis of tuberculosis by deep learning with segmentation and "
    "augmentation. IEEE ELNANO 2018:422-428.",
    licence="Images: open for research, no formal licence; masks: CC BY-NC-SA 4.0",
    terms="Images released by the US National Library of Medicine for research; cite the source. Masks: not for "
    "commercial use.",
    splits={"groups": GROUPS},
    group="patient",
    archives=(
        Archive(
            name="ChinaSet_AllFiles.zip",
            holds=IMAGES,
            page="http://openi.nlm.nih.gov/faq#collection",
            url="http://openi.nlm.nih.gov/imgs/collections/ChinaSet_AllFiles.zip",
        ),
        Archive(
            name="shcxr-lung-mask.zip",
            holds=MASKS,
            page="https://www.kaggle.com/datasets/yoctoman/shcxr-lung-mask",
            note="(with a Kaggle account)",
        ),
    ),
    images=662,
    masked=566,
    left_out_limit=0.2,
)

LAYOUT = Layout(images=IMAGES, masks={"lungs": [MASKS]})
