"""Rules of style that no linter knows; a failure lists each file that breaks the rule, and with what."""

import ast

from design.source import FILES, SOURCE, Function, Parsed, name_of, offenders, parsed

MAX_FILE = 400
MAX_FUNCTION = 60
MAX_ARGUMENTS = 6
MAX_HEADER = 5
DRAWN_HEADERS = {"errors.py"}  # holds the tree of errors


def test_no_file_is_long() -> None:
    lengths = {name_of(path): len(parsed(path).text.splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE} == {}


def test_no_function_is_long() -> None:
    def found(file: Parsed) -> dict[str, int]:
        lengths = {each.name: (each.end_lineno or 0) - each.lineno + 1 for each in file.functions}
        return {name: length for name, length in lengths.items() if length > MAX_FUNCTION}

    assert offenders(found) == {}


def test_no_function_takes_many_arguments() -> None:
    def found(file: Parsed) -> dict[str, int]:
        counts = {each.name: argument_count(each) for each in file.functions}
        return {name: count for name, count in counts.items() if count > MAX_ARGUMENTS}

    assert offenders(found) == {}


def argument_count(function: Function) -> int:
    named = [*function.args.posonlyargs, *function.args.args]
    return len([each for each in named if each.arg not in {"self", "cls"}]) + len(function.args.kwonlyargs)


def test_every_file_begins_with_a_short_docstring() -> None:
    def found(file: Parsed) -> str:
        header = ast.get_docstring(file.tree)
        if not header:
            return "no docstring"
        lines = len(header.splitlines())
        return f"{lines} lines" if lines > MAX_HEADER and file.path.name not in DRAWN_HEADERS else ""

    assert offenders(found) == {}


def test_subpackages_hold_only_a_docstring() -> None:
    inits = [path for path in FILES if path.name == "__init__.py" and path.parent != SOURCE]
    assert [name_of(path) for path in inits if len(parsed(path).tree.body) != 1] == []


def test_nothing_is_caught_blindly() -> None:
    def found(file: Parsed) -> list[str]:
        caught = {node.lineno: node.type for node in file.of(ast.ExceptHandler)}
        return [f"line {line}" for line, kind in caught.items() if kind is None or is_blind(kind)]

    assert offenders(found) == {}


def is_blind(kind: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"} for node in ast.walk(kind))


def test_errors_raised_on_purpose_come_from_one_file() -> None:
    known = {node.name for node in parsed(SOURCE / "errors.py").of(ast.ClassDef)}
    known |= {"AttributeError", "ValueError"}  # ValueError: joins those of a library in one handler

    def found(file: Parsed) -> set[str]:
        calls = [node.exc for node in file.of(ast.Raise)]
        names = [call.func for call in calls if isinstance(call, ast.Call)]
        return {name.id for name in names if isinstance(name, ast.Name) and not name.id.startswith("_")} - known

    assert offenders(found) == {}


def test_grid_sample_is_called_in_one_file() -> None:
    assert list(offenders(lambda file: calls(file, "grid_sample"))) == ["ops/sample.py"]


def test_align_corners_is_decided_once() -> None:
    def found(file: Parsed) -> list[int]:
        keywords = [node for node in file.of(ast.keyword) if node.arg == "align_corners"]
        return [node.value.lineno for node in keywords if isinstance(node.value, ast.Constant)]

    assert offenders(found) == {}


def test_no_device_is_hard_coded() -> None:
    def found(file: Parsed) -> list[int]:
        bare = [node.func for node in file.of(ast.Call) if not node.args and not node.keywords]
        return [name.lineno for name in bare if isinstance(name, ast.Attribute) and name.attr == "cuda"]

    assert offenders(found) == {}


def calls(file: Parsed, name: str) -> list[int]:
    """Lines where a function is called by a name that ends like this."""
    if name.rpartition(".")[2] not in file.text:
        return []
    return [node.lineno for node in file.of(ast.Call) if ast.unparse(node.func).endswith(name)]
