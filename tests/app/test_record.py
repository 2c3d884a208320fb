"""What a run leaves behind about itself."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

import samereg
from samereg.app.plain import to_plain
from samereg.app.record import input_record, named_settings, sha256_of, versions, write_json
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.source import Source
from samereg.geometry.volume import Volume

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@dataclass(frozen=True)
class Inner:
    path: Path
    size_mm: tuple[float, float]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    tensor: torch.Tensor
    _hidden: int = 1


@given(values)
def test_every_value_becomes_strict_json(value: object) -> None:
    text = json.dumps(to_plain(value), allow_nan=False)
    assert json.loads(text) == to_plain(value)


def test_dataclasses_become_objects_all_the_way_down() -> None:
    value = Outer(inner=Inner(path=Path("out"), size_mm=(1.0, float("inf"))), tensor=torch.tensor([1, 2]))
    assert to_plain(value) == {"inner": {"path": "out", "size_mm": [1.0, None]}, "tensor": [1, 2]}


def test_settings_are_named_by_their_class() -> None:
    named = named_settings(Inner(path=Path("out"), size_mm=(1.0, 2.0)))
    assert named == {"name": "Inner", "settings": {"path": "out", "size_mm": [1.0, 2.0]}}


def test_written_json_can_be_read_back(tmp_path: Path) -> None:
    write_json(versions(), tmp_path / "versions.json")
    found = json.loads((tmp_path / "versions.json").read_text())
    assert found["samereg"] == samereg.__version__
    assert found["packages"]["torch"] == torch.__version__


def test_a_file_has_the_checksum_that_other_tools_give(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(b"x" * 3_000_000)
    assert sha256_of(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_folder_is_known_by_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"one")
    before = sha256_of(tmp_path)
    (tmp_path / "2.dcm").write_bytes(b"two")
    assert sha256_of(tmp_path) != before


def test_an_input_is_described() -> None:
    grid = axis_aligned_grid((4, 5, 6), (3.0, 2.0, 1.0), (0.0, 0.0, 0.0))
    source = Source(label="scan.nii", path=Path("scan.nii"), sha256="0" * 64, series="1.2")
    record = input_record(Volume(data=torch.zeros(1, *grid.shape), grid=grid, source=source))
    assert (record.path, record.sha256) == (Path("scan.nii"), "0" * 64)
    assert record.shape == (4, 5, 6)
    assert record.spacing_mm == (3.0, 2.0, 1.0)
    assert record.series == "1.2"


def test_scans_behind_links_have_digests_of_their_own(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        (tmp_path / "archive" / name).mkdir(parents=True)
        (tmp_path / "archive" / name / "1.dcm").write_bytes(name.encode())
        (tmp_path / name).mkdir()
        (tmp_path / name / "series").symlink_to(tmp_path / "archive" / name, target_is_directory=True)
        assert sha256_of(tmp_path / name) == sha256_of(tmp_path / "archive" / name)
        digests.add(sha256_of(tmp_path / name))
    assert len(digests) == 2
