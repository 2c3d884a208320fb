"""The demo's folder once it is in place."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from report.made import QUALITY, run_record
from samereg.app import demo
from samereg.app.run_folder import RunFolder
from samereg.app.settings import RegisterSettings
from samereg.geometry.affine import Affine
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import write_volume
from samereg.io.transforms import write_transform
from samereg.matching.matches import no_matches
from samereg.pipeline.register import Registration
from samereg.report.sources import read_recorded_scan


def test_the_record_of_a_demo_names_its_scans_where_they_lie(
    small_ct: Volume, small_labels: LabelMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Affine.identity()
    result = Registration(transform=identity, inverse=identity, matches=no_matches(), stages=(), quality=QUALITY)

    def make_pair(folder: Path, **_: object) -> tuple[LabelMap, LabelMap]:
        for name in ("fixed", "moving"):
            write_volume(small_ct, folder / f"{name}.nii.gz")
        return small_labels, small_labels

    def register_files(fixed: Path, moving: Path, folder: Path, **_: object) -> SimpleNamespace:
        folder.mkdir()
        write_transform(identity, folder / "transform.h5")
        return SimpleNamespace(record=run_record(fixed, moving, small_ct, result))

    monkeypatch.setattr(demo, "write_pair", make_pair)
    monkeypatch.setattr(demo, "register_files", register_files)
    monkeypatch.chdir(tmp_path)
    found = demo.run_demo(Path("out"), settings=replace(RegisterSettings(), seed=0))
    record = RunFolder(tmp_path / "out" / "registration").read_record()
    for name in ("fixed", "moving"):
        assert read_recorded_scan(getattr(record, name), None, name=name).grid.is_close(small_ct.grid)
    assert found.registration.fixed.path == tmp_path / "out" / "fixed.nii.gz"
