"""What a synthetic subject promises: determinism, organs, phases, landmarks, any grid."""

import math

import numpy as np
import pytest
import torch

from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.phantom.organs import GROUPS, ORGAN_NAMES, ORGANS, find_organ
from samereg.phantom.subject import Subject, default_grid, make_subject

_COARSE = axis_aligned_grid((64, 48, 70), (6.0, 6.0, 6.0), (-207.0, -141.0, -189.0))
_SEED = 3


@pytest.fixture(scope="module")
def coarse() -> Subject:
    return make_subject(_SEED, grid=_COARSE)


@pytest.fixture(scope="module")
def full() -> Subject:
    return make_subject(_SEED, grid=default_grid())


def _value(name: str) -> int:
    value = find_organ(name).value
    assert value is not None
    return value


def _labels_at(subject: Subject, points_mm: np.ndarray, radius_mm: float) -> set[int]:
    """Labels within a cube around a point."""
    index = subject.labels.grid.to_index(torch.from_numpy(points_mm)).round().long().tolist()
    reach = math.ceil(radius_mm / subject.labels.grid.spacing_mm[0])
    d, h, w = (slice(max(i - reach, 0), i + reach + 1) for i in index)
    return set(subject.labels.data[d, h, w].unique().tolist())


def _centre_mm(subject: Subject, name: str) -> np.ndarray:
    voxels = (subject.labels.data == _value(name)).nonzero().double()
    return subject.labels.grid.to_world(voxels).mean(dim=0).numpy()


def test_table_holds_35_organs_in_nine_groups():
    assert [organ.value for organ in ORGANS] == list(range(1, 36))
    assert len({organ.name for organ in ORGANS}) == 35
    assert {organ.group for organ in ORGANS} == set(GROUPS)
    assert len(GROUPS) == 9


def test_default_grid_is_the_papers():
    grid = default_grid()
    assert grid.shape == (192, 144, 208)
    assert grid.spacing_mm == (2.0, 2.0, 2.0)
    np.testing.assert_allclose(grid.centre_mm.numpy(), 0.0, atol=1e-9)


def test_same_seed_gives_the_same_bytes(coarse):
    again = make_subject(_SEED, grid=_COARSE)
    for phase, volume in coarse.volumes.items():
        assert torch.equal(volume.data, again.volumes[phase].data)
    assert torch.equal(coarse.labels.data, again.labels.data)
    assert coarse.landmarks_mm == again.landmarks_mm


def test_other_seed_gives_another_body(coarse):
    other = make_subject(_SEED + 1, grid=_COARSE)
    assert (coarse.labels.data != other.labels.data).float().mean() > 0.02
    assert math.dist(coarse.landmarks_mm["carina"], other.landmarks_mm["carina"]) > 0.5


@pytest.mark.parametrize("seed", [0, pytest.param(11, marks=pytest.mark.slow)])
def test_all_organs_are_there_on_a_coarse_grid(seed):
    counts = torch.bincount(make_subject(seed, grid=_COARSE).labels.data.flatten().long(), minlength=36)
    assert [ORGAN_NAMES[value] for value in range(1, 36) if counts[value] < 3] == []


def test_all_organs_are_there_on_the_default_grid(full):
    counts = torch.bincount(full.labels.data.flatten().long(), minlength=36)
    assert len(counts) == 36
    assert [ORGAN_NAMES[value] for value in range(1, 36) if counts[value] < 150] == []


def test_phases_differ_in_enhanced_organs_and_noise_alone(full):
    plain, enhanced = (full.volumes[phase].data[0] for phase in ("NC", "CE"))
    for name, least, most in (
        ("descending_aorta", 90.0, 350.0),
        ("liver", 15.0, 90.0),
        ("left_lung", -5.0, 25.0),
        ("trachea", -10.0, 10.0),
    ):
        inside = full.labels.data == _value(name)
        assert least < float((enhanced - plain)[inside].mean()) < most, name
    assert not torch.equal(plain, enhanced)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("right_lung", -930.0, -720.0),
        ("liver", 40.0, 80.0),
        ("back_muscles", 25.0, 75.0),
        ("descending_aorta", 25.0, 60.0),
        ("vertebrae", 150.0, 450.0),
        ("ribs", 200.0, 700.0),
        ("trachea", -1010.0, -850.0),
        ("spinal_cord", 15.0, 60.0),
    ],
)
def test_tissues_have_the_hu_of_the_plain_scan(full, name, low, high):
    inside = full.labels.data == _value(name)
    assert low < float(full.volumes["NC"].data[0][inside].mean()) < high


def test_volumes_look_like_stored_ct(full):
    for volume in full.volumes.values():
        assert volume.data.dtype == torch.float32
        assert torch.equal(volume.data, volume.data.round())
        assert float(volume.data.min()) >= -1024.0
        assert float(volume.data.max()) <= 3071.0
        assert -1024.0 <= float(volume.data[0, :, 0, :].mean()) < -900.0


def test_left_is_left_front_is_front_and_up_is_up(full):
    centre = {name: _centre_mm(full, name) for name in ORGAN_NAMES.values()}
    assert centre["liver"][0] < 0.0 < centre["spleen"][0]
    assert centre["right_lung"][0] < 0.0 < centre["left_lung"][0]
    assert centre["left_ventricle"][0] > centre["right_atrium"][0] + 30.0
    assert centre["right_clavicle"][0] < centre["left_clavicle"][0]
    assert centre["sternum"][1] < centre["oesophagus"][1] < centre["vertebrae"][1] < centre["back_muscles"][1]
    assert centre["liver"][2] < centre["left_ventricle"][2] < centre["aortic_arch"][2] < centre["thyroid"][2]


@pytest.mark.parametrize(
    ("landmark", "organ", "radius_mm"),
    [
        ("carina", "trachea", 8.0),
        ("carina", "left_main_bronchus", 10.0),
        ("aortic_arch_middle", "aortic_arch", 0.0),
        ("left_ventricle_centre", "left_ventricle", 0.0),
        ("left_atrium_centre", "left_atrium", 0.0),
        ("pulmonary_bifurcation", "pulmonary_artery", 2.0),
        ("venous_confluence", "superior_vena_cava", 6.0),
        ("left_subclavian_origin", "left_subclavian_artery", 14.0),
        ("thyroid_isthmus", "thyroid", 4.0),
        ("right_lung_apex", "right_lung", 4.0),
        ("left_lung_apex", "left_lung", 4.0),
        ("right_diaphragm_dome", "liver", 8.0),
        ("right_diaphragm_dome", "right_lung", 8.0),
        ("sternal_notch", "sternum", 6.0),
        ("xiphoid_tip", "sternum", 4.0),
        ("left_coracoid_tip", "scapulae", 2.0),
        ("right_clavicle_medial", "right_clavicle", 2.0),
        ("T1_body", "vertebrae", 0.0),
        ("T5_body", "vertebrae", 0.0),
        ("T12_body", "vertebrae", 0.0),
    ],
)
def test_landmarks_lie_in_their_organs(full, landmark, organ, radius_mm):
    point = np.array(full.landmarks_mm[landmark])
    assert _value(organ) in _labels_at(full, point, radius_mm)


def test_lung_apex_is_the_lungs_highest_point_to_a_few_mm(full):
    for name in ("right_lung", "left_lung"):
        voxels = (full.labels.data == _value(name)).nonzero().double()
        highest = float(full.labels.grid.to_world(voxels)[:, 2].max())
        # The apex is fixed in the template; turning the body by some degrees moves the highest point.
        assert abs(full.landmarks_mm[f"{name}_apex"][2] - highest) < 6.0


def test_landmarks_do_not_depend_on_the_grid(coarse, full):
    assert coarse.landmarks_mm == full.landmarks_mm


def test_coarse_labels_are_the_fine_ones_sampled(full):
    grid = default_grid()
    affine = grid.affine.clone()
    affine[:3, :3] *= 2.0
    half = make_subject(_SEED, grid=Grid(shape=(96, 72, 104), affine=affine))
    assert (half.labels.data == full.labels.data[::2, ::2, ::2]).float().mean() > 0.9999


def test_oblique_left_handed_grid_sees_the_same_body(full):
    turn = torch.tensor([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    # Columns are the steps of d, h, w: up, forward, left.
    steps = turn @ torch.tensor([[0.0, 0.0, 5.0], [0.0, -4.0, 0.0], [7.0, 0.0, 0.0]], dtype=torch.float64)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = steps
    affine[:3, 3] = -(steps @ torch.tensor([14.5, 19.5, 24.5], dtype=torch.float64))
    turned = make_subject(_SEED, grid=Grid(shape=(30, 40, 50), affine=affine))
    everywhere = torch.stack(torch.meshgrid(*map(torch.arange, (30, 40, 50)), indexing="ij"), dim=-1)
    index = full.labels.grid.to_index(turned.labels.grid.to_world(everywhere.double())).round().long()
    d, h, w = index.unbind(-1)
    expected = full.labels.data[d, h, w]
    # Nearest of the fine grid is up to 1.7 mm away, so borders may differ.
    assert (turned.labels.data == expected).float().mean() > 0.97


def test_grid_beside_the_body_holds_air():
    beside = make_subject(_SEED, grid=axis_aligned_grid((8, 8, 8), (4.0, 4.0, 4.0), (900.0, 900.0, 0.0)))
    assert int(beside.labels.data.max()) == 0
    assert float(beside.volumes["CE"].data.max()) < -900.0
