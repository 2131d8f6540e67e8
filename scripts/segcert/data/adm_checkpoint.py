"""Download OpenAI's checkpoint of ADM, an unconditional 256x256 diffusion model (Dhariwal and Nichol 2021)."""

from pathlib import Path

from segcert.data.download import download
from segcert.data.errors import DataError
from segcert.provenance.digests import file_digest

URL = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/256x256_diffusion_uncond.pt"
# As published in the Hugging Face repository deepinv/diffunet
SHA256 = "a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1"


def fetch_checkpoint(target: str | Path, url: str = URL, sha256: str = SHA256) -> None:
    """Download the ADM checkpoint (2.2 GB) to `target` unless that file exists, and check the file's SHA-256.

    Raises DataError if the download fails or if the file does not have the expected SHA-256.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    unverified = target if target.exists() else target.with_name(f"{target.name}.unverified")
    if not unverified.exists():
        download(url, unverified, target.stem, f"or get the file from another source and save it as {target}")
    digest = file_digest(unverified)
    if digest != sha256:
        raise DataError(
            f"{unverified}: found SHA-256 {digest}; expected {sha256}. The file is not OpenAI's checkpoint. Delete it "
            f"and run snakemake again, or get the checkpoint from another source and save it as {target}"
        )
    unverified.replace(target)
