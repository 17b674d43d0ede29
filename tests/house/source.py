"""The source of the house as text: its modules and what they import, read without running any of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
DOCS = ROOT / "docs"
GUEST = SRC / "cloudms" / "images" / "guest"
"""What is copied into images: it runs in a guest, with nothing of the house around it."""


class Import(NamedTuple):
    """One import: which module, on which line, and whether inside a function."""

    module: str
    line: int
    lazy: bool


@cache
def modules() -> dict[str, Path]:
    """Return the file of every module of the package, by its dotted name."""
    files = (file for file in sorted((SRC / "cloudms").rglob("*.py")) if GUEST not in file.parents)
    return {_dotted(file): file for file in files}


def _dotted(file: Path) -> str:
    parts = file.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(module: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def place(module: str, line: int) -> str:
    """Return file:line for a message."""
    return f"{modules()[module].relative_to(ROOT)}:{line}"


@cache
def imports(module: str) -> tuple[Import, ...]:
    """Return everything a module imports when it runs, inside functions included; for type checkers only is left out.

    `from cloudms.engine import vms` is an import of `cloudms.engine.vms`.
    """
    found: list[Import] = []
    _visit(tree(module), found, lazy=False)
    return tuple(found)


def _visit(node: ast.AST, found: list[Import], *, lazy: bool) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            found += [Import(alias.name, child.lineno, lazy) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            found += [Import(name, child.lineno, lazy) for name in _from(child)]
        _visit(child, found, lazy=lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def _from(node: ast.ImportFrom) -> list[str]:
    assert node.module, "the house imports absolutely"
    assert node.level == 0, "the house imports absolutely"
    whole = [f"{node.module}.{alias.name}" for alias in node.names]
    return list(dict.fromkeys(name if name in modules() else node.module for name in whole))


def public_functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield the functions and classes that others may use: those of the module and of its public classes."""
    yield from _public(tree(module).body)


def _public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)
