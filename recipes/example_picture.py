"""Draws the picture of the README: two phantom subjects before and after registration.

    python -m pip install matplotlib && python recipes/example_picture.py --output docs/images/example.png

Contours are organs of the fixed subject, drawn on every image: they fit the moved scan if the registration is right.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from samereg.estimate.deform import load_deformer
from samereg.geometry.affine import Affine
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.resample import resample_volume
from samereg.matching.embed import load_embedder
from samereg.phantom.subject import Subject, default_grid, make_subject
from samereg.pipeline.recipes import same_plus
from samereg.pipeline.register import register

Slice = tuple[slice | int, slice | int, slice | int]

WINDOW_HU = (-900.0, 500.0)
VIEWS: tuple[Slice, Slice] = ((slice(None), 66, slice(None)), (84, slice(None), slice(None)))
"""A coronal and an axial plane of the default grid."""

COLOURS = "tab10"


def main() -> None:
    """Register two subjects and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    grid = default_grid()
    fixed, moving = (make_subject(seed, grid=grid) for seed in (0, 1))
    scans = fixed.volumes["CE"], moving.volumes["NC"]
    transform = register(*scans, stages=same_plus(load_deformer("sam-vm")), embedder=load_embedder()).transform
    before = resample_volume(scans[1], Affine.identity(), grid)
    after = resample_volume(scans[1], transform, grid)
    columns = (("fixed", scans[0]), ("moving", before), ("moving, registered", after))
    draw(columns, fixed, options.output)


def draw(columns: tuple[tuple[str, Volume], ...], fixed: Subject, output: Path) -> None:
    """One column an image, one row a plane."""
    figure, axes = plt.subplots(
        2, len(columns), figsize=(9.6, 5.2), facecolor="black", gridspec_kw={"height_ratios": [192, 144]}
    )
    for column, (title, volume) in enumerate(columns):
        for row, view in enumerate(VIEWS):
            axis = axes[row, column]
            axis.imshow(plane(volume.data[0], view), cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
            contours(axis, fixed.labels, view)
            axis.axis("off")
        axes[0, column].set_title(title, color="white", fontsize=12)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.95, wspace=0.03, hspace=0.02)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=100)


def contours(axis: Axes, labels: LabelMap, view: Slice) -> None:
    """Outlines of the organs in a plane."""
    values = plane(labels.data, view)
    colours = plt.get_cmap(COLOURS)
    for label in np.unique(values)[1:]:
        axis.contour(values == label, levels=[0.5], colors=[colours(int(label) % 10)], linewidths=0.8)


def plane(data: torch.Tensor, view: Slice) -> NDArray[np.float64]:
    """A slice as radiologists look at it: head up, or front up."""
    values: NDArray[np.float64] = data[view].double().numpy()
    return values[::-1] if isinstance(view[1], int) else values


if __name__ == "__main__":
    main()
