"""Check for plain English: first words of docstrings, retired words, long sentences.

`make lint` runs this check on all files that Git tracks: python -m tests.tools.plain_english [FILE ...]
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# CHANGELOG.md explains the retired words, and this module lists them.
EXEMPT = {"CHANGELOG.md", "CODE_OF_CONDUCT.md", "tests/tools/plain_english.py", "tests/unit/test_plain_english.py"}
READ = {".md", ".py", ".smk", ".j2", ".rst", ".yaml", ".yml", ".toml", ".js", ".typ"}
FIRST_WORDS = {"What", "Whether", "How", "Where", "Which"}
MOST_WORDS = 30  # maximum length of a sentence in docs and docstrings

# Retired words and phrases, with replacements (docs/reference/glossary.md)
RETIRED = {
    r"(?<![./\"])trails?(?![\"(])": "Snakemake metadata",  # results/.trail is a folder, "trail" a key in a file
    r"companions?": "sidecar",
    r"disturbed": "changed extra outputs",
    r"readings": "observables",
    r"leftovers": "temporary files",
    r"astray": "misplaced",
    r"one's own": "your own, or user-supplied",
    r"speaks? of": "is about, describes, names",
    r"in words": "as text",
    r"go(es)? on (from|with)": "resumes from, continues with",
    r"dea(l|ls|lt) out": "splits across",
    r"goes by": "is based on, follows",
    r"put(s|ting)? aside": "quarantines, skips",
    r"pass(es|ed)? over": "skips",
    r"tak(e|es|en|ing) up": "restores",
    r"set(s)? down": "records",
    r"knowingly": "explicitly",
    r"mend(s|ed|ing)?": "fix",
    r"beside": "next to, with",
    r"stands?(?! for\b|-| alone\b)": "is",
    r"stood": "was",
    r"comes? as far": "does as well",
    r"not be had": "is not available",
    r"come to nothing": "fail",
    r"thereby|wherewith|whereof|hereof": "by this",
}
PATTERNS = {re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE): say for pattern, say in RETIRED.items()}


def tracked_files() -> list[Path]:
    """Return the paths of the text files that Git tracks."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if Path(name).suffix in READ or name in ("Snakefile", "Makefile")]


def retired_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and a complaint for each retired word in a text."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, say in PATTERNS.items():
            for match in pattern.finditer(line):
                yield number, f'"{match[0]}": write: {say}'


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of each docstring in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text


def first_words(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and a complaint for each docstring that begins with a question word."""
    for number, text in docstrings(source):
        first = text.split(maxsplit=1)[0].rstrip(".,:")
        if first in FIRST_WORDS:
            yield number, f'docstring begins with "{first}": begin with a verb or a noun'


def prose(markdown: str) -> str:
    """Return a Markdown page with every line of code, table or heading blanked, and without link addresses."""
    lines, in_code = [], False
    for line in markdown.splitlines():
        fence = line.lstrip().startswith("```")
        in_code = in_code != fence
        no_prose = line.lstrip().startswith(("|", "#", "<", "!", ":", "- [")) or line.startswith("    ")
        blank = in_code or fence or no_prose
        lines.append("" if blank else re.sub(r"\]\([^)]*\)", "]", line))
    return "\n".join(lines)


def long_sentences(text: str, first_line: int = 1) -> Iterator[tuple[int, str]]:
    """Yield the line number and a complaint for each sentence with too many words.

    A sentence ends at a blank line, a list item, a full stop, a colon or a semicolon. Code in backticks is one word.
    """
    text = re.sub(r"`[^`]+`", "`code`", text)
    for match in re.finditer(r"(?:(?!\n\s*\n|\n\s*(?:[-*]|\d+\.) |[.:;?!](?=\s|$)).)+", text, re.DOTALL):
        words = match[0].split()
        if len(words) > MOST_WORDS:
            line = first_line + text.count("\n", 0, match.start() + len(match[0]) - len(match[0].lstrip()))
            yield line, f"sentence of {len(words)} words, at most {MOST_WORDS}: {' '.join(words[:6])} ..."


def complaints(path: Path) -> list[str]:
    """Return one line for each complaint about a file."""
    text = path.read_text(encoding="utf-8")
    found = list(retired_words(text))
    if path.suffix == ".py":
        found += first_words(text)
        for number, docstring in docstrings(text):
            found += long_sentences(docstring, number)
    elif path.suffix == ".md":
        found += long_sentences(prose(text))
    return [f"{path.relative_to(ROOT)}:{number}: {complaint}" for number, complaint in sorted(found)]


def main() -> None:
    """Print all complaints. Exit with status 1 if there is at least one."""
    paths = [Path(name).resolve() for name in sys.argv[1:]] or tracked_files()
    found = []
    for path in paths:
        if path.relative_to(ROOT).as_posix() not in EXEMPT:
            found += complaints(path)
    print("\n".join(found))
    print(f"plain English: {len(found)} complaints in {len(paths)} files")
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
