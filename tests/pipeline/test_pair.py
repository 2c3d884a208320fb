"""Scans made ready: what is cut away around a body, and that what is left means the same."""

import pytest
import torch

from samereg.geometry.grid import padded
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.image.preprocess import from_window, to_model_space
from samereg.matching.embed import EmbeddedVolume, NetEmbedder, load_embedder
from samereg.matching.points import grid_points, mask_at
from samereg.pipeline.pair import MARGIN_VOX, PHASE_VOX, around_body, prepare_scan

AIR_HU = -1000.0


def in_air(scan: Volume, vox: int) -> Volume:
    """The scan with air before and behind the patient, and on both sides."""
    grid = padded(scan.grid, (0, vox, vox), (0, vox, vox))
    data = torch.full((1, *grid.shape), AIR_HU)
    data[:, :, vox:-vox, vox:-vox] = scan.data
    return Volume(data=data, grid=grid)


@pytest.fixture(scope="module")
def model(small_ct: Volume) -> Volume:
    return to_model_space(in_air(small_ct, 10))


@pytest.fixture(scope="module")
def embedder() -> NetEmbedder:
    return load_embedder("compact")


@pytest.fixture(scope="module")
def embedded(model: Volume, embedder: NetEmbedder) -> tuple[EmbeddedVolume, EmbeddedVolume]:
    part, _ = around_body(model, body_mask(from_window(model)))
    return embedder.embed(model), embedder.embed(part)


def test_the_cut_keeps_the_body_and_a_margin_on_the_same_lattice(model: Volume) -> None:
    body = body_mask(from_window(model))
    part, kept = around_body(model, body)
    assert part.grid.size < 0.7 * model.grid.size
    assert int(kept.sum()) == int(body.sum())
    start = model.grid.to_index(part.grid.origin_mm)
    assert torch.equal(start % PHASE_VOX, torch.zeros(3, dtype=torch.float64))
    d, h, w = start.long().tolist()
    depth, height, width = part.grid.shape
    assert torch.equal(part.data, model.data[:, d : d + depth, h : h + height, w : w + width])
    for axis in (1, 2):
        others = [other for other in range(3) if other != axis]
        filled = kept.any(dim=others[1]).any(dim=others[0]).nonzero().flatten()
        assert int(filled[0]) >= MARGIN_VOX
        assert kept.shape[axis] - 1 - int(filled[-1]) == MARGIN_VOX


def test_a_scan_without_much_air_is_left_as_it_is(small_ct: Volume) -> None:
    model = to_model_space(small_ct)
    part, _ = around_body(model, body_mask(from_window(model)))
    assert part is model


def test_embeddings_of_the_body_are_those_of_the_whole_scan(model: Volume, embedded) -> None:
    whole, part = embedded
    points_mm = grid_points(model.grid, body=body_mask(from_window(model)), stride_vox=8)
    with torch.inference_mode():
        cosine = (whole.at(points_mm).float() * part.at(points_mm).float()).sum(1)
    # The networks look beyond the cut, where they now see their padding instead of air.
    assert float(cosine.median()) > 0.995
    assert float(cosine.min()) > 0.9


def test_a_scan_knows_how_far_it_reaches_beyond_the_cut(small_ct: Volume, embedder: NetEmbedder) -> None:
    scan = in_air(small_ct, 10)
    prepared = prepare_scan(scan, embedder)
    assert prepared.whole.is_close(to_model_space(scan).grid)
    assert bool(mask_at(prepared.body, prepared.model.grid, prepared.places.points_mm).all())
