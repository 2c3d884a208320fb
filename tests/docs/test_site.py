"""The documentation builds without a warning, and its generated pages name every command, flag and public name."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import samereg
from samereg.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    pytest.importorskip("mkdocs", reason="needs samereg[docs]")
    spec = spec_from_file_location("reference", ROOT / "docs" / "_site" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.usefixtures("reference")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "reference" / "python" / "index.html").is_file()


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: "-".join(entry.words))
def test_every_command_is_documented_with_its_flags(reference: ModuleType, entry) -> None:
    page = reference.command_line_page()
    section = page.partition(f"## samereg {' '.join(entry.words)}\n")[2].partition("\n## ")[0]
    assert "`--json`" in section
    assert "|  |  |  |" not in section
    meanings = [line.rstrip(" |").rpartition("|")[2].strip() for line in section.splitlines() if line.startswith("| `")]
    assert all(meanings), section


def test_every_public_name_is_documented(reference: ModuleType) -> None:
    page = reference.python_page()
    assert page.count("\n::: ") == len([name for name in samereg.__all__ if not name.startswith("__")])


def test_every_page_of_the_documentation_can_be_reached() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    generated = {"reference/command-line.md", "reference/python.md"}
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert [page for page in sorted(pages | generated) if page not in nav] == []
