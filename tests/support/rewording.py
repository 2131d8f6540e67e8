"""Other words in every error and log line of a checkout's scripts, as a pass over the English would leave them."""

import ast
from pathlib import Path

LOGGERS, LEVELS = ("log", "logging"), ("debug", "info", "warning", "error", "exception", "critical")


def reword(scripts: Path) -> int:
    """Put other words before each string of a `raise` statement and of a log line; return the number of strings."""
    count = 0
    for path in scripts.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        strings = {id(string): string for statement in ast.walk(tree) if _words(statement) for string in _of(statement)}
        for string in strings.values():
            string.value = f"Reworded: {string.value}"
        if strings:
            path.write_text(ast.unparse(tree) + "\n")
            count += len(strings)
    return count


def _words(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    method = node.value.func
    if not (isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name)):
        return False
    return method.value.id in LOGGERS and method.attr in LEVELS


def _of(node: ast.AST) -> list[ast.Constant]:
    """The strings in a statement that are words: no format of a number, no key."""
    if isinstance(node, ast.Constant):
        return [node] if isinstance(node.value, str) else []
    if isinstance(node, ast.Subscript):
        return _of(node.value)
    if isinstance(node, ast.FormattedValue):
        return _of(node.value)
    return [string for child in ast.iter_child_nodes(node) for string in _of(child)]
