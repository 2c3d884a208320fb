"""All right-angled turns and mirror images, on a volume whose every voxel can be told from the others."""

import pytest
import torch

from samereg.geometry.grid import axis_aligned_grid, voxel_centres_mm
from samereg.geometry.orientation import AS_STORED, MIRRORED, Orientation, every_orientation, turned, turning
from samereg.geometry.volume import Volume

EVERY = every_orientation()


@pytest.fixture(scope="module")
def volume() -> Volume:
    grid = axis_aligned_grid((3, 4, 5), (2.0, 2.0, 2.0), (30.0, -40.0, 500.0))
    return Volume(data=torch.arange(60.0).reshape(1, 3, 4, 5), grid=grid, background=-1.0)


def test_there_are_24_turns_and_as_many_mirror_images_and_the_stored_one_comes_first() -> None:
    assert len(set(EVERY)) == 48
    assert sum(each.is_mirror for each in EVERY) == 24
    assert EVERY[0] == AS_STORED


@pytest.mark.parametrize("orientation", EVERY, ids=lambda each: str(each.rows))
def test_every_voxel_goes_where_the_turn_of_the_world_takes_it(volume: Volume, orientation: Orientation) -> None:
    after = turned(volume, orientation)
    landed_mm = turning(volume.grid, orientation).apply(voxel_centres_mm(volume.grid).reshape(-1, 3))
    index = after.grid.to_index(landed_mm).round().long()
    assert torch.equal(after.data[0][tuple(index.T)], volume.data.flatten())
    assert after.background == volume.background


@pytest.mark.parametrize("orientation", EVERY, ids=lambda each: str(each.rows))
def test_the_inverse_undoes_it(volume: Volume, orientation: Orientation) -> None:
    back = turned(turned(volume, orientation), orientation.inverse())
    assert torch.equal(back.data, volume.data)
    assert back.grid.is_close(volume.grid)


@pytest.mark.parametrize("orientation", EVERY, ids=lambda each: str(each.rows))
def test_its_mirror_image_has_the_other_hand_and_is_its_own_inverse(orientation: Orientation) -> None:
    assert orientation.mirrored().is_mirror != orientation.is_mirror
    assert orientation.mirrored().mirrored() == orientation


def test_as_stored_moves_nothing(volume: Volume) -> None:
    assert torch.equal(turning(volume.grid, AS_STORED).matrix, torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (AS_STORED.rows, "left as it is"),
        (((-1, 0, 0), (0, -1, 0), (0, 0, 1)), "turned by 180 degrees about the z axis"),
        (((1, 0, 0), (0, -1, 0), (0, 0, -1)), "turned by 180 degrees about the x axis"),
        (((0, -1, 0), (1, 0, 0), (0, 0, 1)), "turned by 90 degrees about the z axis"),
        (((1, 0, 0), (0, 0, 1), (0, -1, 0)), "turned by -90 degrees about the x axis"),
        (((0, 1, 0), (0, 0, 1), (1, 0, 0)), "turned so that its axes x, y and z become z, x, y"),
        (MIRRORED.rows, "mirrored (left and right exchanged)"),
        (((1, 0, 0), (0, 1, 0), (0, 0, -1)), "mirrored (head and feet exchanged)"),
        (((0, 1, 0), (1, 0, 0), (0, 0, 1)), "mirrored (left and right exchanged, and turned)"),
    ],
)
def test_it_is_told_in_words(rows: tuple[tuple[int, int, int], ...], words: str) -> None:
    assert Orientation(rows=rows).words == words
