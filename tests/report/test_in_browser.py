"""The page in a headless Chromium without a network, as people see it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from report.browser import Browser, chromium, find_chromium
from report.made import Made
from samereg.report.page import write_report
from samereg.report.sources import ReportPaths

pytestmark = [
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

MODES = ("blend", "checkerboard", "difference", "deformation", "volume")


@pytest.fixture(scope="module")
def page(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("page") / "report.html"
    paths = ReportPaths(fixed_labels=made.fixed_labels, moving_labels=made.moving_labels)
    write_report(made.folder, output=output, paths=paths)
    return output


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.console.clear()
    browser.requests.clear()
    browser.open(page, size=(1280, 1700))
    return browser


def picture_of(browser: Browser, canvas: str, place: Path) -> np.ndarray:
    """What a canvas shows, (rows, columns, channels)."""
    box = browser.value(f"JSON.stringify(document.getElementById('{canvas}').getBoundingClientRect())")
    place.write_bytes(browser.picture())
    whole = sitk.GetArrayFromImage(sitk.ReadImage(str(place)))
    at = {name: round(value) for name, value in json.loads(box).items()}
    return whole[at["top"] : at["bottom"], at["left"] : at["right"], :3].astype(int)


def test_it_opens_without_a_network_and_without_a_word(opened: Browser) -> None:
    assert opened.value("document.body.dataset.viewers") == "ready"
    assert opened.value("document.getElementById('stills').hidden") is True
    assert opened.console == []
    assert {address.partition(":")[0] for address in opened.requests} <= {"file", "data", "blob"}


def test_a_click_moves_all_viewers_to_the_same_place(opened: Browser) -> None:
    where = "JSON.stringify(samereg.views.{}.scene.crosshairPos)"
    before = opened.value(where.format("moved"))
    left, top, width, height = (
        opened.value(f"document.getElementById('view-fixed').getBoundingClientRect().{name}")
        for name in ("left", "top", "width", "height")
    )
    opened.click(left + 0.2 * width, top + 0.3 * height)
    places = [opened.value(where.format(view)) for view in ("fixed", "moved", "both")]
    assert len(set(places)) == 1
    assert places[0] != before
    assert opened.value("document.getElementById('place').textContent").endswith("mm (LPS).")
    assert opened.console == []


def test_every_comparison_shows_something_else(opened: Browser, tmp_path: Path) -> None:
    shown = []
    for mode in MODES:
        opened.value(f"document.querySelector('[data-mode={mode}]').click()")
        opened.wait_for(f"document.body.dataset.shown == '{mode}'")
        shown.append(picture_of(opened, "view-both", tmp_path / f"{mode}.png"))
    for index, picture in enumerate(shown):
        assert picture.std() > 10
        assert all(np.abs(picture - other).mean() > 1 for other in shown[:index])
    assert opened.console == []


def test_outlines_are_drawn_when_asked_for(opened: Browser, tmp_path: Path) -> None:
    with_outlines = picture_of(opened, "view-fixed", tmp_path / "with.png")
    opened.value("document.querySelector('[data-outline=fixed]').click()")
    opened.wait_for("samereg.views.fixed.volumes.length == 1")
    without = picture_of(opened, "view-fixed", tmp_path / "without.png")
    changed = (np.abs(with_outlines - without) > 30).any(axis=-1)
    # Lines, not areas; what they enclose is tinted by less than 30 of 256 shades.
    assert 0.002 < changed.mean() < 0.1


def test_without_javascript_still_pictures_are_shown(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page, javascript=False)
    (tmp_path / "page.png").write_bytes(browser.picture(whole=True))
    whole = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "page.png")))
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.value("document.getElementById('viewer').hidden") is True
    assert browser.value("document.querySelectorAll('#stills img').length") == 12
    assert browser.value("[...document.images].every((image) => image.complete && image.naturalWidth > 0)") is True
    assert whole.shape[0] > 2000


def test_without_webgl_the_page_says_so(browser: Browser, page: Path) -> None:
    blind = "HTMLCanvasElement.prototype.getContext = () => null;"
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=blind)
    browser.console.clear()
    browser.open(page)
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
    assert browser.value("document.body.dataset.viewers") == "still"
    assert "WebGL 2" in browser.value("document.getElementById('why-still').textContent")
    assert browser.value("document.getElementById('stills').hidden") is False
    assert browser.console == []
