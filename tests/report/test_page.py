"""The page as a file: complete, of one piece, and safe to open."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from report.made import Made
from samereg.errors import UsageError
from samereg.report.page import write_report
from samereg.report.sources import ReportPaths
from samereg.report.volumes import MAX_VOXELS, shown_spacing_mm

MAX_BYTES = 15_000_000


class Elements(HTMLParser):
    """Every element with its attributes, and the text of those with an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.current = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.current = dict(attrs).get("id") or ""

    def handle_data(self, data: str) -> None:
        if self.current:
            self.text[self.current] = self.text.get(self.current, "") + data


def with_labels(made: Made) -> ReportPaths:
    return ReportPaths(fixed_labels=made.fixed_labels, moving_labels=made.moving_labels)


@pytest.fixture(scope="module")
def written(made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = tmp_path_factory.mktemp("page") / "report.html"
    write_report(made.folder, output=output, paths=with_labels(made))
    return output.read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(written: str) -> None:
    addresses = [
        value or ""
        for _, attributes in Elements(written).found
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "data", "action"}
    ]
    assert addresses
    assert [address[:40] for address in addresses if not address.startswith("data:")] == []
    style = re.search(r"<style>(.*?)</style>", written, flags=re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_the_browser_is_told_to_load_nothing(written: str) -> None:
    policies = [attributes.get("content") for _, attributes in Elements(written).found if "http-equiv" in attributes]
    assert policies
    assert (policies[0] or "").startswith("default-src 'none';")
    assert "http" not in (policies[0] or "")


def test_every_section_is_there(written: str) -> None:
    titles = re.findall(r"<h2>(?:<span[^>]*></span>)?([^<]*)</h2>", written)
    assert titles[1:] == ["Images", "Quality measures", "Deformation", "Matches", "Structures", "Time", "Provenance"]
    assert "$" not in "".join(re.findall(r">([^<]*)<", written.partition("<script")[0]))


def test_the_verdict_and_what_it_rests_on_are_in_words(written: str) -> None:
    assert "Match error" in written
    assert re.search(r'<section class="verdict (good|doubtful|failed)"', written)
    assert "400 of 500 matches were kept" in written


def test_provenance_holds_the_whole_record(written: str, made: Made) -> None:
    record = json.loads((made.folder / "run.json").read_text())
    assert record["fixed"]["sha256"] in written
    assert "samereg 0" in written
    for name in record["versions"]["packages"]:
        assert name in written


def test_the_volumes_in_the_page_are_the_scans(written: str, made: Made, tmp_path: Path) -> None:
    texts = Elements(written).text
    names = ("fixed", "moved", "deformation", "volume", "fixed-labels", "moved-labels")
    for name in names:
        (tmp_path / f"{name}.nii.gz").write_bytes(b64decode(texts[f"volume-{name}"]))
    shown = {name: nib.load(tmp_path / f"{name}.nii.gz") for name in names}
    fixed = nib.load(made.fixed)
    centre = np.array(shown["fixed"].shape) // 2
    for voxel in (centre, centre - 9, centre + 7):
        world = shown["fixed"].affine @ [*voxel, 1.0]
        near = np.linalg.inv(fixed.affine) @ world
        around = fixed.get_fdata()[tuple(slice(int(n), int(n) + 2) for n in near[:3])]
        value = shown["fixed"].get_fdata()[tuple(voxel)]
        # Trilinear between the voxels around, and two of 256 shades over 1600 HU.
        assert around.min() - 13 <= value <= around.max() + 13
    assert np.array_equal(shown["fixed"].affine, shown["fixed-labels"].affine)
    assert set(np.unique(shown["fixed-labels"].get_fdata())) == {0, 1, 2, 3}


def test_text_from_outside_cannot_become_part_of_the_page(copied: Made, tmp_path: Path) -> None:
    record = json.loads((copied.folder / "run.json").read_text())
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    record["settings"]["embedding"] = attack
    record["stages"][0]["outcome"]["message"] = attack
    record["verdict"]["notes"] = [attack]
    (copied.folder / "run.json").write_text(json.dumps(record))
    names = tmp_path / "names.csv"
    names.write_text(f'value,name\n1,"{attack}"\n')
    write_report(copied.folder, paths=replace(with_labels(copied), label_names=names))
    page = (copied.folder / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


def test_the_same_registration_gives_the_same_page(written: str, made: Made, tmp_path: Path) -> None:
    write_report(made.folder, output=tmp_path / "again.html", paths=with_labels(made))
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == written


def test_without_labels_there_is_no_table_of_structures(made: Made, tmp_path: Path) -> None:
    write_report(made.folder, output=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Structures</h2>" not in page
    assert "data-outline" not in page.partition("<script")[0]


def test_a_page_is_not_written_over_unasked(copied: Made) -> None:
    first = write_report(copied.folder)
    assert first.output == copied.folder / "report.html"
    assert first.size_bytes == first.output.stat().st_size < MAX_BYTES
    with pytest.raises(UsageError, match="already exists"):
        write_report(copied.folder)
    write_report(copied.folder, overwrite=True)


def test_large_scans_are_shown_coarser() -> None:
    assert shown_spacing_mm(192 * 144 * 208) == 2.0
    assert shown_spacing_mm(MAX_VOXELS) == 2.0
    for voxels in (MAX_VOXELS + 1, 30_000_000, 400_000_000):
        spacing = shown_spacing_mm(voxels)
        assert spacing > 2.0
        assert voxels * (2.0 / spacing) ** 3 <= MAX_VOXELS
