"""Writers of synthetic archives in the official formats."""

import io
import zipfile

import numpy as np
from PIL import Image

from segcert.data.phantom import draw_phantom
from segcert.provenance.digests import file_digest


def png_bytes(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def montgomery_archive(path, patients=3, compression=zipfile.ZIP_DEFLATED):
    """An archive in Montgomery's layout, of phantoms of 48x40 pixels; a stray file among them."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("MontgomerySet/CXR_png/Thumbs.db", b"stray")
        for number in range(1, patients + 1):
            name = f"MCUCXR_{number:04d}_{number % 2}.png"
            sample = draw_phantom(name, "x", 48)
            lungs = np.where(sample.mask[:40] == 1, 255, 0).astype(np.uint8)
            left, right = lungs.copy(), lungs.copy()
            left[:, :24], right[:, 24:] = 0, 0
            file.writestr(f"MontgomerySet/CXR_png/{name}", png_bytes(sample.image[:40]))
            file.writestr(f"MontgomerySet/ManualMask/leftMask/{name}", png_bytes(left))
            file.writestr(f"MontgomerySet/ManualMask/rightMask/{name}", png_bytes(right))
    return path


def rewrite(archive, member, content):
    """Replace a member of an archive; None takes it out."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members[member] = content
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in members.items():
            if data is not None:
                file.writestr(name, data)
    return archive


def mirror_of(folder):
    """Write the SHA256SUMS of a folder of archives."""
    lines = [f"{file_digest(path)}  {path.name}\n" for path in sorted(folder.glob("*.zip"))]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder
