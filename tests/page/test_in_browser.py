"""The page in a headless Chromium: what a hand does, and what is then seen. The registration is a known one."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from known_session import use_known_session
from page.test_server import PAIRS, SHIFT_MM, known_answer, known_registration
from report.browser import Browser, chromium, find_chromium
from samereg.app.settings import RegisterSettings
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.page import desk as desk_module
from samereg.page.desk import Desk

uvicorn = pytest.importorskip("uvicorn")

pytestmark = [
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]


def shifted_answer(pair: object, found: object, side: str, place_mm: tuple[float, float, float]):
    """Places lie 10 mm to the left and 5 mm lower in the moving scan; low ones are not in view."""
    sign = 1.0 if side == "fixed" else -1.0
    x, y, z = (value + sign * shift for value, shift in zip(place_mm, SHIFT_MM.tolist(), strict=True))
    answer = known_answer(pair, found, side, (x, y, z))
    outside = bool(found) and place_mm[2] < -60.0
    return replace(answer, place_mm=place_mm, in_view=not outside, words="Not in view." if outside else "Here.")


@pytest.fixture(scope="module")
def served(small_ct: Volume, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page of two scans."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        use_known_session(patch, known_registration)
        patch.setattr(desk_module, "answer_at", shifted_answer)
        for name in ("fixed", "moving"):
            write_volume(small_ct, folder / f"{name}.nii.gz")
        desk = Desk(
            fixed=folder / "fixed.nii.gz",
            moving=folder / "moving.nii.gz",
            settings=RegisterSettings(preset="fast"),
            output=folder / "out",
        )
        with running(desk) as address:
            desk.begin()
            yield address


@contextmanager
def running(desk: Desk) -> Iterator[str]:
    from samereg.page.server import make_app  # noqa: PLC0415

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(make_app(desk, token="secret"), log_level="warning", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/secret/"
        server.should_exit = True
        thread.join(30.0)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        online = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        opened.call("Network.emulateNetworkConditions", **online)
        size = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        opened.call("Emulation.setDeviceMetricsOverride", **size)
        yield opened


@pytest.fixture
def page(browser: Browser, served: str) -> Browser:
    browser.console.clear()
    browser.requests.clear()
    browser.call("Page.navigate", url=served)
    browser.wait_for("document.body?.dataset.ready == 'ready'")
    return browser


def click(page: Browser, canvas: str, across: float, down: float) -> None:
    """A click at a share of the width and height of a canvas, and the wait for its answer."""
    before = page.value("Number(document.body.dataset.answered ?? 0)")
    box = json.loads(page.value(f"JSON.stringify(document.getElementById('{canvas}').getBoundingClientRect())"))
    page.click(box["left"] + across * box["width"], box["top"] + down * box["height"])
    page.wait_for(f"Number(document.body.dataset.answered ?? 0) > {before}")


def place(page: Browser, side: str) -> list[float]:
    return list(page.value(f"sameregView.places.{side}"))


def press(page: Browser, key: str) -> None:
    page.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
    page.call("Input.dispatchKeyEvent", type="keyUp", key=key)


def register(page: Browser) -> None:
    moved = page.value("sameregView.moved")
    page.value("document.getElementById('register').click()")
    page.wait_for(f"sameregView.moved > {moved} && document.body.dataset.ready == 'ready'")


def test_a_click_in_one_scan_shows_the_place_in_the_other(page: Browser) -> None:
    for canvas, side, sign in (("fixed-axial", "fixed", 1.0), ("moving-coronal", "moving", -1.0)):
        click(page, canvas, 0.45, 0.4)
        here, there = place(page, side), place(page, {"fixed": "moving", "moving": "fixed"}[side])
        wanted = [value + sign * shift for value, shift in zip(here, SHIFT_MM.tolist(), strict=True)]
        assert there == pytest.approx(wanted, abs=0.01)
    assert page.value("document.getElementById('words').textContent") == "Here."
    assert page.console == []


def test_every_request_goes_to_the_server_of_the_page(page: Browser, served: str) -> None:
    click(page, "fixed-axial", 0.5, 0.5)
    assert {address for address in page.requests if not address.startswith((served, "data:", "blob:"))} == set()


def test_a_place_that_is_not_in_view_is_said_to_be_so(page: Browser) -> None:
    register(page)
    before = place(page, "moving")
    click(page, "fixed-coronal", 0.5, 0.9)
    assert place(page, "fixed")[2] < -60.0
    assert page.value("document.getElementById('words').textContent") == "Not in view."
    assert place(page, "moving") == pytest.approx(before, abs=30.0)


def test_pairs_are_kept_by_a_key_taken_back_and_used(page: Browser) -> None:
    press(page, "l")
    click(page, "fixed-axial", 0.4, 0.5)
    click(page, "moving-axial", 0.6, 0.5)
    press(page, "p")
    click(page, "fixed-axial", 0.6, 0.5)
    press(page, "p")
    assert page.value("sameregView.pairs.map((pair) => pair.name)") == ["place 1", "place 2"]
    first = page.value("sameregView.pairs[0]")
    assert first["fixed"] != first["moving"]
    press(page, "u")
    assert page.value("sameregView.pairs.length") == 1
    register(page)
    assert page.console == []


def test_what_the_viewer_shows_follows_window_and_comparison(page: Browser) -> None:
    register(page)
    click(page, "fixed-axial", 0.5, 0.5)
    shown = set()
    pixels = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done({}))))"
    for key in ("n", "b", "c", "d", "s", "2", "3"):
        press(page, key)
        shown.add(page.value(pixels.format("document.getElementById('fixed-axial').toDataURL()")))
    assert len(shown) == 7


def test_landmarks_are_read_back_from_files(page: Browser) -> None:
    rows = {side: [",".join([pair["name"], *map(str, pair[side])]) for pair in PAIRS] for side in ("moving", "fixed")}
    files = [{"name": f"{side}.csv", "text": "\n".join(["name,x,y,z", *lines])} for side, lines in rows.items()]
    page.value(
        f"""(() => {{
          const transfer = new DataTransfer();
          for (const {{ name, text }} of {json.dumps(files)}) transfer.items.add(new File([text], name));
          const input = document.getElementById("read");
          input.files = transfer.files;
          input.dispatchEvent(new Event("change"));
        }})()"""
    )
    page.wait_for("sameregView.pairs.length == 2")
    assert page.value("sameregView.pairs") == PAIRS
