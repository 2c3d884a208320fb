"""What the caller has set in torch neither changes a result nor is changed, at every public entrance."""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import samereg
from known_session import unchecked_settings
from samereg.errors import SameregError, UsageError
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.spline import Spline
from samereg.ops.ambient import ITK_THREADS, own_torch, plain_torch
from samereg.ops.filters import gaussian_smooth
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.coarse import CoarseStage

NOT_COMPUTING = {
    "MatchSettings", "PairTransform", "RegisterSettings", "Registered", "RegisteredPair", "Registration",
    "SameregError", "ScanStore", "Session", "Transform", "__version__", "affine_only", "fast", "same", "same_plus",
}  # fmt: skip
"""Error, protocol, settings, what `register` returns and calls (looked at there), and recipes."""

POINTS_MM = torch.tensor([[10.0, 20.0, 30.0], [50.0, 60.0, 70.0]], dtype=torch.float64)


@contextmanager
def set_to(setter: Callable[..., None], value: object, before: object) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(before)


@contextmanager
def another_random_state() -> Iterator[None]:
    torch.manual_seed(77)
    np.random.seed(78)  # noqa: NPY002
    yield


STATES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "double precision": lambda: set_to(torch.set_default_dtype, torch.float64, torch.float32),
    "half precision": lambda: set_to(torch.set_default_dtype, torch.float16, torch.float32),
    "another device": lambda: set_to(torch.set_default_device, "meta", None),
    "another device for a block": lambda: torch.device("meta"),
    "deterministic algorithms": lambda: set_to(torch.use_deterministic_algorithms, True, False),
    "autocast": lambda: torch.autocast("cpu"),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "rough products": lambda: set_to(torch.set_float32_matmul_precision, "medium", "highest"),
    "another random state": another_random_state,
}


@contextmanager
def all_states() -> Iterator[None]:
    with ExitStack() as stack:
        for state in STATES.values():
            stack.enter_context(state())
        yield


def caller_state() -> dict[str, object]:
    """Everything that a caller may have set; comparable.

    Python's own random state is left out: the type checking of tests draws from it at each call.
    """
    return {
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "autocast": (
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
            torch.is_autocast_cache_enabled(),
        ),
        "anomaly": torch.is_anomaly_enabled(),
        "products": torch.get_float32_matmul_precision(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads(), os.environ.get(ITK_THREADS)),
        "torch": bytes(torch.get_rng_state().tolist()),
        "numpy": pickle.dumps(np.random.get_state()),  # noqa: NPY002
        "numpy errors": np.geterr(),
    }


@pytest.fixture(scope="module")
def scan() -> samereg.Volume:
    """A body of uneven soft tissue in air, 72 x 96 x 120 mm."""
    noise = torch.randn(1, 1, 24, 32, 40, generator=torch.Generator().manual_seed(0))
    texture = gaussian_smooth(noise, (1.5, 1.5, 1.5))[0]
    ends = [torch.linspace(-1.1, 1.1, n) ** 2 for n in (24, 32, 40)]
    body = ends[0][:, None, None] + ends[1][None, :, None] + ends[2][None, None, :] < 1
    hu = torch.where(body, 40.0 + 250.0 * texture / texture.std(), -1000.0).round()
    return samereg.Volume(data=hu, grid=axis_aligned_grid((24, 32, 40), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0)))


@pytest.fixture(scope="module")
def labels(scan: samereg.Volume) -> samereg.LabelMap:
    return samereg.LabelMap(data=(scan.data[0] > 0).long() * 3, grid=scan.grid)


@plain_torch()  # an input, made alike in every state
def bend(scan: samereg.Volume) -> samereg.Displacement:
    field = torch.randn(3, *scan.grid.shape, generator=torch.Generator().manual_seed(1))
    return samereg.Displacement(grid=scan.grid, data=8.0 * gaussian_smooth(field[None], (3.0, 3.0, 3.0))[0])


def ends_of(transform: samereg.Transform) -> list[Tensor]:
    return [transform.apply(POINTS_MM), transform.inverse().apply(POINTS_MM)]


Compute = Callable[[samereg.Volume, samereg.LabelMap, Path], list[Tensor]]


def _grid(scan: samereg.Volume, *_: object) -> list[Tensor]:
    grid = samereg.Grid(shape=scan.grid.shape, affine=scan.grid.affine)
    inside = grid.contains(POINTS_MM)
    flags = torch.tensor([grid.is_orthonormal, grid.is_close(scan.grid)], device="cpu")
    return [grid.to_world(POINTS_MM), grid.to_index(POINTS_MM), grid.centre_mm, grid.direction, inside, flags]


def _affine(*_: object) -> list[Tensor]:
    linear = torch.eye(3, dtype=torch.float64, device="cpu") * 1.5
    shift = samereg.Affine.from_parts(linear, POINTS_MM[0])
    return [*ends_of(shift), samereg.Affine.identity().matrix, shift.linear, shift.translation_mm]


def _chained(scan: samereg.Volume, *_: object) -> list[Tensor]:
    shift = samereg.Affine.from_parts(torch.eye(3, dtype=torch.float64, device="cpu"), POINTS_MM[0])
    return [*ends_of(samereg.chain(bend(scan), shift)), *ends_of(samereg.chain(shift, shift))]


def _written(scan: samereg.Volume, labels: samereg.LabelMap, folder: Path) -> list[Tensor]:
    samereg.write_volume(scan, folder / "scan.nii.gz")
    samereg.write_labels(labels, folder / "labels.mha")
    samereg.write_transform(samereg.chain(bend(scan), samereg.Affine.identity()), folder / "map.h5")
    found = samereg.read_transform(folder / "map.h5")
    return [
        samereg.read_volume(folder / "scan.nii.gz").data,
        samereg.read_labels(folder / "labels.mha").data,
        *ends_of(found),
    ]


def _embedded(scan: samereg.Volume, *_: object) -> list[Tensor]:
    embedded = samereg.load_embedder("compact").embed(scan)
    return [embedded.local, embedded.at(POINTS_MM)]


def _deformer(*_: object) -> list[Tensor]:
    return [value for value in samereg.load_deformer("sam-vm").net.state_dict().values()]


def _run_stages(scan: samereg.Volume, *_: object) -> list[Tensor]:
    stages = AffineStage(min_matches=10), CoarseStage(min_matches=10)
    found = samereg.run_stages(scan, scan, stages=stages, embedder=samereg.load_embedder())
    return [*ends_of(found.transform), found.inverse.apply(POINTS_MM), found.matches.moving_mm]


def _register(scan: samereg.Volume, labels: samereg.LabelMap, folder: Path) -> list[Tensor]:
    pair = samereg.register(scan, scan, preset="best", confidence=True)
    pair.save(folder / "pair")
    moved = pair.transform.apply_to_image(scan)
    carried = pair.inverse.apply_to_labels(labels)
    points = pair.transform.apply_to_points(POINTS_MM.numpy(), frame="RAS")
    assert isinstance(pair.confidence, samereg.Volume)
    return [pair.moved.data, moved.data, carried.data, torch.from_numpy(points), pair.confidence.data]


COMPUTING: dict[str, Compute] = {
    "Affine": _affine,
    "Chain": _chained,
    "Displacement": lambda scan, *_: ends_of(bend(scan)),
    "Grid": _grid,
    "LabelMap": lambda _scan, labels, _folder: [samereg.LabelMap(data=labels.data, grid=labels.grid).data],
    "Velocity": lambda scan, *_: ends_of(samereg.Velocity(grid=scan.grid, data=bend(scan).data)),
    "Volume": lambda scan, *_: [samereg.Volume(data=scan.data, grid=scan.grid).data],
    "chain": _chained,
    "load_deformer": _deformer,
    "load_embedder": _embedded,
    "read_labels": _written,
    "read_transform": _written,
    "read_volume": _written,
    "register": _register,
    "resample_labels": lambda scan, labels, _: [
        samereg.resample_labels(labels, bend(scan), scan.grid, mode=mode).data
        for mode in ("nearest", "per_label_linear")
    ],
    "resample_volume": lambda scan, *_: [
        samereg.resample_volume(scan, bend(scan), scan.grid, mode=mode).data
        for mode in ("linear", "nearest", "cubic", "sinc")
    ],
    "run_stages": _run_stages,
    "write_labels": _written,
    "write_transform": _written,
    "write_volume": _written,
}

LONG = {"register", "run_stages", "load_embedder"}


def test_every_public_name_is_looked_at_here_or_does_not_compute() -> None:
    assert set(COMPUTING) | NOT_COMPUTING == set(samereg.__all__)


@pytest.fixture(scope="module")
def results(
    scan: samereg.Volume, labels: samereg.LabelMap, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], list[Tensor]]:
    """What each entrance gives to a caller who has set nothing; each computed once."""
    kept: dict[str, list[Tensor]] = {}

    def result(name: str) -> list[Tensor]:
        if name not in kept:
            kept[name] = COMPUTING[name](scan, labels, tmp_path_factory.mktemp("plain"))
        return kept[name]

    return result


CASES = [
    pytest.param(name, state, marks=[pytest.mark.slow] if name in LONG or state != "all" else [])
    for name in COMPUTING
    for state in ("all", *STATES)
]


@pytest.mark.parametrize(("name", "state"), CASES)
def test_no_state_of_the_caller_changes_a_result_or_is_changed(name, state, results, scan, labels, tmp_path):
    expected = results(name)
    with ExitStack() as stack:
        inputs = [value for value in (scan, labels)]
        stack.enter_context(preserved_random_state())
        stack.enter_context(all_states() if state == "all" else STATES[state]())
        before = caller_state()
        found = COMPUTING[name](*inputs, tmp_path)
        after = caller_state()
    assert after == before
    assert len(found) == len(expected)
    for value, wanted in zip(found, expected, strict=True):
        assert value.dtype == wanted.dtype
        assert torch.equal(value, wanted)


@contextmanager
def preserved_random_state() -> Iterator[None]:
    kept = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    yield
    torch.set_rng_state(kept[0])
    np.random.set_state(kept[1])  # noqa: NPY002


@pytest.mark.slow
def test_a_scan_made_in_inference_mode_is_registered_like_any_other(results, scan, labels, tmp_path):
    with torch.inference_mode():
        made_there = samereg.Volume(
            data=scan.data.clone(), grid=samereg.Grid(shape=scan.grid.shape, affine=scan.grid.affine)
        )
    for value, wanted in zip(_register(made_there, labels, tmp_path), results("register"), strict=True):
        assert torch.equal(value, wanted)


FAILING: dict[str, Callable[[samereg.Volume, Path], object]] = {
    "register": lambda scan, _: samereg.register(scan, empty(scan), preset="fast"),
    "register a choice": lambda scan, _: samereg.register(scan, scan, unchecked_settings(), preset="nonsense"),
    "register a file": lambda scan, folder: samereg.register(scan, folder / "none.nii.gz"),
    "run_stages": lambda scan, _: samereg.run_stages(
        scan, empty(scan), stages=samereg.fast(), embedder=samereg.load_embedder()
    ),
    "load_embedder": lambda _scan, folder: samereg.load_embedder(str(folder / "none.safetensors")),
    "load_deformer": lambda _scan, folder: samereg.load_deformer(str(folder / "none.safetensors")),
    "read_volume": lambda _scan, folder: samereg.read_volume(folder / "none.nii"),
    "read_labels": lambda _scan, folder: samereg.read_labels(folder / "none.nii"),
    "read_transform": lambda _scan, folder: samereg.read_transform(folder / "none.h5"),
    "write_volume": lambda scan, folder: samereg.write_volume(scan, folder / "none.xyz"),
    "Affine": lambda *_: samereg.Affine(matrix=torch.zeros(4, 4, dtype=torch.float64, device="cpu")),
}


def empty(scan: samereg.Volume) -> samereg.Volume:
    return samereg.Volume(data=torch.full_like(scan.data, -1000.0), grid=scan.grid)


@pytest.mark.parametrize("state", [all_states, nullcontext])
@pytest.mark.parametrize("name", FAILING)
def test_an_error_leaves_the_state_of_the_caller_as_it_was(name, state, scan, tmp_path):
    with preserved_random_state(), state():
        before = caller_state()
        with pytest.raises(SameregError):
            FAILING[name](scan, tmp_path)
        assert caller_state() == before


@own_torch()
def spoilt() -> None:
    torch.set_num_threads(torch.get_num_threads() + 1)
    os.environ[ITK_THREADS] = "7"
    torch.manual_seed(5)
    raise UsageError("stopped")


def test_threads_and_random_state_set_inside_are_undone(monkeypatch):
    monkeypatch.setenv(ITK_THREADS, "3")
    before = caller_state()
    with pytest.raises(UsageError, match="stopped"):
        spoilt()
    assert caller_state() == before


def test_a_caller_without_gradients_gets_none_from_a_transform(scan):
    data = bend(scan).data.requires_grad_()
    field = samereg.Displacement(grid=scan.grid, data=data)
    with torch.no_grad():
        assert not field.apply(POINTS_MM).requires_grad
    assert field.apply(POINTS_MM).requires_grad


def test_a_spline_is_applied_alike_in_every_state(scan):
    spline = Spline(grid=scan.grid, data=bend(scan).data.double())
    expected = ends_of(spline)
    with all_states():
        found = ends_of(spline)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
