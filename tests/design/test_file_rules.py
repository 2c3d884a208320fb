"""Rules of style that no linter knows."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "samereg"
FILES = sorted(SOURCE.rglob("*.py"))

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
MOST_ARGUMENTS = 6
LONGEST_HEADER = 5
DRAWN_HEADERS = {"errors.py"}  # holds the tree of errors

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


@pytest.fixture(params=FILES, ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    chosen: Path = request.param
    return chosen


@pytest.fixture
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_no_function_is_long(tree: ast.Module) -> None:
    lengths = {each.name: (each.end_lineno or 0) - each.lineno + 1 for each in functions(tree)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_no_function_takes_many_arguments(tree: ast.Module) -> None:
    counts = {
        each.name: len([a for a in (*each.args.posonlyargs, *each.args.args) if a.arg not in {"self", "cls"}])
        + len(each.args.kwonlyargs)
        for each in functions(tree)
    }
    assert {name: count for name, count in counts.items() if count > MOST_ARGUMENTS} == {}


def test_every_file_begins_with_a_short_docstring(path: Path, tree: ast.Module) -> None:
    header = ast.get_docstring(tree)
    assert header
    assert len(header.splitlines()) <= LONGEST_HEADER or path.name in DRAWN_HEADERS


def test_subpackages_hold_only_a_docstring() -> None:
    inits = [path for path in FILES if path.name == "__init__.py" and path.parent != SOURCE]
    fuller = [name_of(path) for path in inits if len(ast.parse(path.read_text(encoding="utf-8")).body) != 1]
    assert fuller == []


def test_nothing_is_caught_blindly(tree: ast.Module) -> None:
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    caught = [node.type.id for node in handlers if isinstance(node.type, ast.Name)]
    assert not any(node.type is None for node in handlers)
    assert not {"Exception", "BaseException"} & set(caught)


def test_errors_raised_on_purpose_come_from_one_file(path: Path, tree: ast.Module) -> None:
    allowed = {"AttributeError", "ValueError"}  # ValueError: joins those of a library in one handler
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    names = [call.func for call in calls if isinstance(call, ast.Call)]
    raised = {name.id for name in names if isinstance(name, ast.Name) and not name.id.startswith("_")}
    known = {
        node.name
        for node in ast.walk(ast.parse((SOURCE / "errors.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert raised <= known | allowed, name_of(path)


def test_grid_sample_is_called_in_one_file() -> None:
    called = [name_of(path) for path in FILES if "functional.grid_sample(" in _without_comments(path)]
    assert called == ["ops/sample.py"]


def test_align_corners_is_decided_once() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in FILES]
    keywords = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    literals = [node for node in keywords if node.arg == "align_corners" and isinstance(node.value, ast.Constant)]
    assert literals == []


def test_no_device_is_hard_coded() -> None:
    assert [name_of(path) for path in FILES if ".cuda()" in _without_comments(path)] == []


def _without_comments(path: Path) -> str:
    return ast.unparse(ast.parse(path.read_text(encoding="utf-8")))
