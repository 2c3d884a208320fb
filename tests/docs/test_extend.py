"""The programs of docs/extend.md run, in their order, in one session."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
FAMILIES = {
    "transform_formats": "FORMATS` of `io/transform_files.py",
    "point_formats": "FORMATS` of `io/point_files.py",
}


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "extend"}
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    assert (tmp_path / "start.aff").is_file()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_names_where_formats_lie(family: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"io/{family}/*.py" in text
    assert FAMILIES[family] in text
    assert (PAGE.parents[1] / "src" / "samereg" / "io" / family).is_dir()
