"""The package's own files, each read and parsed once for all rules."""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

SOURCE = Path(__file__).parents[2] / "src" / "samereg"
FILES = sorted(SOURCE.rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = TypeVar("Node", bound=ast.AST)


@dataclass(frozen=True)
class Parsed:
    """A file and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree."""
        return tuple(ast.walk(self.tree))

    def of(self, kind: type[Node]) -> list[Node]:
        """All nodes of a kind."""
        return [node for node in self.nodes if isinstance(node, kind)]

    @property
    def functions(self) -> list[Function]:
        """All functions and methods."""
        return [node for node in self.nodes if isinstance(node, Function)]

    @property
    def bound(self) -> set[str]:
        """Names that the file defines or imports at its top."""
        imports = [node for node in self.tree.body if isinstance(node, ast.ImportFrom)]
        imported = {alias.asname or alias.name for node in imports for alias in node.names}
        return imported | {node.name for node in self.tree.body if isinstance(node, Function | ast.ClassDef)}

    @property
    def packages(self) -> set[str]:
        """Packages other than the standard library and this one that importing the file imports."""
        run = list(_run_by_import(self.tree.body))
        modules = [alias.name for node in run if isinstance(node, ast.Import) for alias in node.names]
        modules += [node.module or "" for node in run if isinstance(node, ast.ImportFrom)]
        return {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"samereg"}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@cache
def parsed(path: Path) -> Parsed:
    text = path.read_text(encoding="utf-8")
    return Parsed(path=path, text=text, tree=ast.parse(text))


def offenders(found: Callable[[Parsed], object]) -> dict[str, object]:
    """What a rule finds in each file, where it finds anything."""
    results = {name_of(path): found(parsed(path)) for path in FILES}
    return {name: result for name, result in results.items() if result}


def _run_by_import(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module but for those in functions and classes and those that only type checkers read."""
    for statement in statements:
        yield statement
        if not (isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"):
            yield from _run_by_import(getattr(statement, "body", []) if isinstance(statement, ast.If | ast.Try) else [])
