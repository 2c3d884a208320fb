"""What `python -m build` makes: a wheel that runs once it is installed, and a source distribution to test."""

import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from samereg._version import __version__

ROOT = Path(__file__).parents[2]
WHEEL = f"samereg-{__version__}-py3-none-any.whl"
SDIST = f"samereg-{__version__}.tar.gz"
UNBUILT = shutil.ignore_patterns(".git", "__pycache__", "*.egg-info", "build", "dist", ".*_cache", ".venv", "shared")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Distributions:
    """Both files, and the sources that they were built from."""

    source: Path
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Built from a copy, so that nothing is left in the sources; the wheel out of the source distribution."""
    pytest.importorskip("build", reason="build is not installed")
    place = tmp_path_factory.mktemp("package")
    source = Path(shutil.copytree(ROOT, place / "source", ignore=UNBUILT))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(place / "dist"), cwd=source)
    return Distributions(source=source, wheel=place / "dist" / WHEEL, sdist=place / "dist" / SDIST)


def test_the_index_would_take_both(built: Distributions) -> None:
    pytest.importorskip("twine", reason="twine is not installed")
    run(sys.executable, "-m", "twine", "check", "--strict", str(built.wheel), str(built.sdist))


def test_the_wheel_holds_the_package_whole_and_nothing_else(built: Distributions) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        held = {name for name in archive.namelist() if not name.startswith(f"samereg-{__version__}.dist-info/")}
    package = built.source / "src"
    wanted = {path.relative_to(package).as_posix() for path in files_below(package / "samereg")}
    assert held == wanted
    assert {"samereg/py.typed", "samereg/weights/compact.safetensors", "samereg/report/page/template.html"} <= held


def test_the_source_distribution_holds_what_its_tests_need(built: Distributions) -> None:
    with tarfile.open(built.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {path.relative_to(built.source).as_posix() for path in files_below(built.source)}
    assert {name for name in wanted - held if not name.startswith(".")} == set()
    assert {".ci/run", ".ci/checks"} <= held


def test_the_wheel_runs_where_it_is_installed(built: Distributions, tmp_path: Path) -> None:
    """Its dependencies are those of this environment, which come after it on the path."""
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    python = tmp_path / "fresh" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ("-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(built.wheel))
    run(sys.executable, *install, cwd=tmp_path)
    own = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (own / "dependencies.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    command = str(python.with_name("samereg"))
    assert run(command, "--version", cwd=tmp_path).strip() == __version__
    assert "usage: samereg demo" in run(command, "demo", "--help", cwd=tmp_path)
    assert run(str(python), "-c", WEIGHTS, cwd=tmp_path).split() == [str(own / "samereg" / "__init__.py"), "compact"]


WEIGHTS = """
import samereg
from samereg.weights.registry import read_weights
print(samereg.__file__, read_weights("compact").network)
"""


def files_below(folder: Path) -> list[Path]:
    generated = ("samereg.egg-info", "__pycache__")
    return [path for path in folder.rglob("*") if path.is_file() and not set(generated) & set(path.parts)]


def run(*command: str, cwd: Path | None = None) -> str:
    """What a command prints, with the sources of this test not on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
