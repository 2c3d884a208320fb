"""How long resampling takes at clinical resolution, beside SimpleITK through one displacement field in the same run.

    python benchmarks/resampling.py                          512 x 512 x 332 voxels, two fields and an affine map
    python benchmarks/resampling.py --slices 64              less

Prints seconds, nanoseconds per voxel and the ratio. SimpleITK's transform is simpler: one field, of 4 mm.
"""

import argparse
import time
from collections.abc import Callable

import SimpleITK as sitk
import torch
from torch.nn import functional

from samereg.app.record import describe_device
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.image.resample import resample_volume
from samereg.io.itk import place_on_grid


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=332)
    parser.add_argument("--repeats", type=int, default=2, help="every time is the shortest of so many runs")
    options = parser.parse_args()
    fixed = axis_aligned_grid((options.slices, 512, 512), (1.0, 0.85, 0.85))
    moving = moving_volume(options.slices)
    fields = smooth_field(fixed, 4.0, 0), smooth_field(fixed, 6.0, 1)
    shift = Affine.from_parts(1.01 * torch.eye(3, dtype=torch.float64), torch.tensor([2.0, -1.0, 3.0]).double())
    chain = chain_all((*fields, shift))
    image, reference, itk_field = in_itk(moving), in_itk(moving, fixed), itk_transform(fields[0])
    ours = shortest(lambda: resample_volume(moving, chain, fixed), options.repeats)
    one = shortest(lambda: resample_volume(moving, fields[0], fixed), options.repeats)
    itk = shortest(
        lambda: sitk.Resample(image, reference, itk_field, sitk.sitkLinear, -1024.0, sitk.sitkFloat32), options.repeats
    )
    print(f"{describe_device(torch.device('cpu'))}, {torch.get_num_threads()} threads, {fixed.size / 1e6:.0f} M voxels")
    rows = (("samereg, two fields, affine", ours), ("samereg, one field", one), ("SimpleITK, one field", itk))
    for name, seconds in rows:
        print(f"{name:<30}{seconds:8.2f} s{seconds / fixed.size * 1e9:8.1f} ns/voxel{itk / seconds:8.1f} x SimpleITK")


def moving_volume(slices: int) -> Volume:
    """Noise of a CT's range."""
    grid = axis_aligned_grid((slices, 512, 512), (1.0, 0.9, 0.9), (-10.0, -8.0, -5.0))
    data = torch.randint(-1024, 1500, (1, *grid.shape), generator=torch.Generator().manual_seed(0))
    return Volume(data=data.float(), grid=grid)


def smooth_field(grid: Grid, spacing_mm: float, seed: int) -> Displacement:
    """A field of a spacing over a grid and 40 mm more on each side, a few millimetres long."""
    depth, height, width = (int((extent + 80.0) / spacing_mm) + 2 for extent in grid.extent_mm)
    lattice = axis_aligned_grid((depth, height, width), (spacing_mm,) * 3, (-40.0, -40.0, -40.0))
    coarse = 4.0 * torch.randn(1, 3, 8, 8, 8, generator=torch.Generator().manual_seed(seed))
    data = functional.interpolate(coarse, size=lattice.shape, mode="trilinear", align_corners=True)[0]
    return Displacement(grid=lattice, data=data)


def in_itk(volume: Volume, grid: Grid | None = None) -> sitk.Image:
    """An image as ITK has it, or an empty one on a grid."""
    if grid is None:
        image = sitk.GetImageFromArray(volume.data[0].numpy())
        place_on_grid(image, volume.grid)
        return image
    empty = sitk.Image(*grid.shape[::-1], sitk.sitkUInt8)
    place_on_grid(empty, grid)
    return empty


def itk_transform(field: Displacement) -> sitk.Transform:
    """A field as ITK's transform."""
    image = sitk.GetImageFromArray(field.data.movedim(0, -1).double().numpy(), isVector=True)
    place_on_grid(image, field.grid)
    return sitk.DisplacementFieldTransform(image)


def shortest(work: Callable[[], object], repeats: int) -> float:
    """Wall seconds of the quickest of several runs."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
