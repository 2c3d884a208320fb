"""The page of many pairs: order, links, pictures, and nothing of a user's words as markup."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from app.test_registration import known_answer
from known_session import prepared_without_networks
from report.browser import Browser, chromium, find_chromium
from report.made import QUALITY, Made, run_record
from samereg.app.pairs.pair import Scan, ScanPair
from samereg.app.pairs.record import PairRecord
from samereg.app.session import Registered
from samereg.app.verdict import Level
from samereg.geometry.affine import Affine
from samereg.geometry.volume import Volume
from samereg.io.images import read_volume
from samereg.pipeline.register import Registration
from samereg.report.pair_pictures import AFTER, BEFORE, FinishPair, overlay
from samereg.report.pairs_page import pairs_page, publish, worst_first
from samereg.report.png import png_bytes


def record(name: str, verdict: Level | None, reason: str = "", files: tuple[str, ...] = ()) -> PairRecord:
    return PairRecord(
        name=name,
        fixed=Path("/a.nii.gz"),
        moving=Path("/b.nii.gz"),
        status="done" if verdict else "failed",
        key="",
        inputs=(),
        files=files,
        verdict=verdict,
        quality=QUALITY if verdict else None,
        reason=reason,
    )


RECORDS = (
    record("good one", "good", files=(BEFORE, AFTER, "report.html", "run.json")),
    record("no overlap", None, reason="only <b>3</b> matches"),
    record("bad", "failed", reason="it folds", files=("run.json",)),
    record("so so", "doubtful"),
)


def registered(made: Made, fixed: Volume) -> Registered:
    moving = read_volume(made.moving)
    answer = known_answer()
    result = Registration(
        transform=made.transform,
        inverse=made.transform.inverse(),
        matches=answer.matches,
        stages=answer.stages,
        quality=QUALITY,
    )
    scans = [prepared_without_networks(each) for each in (fixed, moving)]
    return Registered(
        fixed=scans[0], moving=scans[1], result=result, record=run_record(made.fixed, made.moving, fixed, result)
    )


def test_the_worst_pairs_come_first() -> None:
    assert [each.name for each in worst_first(RECORDS)] == ["no overlap", "bad", "so so", "good one"]


def test_links_and_pictures_are_those_that_are_there() -> None:
    page = pairs_page(RECORDS, 5)
    assert 'src="good%20one/before.png"' in page
    assert 'href="good%20one/report.html"' in page
    assert 'href="bad/run.json"' in page
    assert "bad/before.png" not in page
    assert "1 still to be registered" in page


def test_words_of_a_user_are_no_markup() -> None:
    page = pairs_page(RECORDS, 4)
    assert "only &lt;b&gt;3&lt;/b&gt; matches" in page
    assert "<b>3" not in page


def test_agreement_is_gray_and_the_scans_alone_are_blue_and_orange(made: Made, small_ct: Volume) -> None:
    found = registered(made, small_ct)
    same = Registered(fixed=found.fixed, moving=found.fixed, result=found.result, record=found.record)
    agreement = overlay(same, Affine.identity()).astype(int)
    assert np.abs(agreement[..., 0] - agreement[..., 2]).max() == 0
    away = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([1e4, 0.0, 0.0], dtype=torch.float64))
    alone = overlay(same, away)
    assert alone[..., 2].max() > 100
    assert alone[..., 0].max() == 0


def test_a_run_folder_gets_pictures_and_a_report(made: Made, small_ct: Volume, tmp_path: Path) -> None:
    pair = ScanPair(
        name="a__b",
        fixed=Scan(path=made.fixed),
        moving=Scan(path=made.moving),
        labels=(made.moving_labels,),
        fixed_labels=made.fixed_labels,
    )
    found = registered(made, small_ct)
    FinishPair(report=True)(found, pair, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {BEFORE, AFTER, "report.html"}
    before, after = (overlay(found, each).astype(int) for each in (Affine.identity(), made.transform))
    unlike = [np.abs(picture[..., 0] - picture[..., 2]).mean() for picture in (before, after)]
    # What is left after the exact transform is noise and interpolation.
    assert unlike[1] < 0.3 * unlike[0]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="needs Chromium")
def test_the_filter_hides_and_the_pictures_show_without_a_network(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "good one").mkdir()
    for name in (BEFORE, AFTER):
        (tmp_path / "good one" / name).write_bytes(png_bytes(np.zeros((20, 30), np.uint8)))
    publish(tmp_path, RECORDS, 4)
    browser.open(tmp_path / "index.html")
    shown = "[...document.querySelectorAll('tbody tr')].filter(row => !row.hidden).length"
    assert browser.value(shown) == 4
    browser.value("document.querySelector('[data-kind=good][type=checkbox]').click()")
    assert browser.value(shown) == 3
    browser.value("words.value = 'FOLDS'; words.dispatchEvent(new Event('input'))")
    assert browser.value(shown) == 1
    browser.value("words.value = ''; document.querySelector('[data-kind=good][type=checkbox]').click()")
    browser.wait_for("[...document.images].every(image => image.complete && image.naturalWidth === 30)")
    assert browser.console == []
    assert {address.partition(":")[0] for address in browser.requests} <= {"file", "data"}
