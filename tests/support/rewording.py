"""Reword every error message and log line in a checkout's scripts, to imitate an edit of the wording."""

import ast
from pathlib import Path

LOGGERS, LEVELS = ("log", "logging"), ("debug", "info", "warning", "error", "exception", "critical")


def reword(scripts: Path) -> int:
    """Add a prefix to each string in a `raise` statement or a log call; return the number of strings."""
    count = 0
    for path in scripts.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        strings = {
            id(string): string for statement in ast.walk(tree) if _is_message(statement) for string in _texts(statement)
        }
        for string in strings.values():
            string.value = f"Reworded: {string.value}"
        if strings:
            path.write_text(ast.unparse(tree) + "\n")
            count += len(strings)
    return count


def _is_message(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    method = node.value.func
    if not (isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name)):
        return False
    return method.value.id in LOGGERS and method.attr in LEVELS


def _texts(node: ast.AST) -> list[ast.Constant]:
    """Return the strings in a statement that are text, not number formats or keys."""
    if isinstance(node, ast.Constant):
        return [node] if isinstance(node.value, str) else []
    if isinstance(node, ast.Subscript):
        return _texts(node.value)
    if isinstance(node, ast.FormattedValue):
        return _texts(node.value)
    return [string for child in ast.iter_child_nodes(node) for string in _texts(child)]
