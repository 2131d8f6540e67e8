"""Parse documentation pages for tests: links, anchors, code blocks and command lines."""

import dataclasses
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHERS = ["README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md", "config/README.md"]
OTHERS += ["benchmarks/README.md"]
PAGES = [*OTHERS, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
BARE_URL = re.compile(r"<(https?:[^>]+)>")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced code block: its page and line, its language, the title (a file name) and the code."""

    page: str
    line: int
    language: str
    title: str
    text: str


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, *languages: str) -> list[Block]:
    """Return a page's fenced blocks in the given languages, in order; without languages, return all of them."""
    text = text_of(page)
    found = [
        Block(page, text[: match.start()].count("\n") + 1, match[1], match[2] or "", match[3])
        for match in FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def prose(page: str) -> str:
    """Return the page's text without code blocks and comments."""
    return COMMENT.sub("", FENCE.sub("", text_of(page)))


def links(page: str) -> list[str]:
    """Return the targets of all links and images that are not in code."""
    text = INLINE.sub("", prose(page))
    return LINK.findall(text) + BARE_URL.findall(text)


def anchors(page: str) -> set[str]:
    """Return the anchors on a page: heading slugs (as on GitHub and in MkDocs) and ids."""
    text = prose(page)
    headings = re.findall(r"^#+ +(.+?)(?: *\{#.*\})?$", text, re.MULTILINE)
    texts = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", text) for text in texts} | set(re.findall(r'id="([^"]+)"', text))


def described(page: str) -> dict[str, list[str]]:
    """Return the names in the first table column of each section whose heading is a file path, by this path."""
    sections = re.findall(r"^### `([^`]+)`$(.*?)(?=^##|\Z)", text_of(page), re.MULTILINE | re.DOTALL)
    return {
        path: [name for row in re.findall(r"^\| (`[^|]+) \|", body, re.MULTILINE) for name in INLINE.findall(row)]
        for path, body in sections
    }


def inline(page: str) -> list[str]:
    """Return the inline code in the page's text."""
    return INLINE.findall(prose(page))


def commands(page: str) -> list[list[str]]:
    """Return the command lines in shell blocks and in inline code, each split into words.

    Environment variables (`NAME=value`) before a command are left out. A backslash at the end of a line continues it.
    """
    text = "".join(block.text for block in blocks(page, "sh", "bash"))
    lines = text.replace("\\\n", " ").splitlines()
    lines += [piece for piece in inline(page) if re.match(r"(\.venv/bin/|snakemake |segcert |make )", piece)]
    found = []
    for line in lines:
        for part in re.split(r" (?:&&|\|\|) ", line):
            split = shlex.split(part, comments=True)
            while split and re.fullmatch(r"[A-Z_]+=\S*", split[0]):
                split = split[1:]
            if split:
                found.append(split)
    return found
