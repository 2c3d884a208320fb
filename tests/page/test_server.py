"""The page's server answers whoever knows its token, about a pair whose registration is known."""

import json
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from known_session import use_known_session
from samereg.app.settings import RegisterSettings
from samereg.errors import NoOverlapError
from samereg.geometry.affine import Affine
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.matching.matches import no_matches
from samereg.page import desk as desk_module
from samereg.page.answers import FoundPlace, PlaceAnswer
from samereg.page.desk import Desk
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import Registration

pytest.importorskip("httpx2")
from starlette.testclient import TestClient

from samereg.page.server import HEADERS, make_app

SHIFT_MM = torch.tensor([10.0, 0.0, -5.0], dtype=torch.float64)
PAIRS = [
    {"name": "carina", "fixed": [0.0, 0.0, 0.0], "moving": [10.0, 0.0, -5.0]},
    {"name": "left dome", "fixed": [70.0, 0.0, -20.0], "moving": [80.0, 0.0, -25.0]},
]


def known_registration() -> Registration:
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), SHIFT_MM)
    figures = {each.name: 1 if each.name == "match_count" else 0.5 for each in fields(Quality)}
    return Registration(
        transform=shift, inverse=shift.inverse(), matches=no_matches(), stages=(), quality=Quality(**figures)
    )


def known_answer(_pair: object, found: object, side: str, place_mm: tuple[float, float, float]) -> PlaceAnswer:
    return PlaceAnswer(
        side=side,
        place_mm=place_mm,
        matches=(FoundPlace(place_mm=place_mm, similarity=0.9),),
        cycle_mm=1.0,
        registered_mm=place_mm if found else None,
        expected_mm=3.0,
        in_view=True if found else None,
        words="Here.",
    )


@pytest.fixture
def desk(small_ct: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    use_known_session(monkeypatch, known_registration)
    monkeypatch.setattr(desk_module, "answer_at", known_answer)
    for name in ("fixed", "moving"):
        write_volume(small_ct, tmp_path / f"{name}.nii.gz")
    return Desk(
        fixed=tmp_path / "fixed.nii.gz",
        moving=tmp_path / "moving.nii.gz",
        settings=RegisterSettings(preset="fast"),
        output=tmp_path / "out",
    )


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with TestClient(make_app(desk, token="secret"), base_url="http://127.0.0.1/secret/") as opened:
        yield opened


def opened(desk: Desk) -> None:
    desk.begin().join(60.0)
    assert desk.state.status == "ready", desk.state


def registered(client: TestClient, pairs: list[dict[str, object]]) -> dict[str, object]:
    assert client.post("register", json={"pairs": pairs}).status_code == 200
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        state = client.get("state").json()
        if state["status"] != "registering":
            return dict(state)
        time.sleep(0.02)
    raise AssertionError("the registration did not end")


def test_nothing_is_found_without_the_token_or_under_another_name(desk: Desk, client: TestClient) -> None:
    for path in ("/", "/state", "/wrong/state", "/secre/", "/secret2/state"):
        assert client.get(f"http://127.0.0.1{path}").status_code == 404
    assert client.get("state", headers={"Host": "elsewhere.example"}).status_code == 400
    assert client.get("state").status_code == 200
    assert desk.state.status == "opening"


def test_every_answer_forbids_requests_to_others(client: TestClient) -> None:
    for path in ("", "view.js", "view.css", "state", "volume/none", "unknown"):
        headers = client.get(path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_names_nothing_outside_itself(client: TestClient) -> None:
    for path in ("", "view.js", "view.css"):
        assert "//" not in client.get(path).text.replace("// ", "").replace("----", "")


def test_scans_are_shown_voxel_by_voxel(desk: Desk, client: TestClient, small_ct: Volume) -> None:
    assert client.get("volume/fixed").status_code == 409
    opened(desk)
    about = client.get("state").json()["scans"]["fixed"]
    assert about["size"] == list(small_ct.grid.shape[::-1])
    assert about["spacing_mm"] == 5.0
    assert about["origin_mm"] == [-140.0, -100.0, -120.0]
    voxels = np.frombuffer(client.get("volume/fixed").content, dtype="<i2").reshape(small_ct.grid.shape)
    assert np.array_equal(voxels, small_ct.data[0].clamp(min=-1024.0).numpy())


def test_a_place_is_answered_once_the_scans_are_ready(desk: Desk, client: TestClient) -> None:
    assert "not ready" in client.get("match?side=fixed&x=1&y=2&z=3").json()["error"]
    opened(desk)
    answer = client.get("match?side=moving&x=1&y=2&z=3").json()
    assert (answer["side"], answer["place_mm"], answer["in_view"]) == ("moving", [1.0, 2.0, 3.0], None)
    for query in ("side=both&x=1&y=2&z=3", "side=fixed&x=1&y=2", "side=fixed&x=1&y=2&z=b"):
        assert client.get(f"match?{query}").status_code == 409


def test_a_registration_shows_the_moved_scan_and_how_landmarks_are_kept(
    desk: Desk, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(desk)
    given = []
    from samereg.app import session  # noqa: PLC0415

    def register_pair(*_arguments: object, guidance: object, **_more: object) -> Registration:
        given.append(guidance)
        return known_registration()

    monkeypatch.setattr(session, "register_pair", register_pair)
    state = registered(client, PAIRS)
    assert state["registered"] is True
    assert state["words"].startswith("Registered, ")
    assert [name for guidance in given for name in guidance.landmarks.names] == ["carina", "left dome"]
    first = state["scans"]["moved"]
    assert first["size"] == state["scans"]["fixed"]["size"]
    assert registered(client, [])["scans"]["moved"]["version"] == first["version"] + 1
    assert client.get("match?side=fixed&x=1&y=2&z=3").json()["in_view"] is True


def test_a_registration_that_fails_is_told_and_another_can_follow(
    desk: Desk, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(desk)
    from samereg.app import session  # noqa: PLC0415

    def refuse(*_arguments: object, **_more: object) -> Registration:
        raise NoOverlapError("nothing in common")

    monkeypatch.setattr(session, "register_pair", refuse)
    state = registered(client, [])
    assert (state["status"], state["error"], state["registered"]) == ("ready", "nothing in common", False)
    monkeypatch.setattr(session, "register_pair", lambda *_arguments, **_more: known_registration())
    assert registered(client, [])["error"] == ""


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([{**PAIRS[0], "moving": [0.0, 0.0, 900.0]}], "'carina' lies outside the moving scan"),
        ([PAIRS[0], PAIRS[0]], "Two landmarks are called 'carina'"),
        ([{**PAIRS[0], "fixed": [0.0, 0.0]}], "not three numbers"),
        ([{**PAIRS[0], "name": " "}], "has no name"),
        ("carina", "no list"),
    ],
)
def test_landmarks_that_cannot_be_used_are_refused(
    desk: Desk, client: TestClient, pairs: object, sentence: str
) -> None:
    opened(desk)
    answer = client.post("register", json={"pairs": pairs})
    assert answer.status_code == 409
    assert sentence in answer.json()["error"]
    assert desk.state.status == "ready"


def test_a_registration_is_saved_as_a_run_folder_again_and_again(desk: Desk, client: TestClient) -> None:
    opened(desk)
    assert "nothing to save" in client.post("save", json={}).json()["error"]
    for _ in range(2):
        registered(client, [])
        assert client.post("save", json={}).json() == {"folder": str(desk.output)}
    assert desk.output is not None
    assert {"moved.nii.gz", "transform.h5", "run.json"} <= {path.name for path in desk.output.iterdir()}


@pytest.mark.parametrize("format_name", ["markups", "csv"])
def test_landmarks_come_back_from_their_files(client: TestClient, format_name: str) -> None:
    suffix = {"markups": "mrk.json", "csv": "csv"}[format_name]
    files = {
        side: {
            "name": f"{side}.{suffix}",
            "text": client.post(f"points/{side}/{format_name}", json={"pairs": PAIRS}).text,
        }
        for side in ("fixed", "moving")
    }
    assert client.post("points/read", json=files).json() == {"pairs": PAIRS}
    files["moving"]["text"] = "nothing"
    assert client.post("points/read", json=files).status_code == 409


def test_a_body_that_is_no_object_or_too_large_is_refused(client: TestClient) -> None:
    for body in (b"", b"[]", b"{", b'{"pairs": "' + b"x" * (5 * 2**20) + b'"}'):
        assert client.post("register", content=body).status_code == 409


def test_a_scan_that_cannot_be_opened_is_told(desk: Desk, client: TestClient) -> None:
    broken = replace(desk, fixed=desk.fixed.with_name("absent.nii.gz"))
    broken.begin().join(60.0)
    with TestClient(make_app(broken, token="secret"), base_url="http://127.0.0.1/secret/") as other:
        state = other.get("state").json()
    assert state["status"] == "failed"
    assert "absent.nii.gz" in state["error"]
    assert json.dumps(client.get("state").json())


def test_closing_stops_what_is_computed_at_its_next_step(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from samereg.app import session  # noqa: PLC0415

    begun = []
    monkeypatch.setattr(session.Session, "prepare", lambda *_arguments: begun.append("embedding"))
    monkeypatch.setattr(session.Session, "stages", lambda *_arguments: desk._closing.set())
    desk.begin()
    desk.close()
    assert begun == []
    assert not desk.is_registered
