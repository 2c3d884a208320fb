"""A labelled dataset of three shifted ellipsoid bodies, as files with the three tables."""

from pathlib import Path

import torch

from samereg.geometry.grid import Grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import write_labels, write_volume

SHIFTS_MM = {"one": (0.0, 0.0, 0.0), "two": (10.0, 0.0, 0.0), "three": (0.0, -5.0, 15.0)}


def write_dataset(folder: Path, ct: Volume, labels: LabelMap) -> Path:
    """Scans that differ by translations of whole voxels, so that the right answer is known."""
    folder.mkdir()
    for name, shift_mm in SHIFTS_MM.items():
        affine = ct.grid.affine.clone()
        affine[:3, 3] += torch.tensor(shift_mm, dtype=torch.float64)
        grid = Grid(shape=ct.grid.shape, affine=affine)
        write_volume(Volume(data=ct.data, grid=grid), folder / f"{name}.nii.gz")
        write_labels(LabelMap(data=labels.data, grid=grid), folder / f"{name}-labels.nii.gz")
        point = [12.0 + shift_mm[0], 3.0 + shift_mm[1], -7.0 + shift_mm[2]]
        (folder / f"{name}.csv").write_text(f"name,x,y,z\ntip,{point[0]},{point[1]},{point[2]}\n")
    rows = [f"{name},{name}.nii.gz,{name}-labels.nii.gz,{name}.csv" for name in SHIFTS_MM]
    (folder / "manifest.csv").write_text("\n".join(["id,image,labels,landmarks", *rows]) + "\n")
    (folder / "pairs.csv").write_text(
        "set,fixed,moving\n"
        + "".join(f"near,{a},{b}\n" for a, b in (("one", "two"), ("two", "one")))
        + "".join(f"far,{a},{b}\n" for a, b in (("one", "three"), ("three", "two"), ("three", "one"), ("two", "three")))
    )
    (folder / "labels.csv").write_text("value,name,group\n1,trunk,body\n2,left_lung,lung\n3,right_lung,lung\n")
    return folder
