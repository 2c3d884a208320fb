import torch

from samereg.geometry.grid import strided, voxel_centres_mm
from samereg.image.preprocess import to_model_space
from samereg.matching.embed import load_embedder
from samereg.matching.reduce import Reduction, find_basis, reduced_map


def embedded(volume):
    return load_embedder().embed(to_model_space(volume))


def test_inner_products_are_those_of_the_whole_embedding(small_ct):
    scan = embedded(small_ct)
    basis = find_basis([scan], Reduction(local=128, global_=128))
    found = reduced_map(scan, basis)
    cells = strided(scan.grid, scan.strides[1])  # where the global part needs no interpolation
    step = scan.strides[1] // scan.strides[0]
    rows = found[:, ::step, ::step, ::step].flatten(1).T[:400]
    whole = scan.at(voxel_centres_mm(cells).reshape(-1, 3)[:400]).float()
    # bfloat16 embeddings keep 8 bits
    torch.testing.assert_close(rows @ rows.T, whole @ whole.T, atol=0.02, rtol=0)


def test_more_dimensions_lose_less(small_ct):
    scan = embedded(small_ct)
    lengths = [
        float(reduced_map(scan, find_basis([scan], Reduction(local=k, global_=4))).square().sum(0).mean())
        for k in (2, 8, 32)
    ]
    assert lengths[0] < lengths[1] < lengths[2] <= 1.001


def test_the_map_stands_on_the_local_lattice(small_ct):
    scan = embedded(small_ct)
    found = reduced_map(scan, find_basis([scan], Reduction(local=6, global_=3)))
    assert found.shape == (9, *scan.local.shape[1:])
    assert not found.is_inference()
