"""The record of a verification: the parts that were recomputed, redrawn, only hashed, or not checked."""

import dataclasses


@dataclasses.dataclass
class Verification:
    """The record of a verification that found no difference. Each attribute is a list of lines of text.

    Attributes
    ----------
    recomputed
        Parts that were computed again, with equal results.
    redrawn
        Draws that were repeated, and the probability of missing forged draws.
    hashed
        Files for which only the digest was compared.
    unchecked
        Statements that were not checked.
    brought
        Inputs that the verifier supplied.
    named
        Inputs that were read from the paths in the certificate.
    """

    recomputed: list[str] = dataclasses.field(default_factory=list)
    redrawn: list[str] = dataclasses.field(default_factory=list)
    hashed: list[str] = dataclasses.field(default_factory=list)
    unchecked: list[str] = dataclasses.field(default_factory=list)
    brought: list[str] = dataclasses.field(default_factory=list)
    named: list[str] = dataclasses.field(default_factory=list)

    def text(self) -> str:
        """Return all lists, with titles, as text for a human reader."""
        titles = {
            "Computed again from the votes and the image, and found equal": self.recomputed,
            "Drawn again with the networks, and found equal": self.redrawn,
            "Only hashed: the digest matches the certificate, and nothing else was checked": self.hashed,
            "Not checked": self.unchecked,
            "Supplied by you": self.brought,
            "Read from the paths in the certificate, and compared with its digests. Supply your own copies": self.named,
        }
        parts = []
        for title, lines in titles.items():
            parts.append("\n".join([title, *(f"  {line}" for line in lines or ["nothing"])]))
        return "\n\n".join(parts)
