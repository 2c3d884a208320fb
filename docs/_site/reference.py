"""Pages of the documentation that are generated: the command line from its dataclasses, Python from its public names.

A hook of MkDocs; `mkdocs.yml` names it.
"""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import samereg
from samereg.cli.main import COMMANDS, Entry
from samereg.errors import SameregError

COMMAND_LINE = "reference/command-line.md"
PYTHON = "reference/python.md"

FIRST = ("register", "RegisteredPair", "PairTransform")
"""Public names that most users need; the others follow in alphabetical order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """One flag of a command.

    Attributes:
        names: as typed, short ones first.
        kind: of its value.
        default: as text; empty for a flag that is needed.
        meaning: its docstring.
    """

    names: str
    kind: str
    default: str
    meaning: str


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    files.append(File.generated(config, COMMAND_LINE, content=command_line_page()))
    files.append(File.generated(config, PYTHON, content=python_page()))
    return files


def command_line_page() -> str:
    """Every command with its flags, as Markdown."""
    codes = "\n".join(f"| {code} | {' '.join(meanings)} |" for code, meanings in sorted(exit_codes().items()))
    commands = "\n".join(_command(entry) for entry in COMMANDS)
    return f"# Command line\n\n{commands}\n## Exit codes\n\n| code | meaning |\n|---|---|\n{codes}\n"


def python_page() -> str:
    """Every public name with its docstring, as directives of mkdocstrings."""
    homes = samereg._HOMES
    rest = [name for name in samereg.__all__ if not name.startswith("__") and name not in FIRST]
    names = [*FIRST, *rest]
    directives = "\n\n".join(f"::: {_defined(homes[name], name)}" for name in names)
    return f"# Python\n\nAll of these are imported from `samereg`.\n\n{directives}\n"


def exit_codes() -> dict[int, list[str]]:
    """What each exit code stands for, as the classes of errors say."""
    codes: dict[int, list[str]] = {0: ["Done."], 130: ["Interrupted."]}
    classes = [SameregError]
    for each in classes:
        classes += each.__subclasses__()
        codes.setdefault(each.exit_code, []).append((each.__doc__ or "").splitlines()[0])
    return codes


def flags_of(command: type) -> Iterator[Flag]:
    """Flags of a command's dataclass, those of dataclasses inside it included."""
    hints = get_type_hints(command, include_extras=True)
    meanings = field_docstrings(command)
    for each in dataclasses.fields(command):
        hint, notes = _bare(hints[each.name])
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from flags_of(hint)
            continue
        named = [note for note in notes if hasattr(note, "aliases")]
        name = next((note.name for note in named if note.name), each.name).replace("_", "-")
        aliases = [alias for note in named for alias in note.aliases or ()]
        metavar = next((note.metavar for note in named if note.metavar), None)
        yield Flag(
            names=" ".join(f"`{text}`" for text in (*aliases, f"--{name}")),
            kind=metavar or _kind(hint),
            default=_default(each),
            meaning=" ".join(meanings.get(each.name, "").split()),
        )


def field_docstrings(command: type) -> dict[str, str]:
    """The string below each field of a class."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(command))).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found = {}
    for first, second in pairwise(body):
        if isinstance(first, ast.AnnAssign) and isinstance(first.target, ast.Name) and isinstance(second, ast.Expr):
            value = second.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[first.target.id] = value.value
    return found


def _command(entry: Entry) -> str:
    module, name = entry.home
    command: type = getattr(import_module(module), name)
    head = ["| flag | value | default | meaning |", "|---|---|---|---|"]
    table = "\n".join([*head, *map(_row, flags_of(command))])
    return f"## samereg {' '.join(entry.words)}\n\n{inspect.cleandoc(command.__doc__ or '')}\n\n{table}\n"


def _row(flag: Flag) -> str:
    return f"| {flag.names} | {_cell(flag.kind)} | {flag.default} | {_cell(flag.meaning)} |"


def _bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(hint) is Annotated:
        base, *notes = get_args(hint)
        return base, tuple(notes)
    return hint, ()


def _kind(hint: Any) -> str:
    hint, _ = _bare(hint)
    if get_origin(hint) in (Union, UnionType):
        return _kind(next(part for part in get_args(hint) if part is not NoneType))
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"{_kind(get_args(hint)[0])} ..."
    return {bool: "", int: "integer", float: "number", str: "text", Path: "path"}.get(hint, str(hint))


def _default(each: "dataclasses.Field[Any]") -> str:
    if each.default is dataclasses.MISSING:
        return "needed"
    if each.default in (None, False, ()):
        return ""
    return f"`{each.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _defined(module: str, name: str) -> str:
    """Where a public name is defined, which may be under another name."""
    value = getattr(samereg, name)
    if not hasattr(value, "__module__"):
        return f"{module}.{name}"
    return f"{value.__module__}.{getattr(value, '__qualname__', name)}"
