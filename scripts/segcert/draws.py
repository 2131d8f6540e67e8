"""Label maps of single draws, packed: ceil(log2(num_classes)) bits per pixel."""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def bits_per_pixel(num_classes: int) -> int:
    """Bits that a class id takes."""
    return max(1, (num_classes - 1).bit_length())


def pack_labels(labels: Bytes, num_classes: int) -> Bytes:
    """Label maps (draws, H, W) of ids below num_classes to (draws, bits, ceil(H W / 8)), one plane a bit."""
    flat = labels.reshape(len(labels), 1, labels[0].size)
    planes = (flat >> np.arange(bits_per_pixel(num_classes), dtype=np.uint8)[:, None]) & 1
    return np.packbits(planes, axis=2)


def unpack_labels(packed: Bytes, shape: tuple[int, int]) -> Bytes:
    """Undo `pack_labels`: (draws, bits, bytes) to label maps (draws, H, W)."""
    planes = np.unpackbits(packed, axis=2, count=shape[0] * shape[1])
    weights = np.uint8(1) << np.arange(packed.shape[1], dtype=np.uint8)
    labels: Bytes = (planes * weights[:, None]).sum(axis=1, dtype=np.uint8)
    return labels.reshape(len(packed), *shape)
