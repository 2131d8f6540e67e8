"""Print random passages for a language review: five each from docs, docstrings, errors, and captions or help texts.

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
    """Yield the path and the source of each library module and each script."""
    for path in sorted((ROOT / "scripts").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def doc_paragraphs() -> Iterator[str]:
    """Yield the paragraphs in README.md and in the pages in docs/, without those that introduce a list or code."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for paragraph in re.split(r"\n\s*\n", prose(path.read_text(encoding="utf-8"))):
            if len(paragraph.split()) > 10 and not paragraph.rstrip().endswith(":"):
                yield f"{path.relative_to(ROOT)}: {paragraph.strip()}"


def library_docstrings() -> Iterator[str]:
    """Yield the docstrings in the library and the scripts."""
    for name, source in library_sources():
        for number, text in docstrings(source):
            yield f"{name}:{number}: {text}"


def error_messages() -> Iterator[str]:
    """Yield the messages of the errors that the library raises, as they appear in the source."""
    for name, source in library_sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                text = ast.unparse(node.exc.args[0])
                if len(text) > 40:
                    yield f"{name}:{node.lineno}: {text}"


def captions_and_help() -> Iterator[str]:
    """Yield the report's captions, the descriptions of configuration keys, and the command's help texts."""
    for path in sorted((ROOT / "reports" / "captions").glob("*.rst")):
        yield f"{path.relative_to(ROOT)}: {path.read_text(encoding='utf-8').strip()}"
    for name, source in library_sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.keyword) and node.arg in ("description", "help"):
                yield f"{name}:{node.lineno}: {ast.unparse(node.value)}"


def main() -> None:
    """Print passages chosen at random. The seed is the first argument."""
    generator = random.Random(int(sys.argv[1]))
    number = 0
    for source in (doc_paragraphs, library_docstrings, error_messages, captions_and_help):
        for passage in generator.sample(list(source()), EACH):
            number += 1
            print(f"[{number}] {passage}\n")


if __name__ == "__main__":
    main()
