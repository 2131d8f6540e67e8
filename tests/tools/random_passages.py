"""Random passages to read aloud: docs, docstrings, errors, and captions or help texts, five of each.

python -m tests.tools.random_passages SEED
"""

import ast
import random
import re
import sys
from collections.abc import Iterator

from tests.tools.plain_english import ROOT, docstrings, prose

EACH = 5


def library_sources() -> Iterator[tuple[str, str]]:
    """Path and source of each module of the library and each script."""
    for path in sorted((ROOT / "scripts").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def doc_paragraphs() -> Iterator[str]:
    """Paragraphs of README and of the pages in docs/."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for paragraph in re.split(r"\n\s*\n", prose(path.read_text(encoding="utf-8"))):
            if len(paragraph.split()) > 10:
                yield f"{path.relative_to(ROOT)}: {paragraph.strip()}"


def library_docstrings() -> Iterator[str]:
    """Docstrings of the library and the scripts."""
    for name, source in library_sources():
        for number, text in docstrings(source):
            yield f"{name}:{number}: {text}"


def error_messages() -> Iterator[str]:
    """Texts of the errors that the library raises, as the source writes them."""
    for name, source in library_sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                text = ast.unparse(node.exc.args[0])
                if len(text) > 40:
                    yield f"{name}:{node.lineno}: {text}"


def captions_and_help() -> Iterator[str]:
    """Captions of the report, descriptions of configuration keys, and help texts of the command."""
    for path in sorted((ROOT / "reports" / "captions").glob("*.rst")):
        yield f"{path.relative_to(ROOT)}: {path.read_text(encoding='utf-8').strip()}"
    for name, source in library_sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.keyword) and node.arg in ("description", "help"):
                yield f"{name}:{node.lineno}: {ast.unparse(node.value)}"


def main() -> None:
    """Print the passages that a seed draws."""
    generator = random.Random(int(sys.argv[1]))
    number = 0
    for source in (doc_paragraphs, library_docstrings, error_messages, captions_and_help):
        for passage in generator.sample(list(source()), EACH):
            number += 1
            print(f"[{number}] {passage}\n")


if __name__ == "__main__":
    main()
