"""Distances and vectors of matches before and after registration."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.geometry.transform import Transform
from samereg.matching.matches import Matches
from samereg.pipeline.quality import match_errors_mm
from samereg.report.charts import histogram, vectors
from samereg.report.colours import gray
from samereg.report.pictures import FINER, Plane, Scene, cut, finer
from samereg.report.sections import stills

DRAWN = 300
"""Maximum number of matches drawn as lines."""

DIMMED = 0.55
"""Brightness of the scan under the lines."""

DRAWN_PLANES: tuple[Plane, ...] = ("coronal", "sagittal")


def matches_section(matches: Matches, transform: Transform, inverse: Transform, scene: Scene) -> str:
    """Histogram of the distances of kept matches, and lines from fixed points to their matches.

    Before: in world coordinates. After: with matches mapped to the fixed scan by the inverse.
    """
    kept = matches.used
    if not bool(kept.any()):
        return "<p>No matches were kept.</p>"
    fixed_mm, moving_mm = matches.fixed_mm[kept], matches.moving_mm[kept]
    before_mm = (moving_mm - fixed_mm).norm(dim=1).numpy()
    after_mm = match_errors_mm(matches, transform).numpy()
    chosen = torch.linspace(0, len(fixed_mm) - 1, min(DRAWN, len(fixed_mm))).round().long()
    ends_mm = {"before": moving_mm[chosen], "after": inverse.apply(moving_mm[chosen])}
    pictures, lines = [], []
    for plane in DRAWN_PLANES:
        under = np.round(DIMMED * gray(finer(cut(scene.fixed.data[0].float(), scene.middle, plane)))).astype(np.uint8)
        for moment, targets_mm in ends_mm.items():
            pictures.append((f"{moment.capitalize()}, {plane}", under))
            starts, ends = (_on_picture(points, scene, plane) for points in (fixed_mm[chosen], targets_mm))
            lines.append(vectors(starts.numpy(), ends.numpy(), (under.shape[1], under.shape[0])))
    chart = histogram((("before", "before", before_mm), ("after", "after", after_mm)), unit="mm")
    return (
        f"<p>{len(fixed_mm)} of {len(matches)} matches were kept. Before: distance between the two points of a match, "
        "in world coordinates. After: distance between a match and the transformed "
        f"point.</p>{chart}<h3>{len(chosen)} matches at all depths: a dot at the fixed point, a line to its "
        f"match</h3>{stills(pictures, overlay=lines)}"
    )


def _on_picture(points_mm: Float64[Tensor, "n 3"], scene: Scene, plane: Plane) -> Float64[Tensor, "n 2"]:
    """Column and row of world points on a still image of a plane, in pixels."""
    index = scene.grid.to_index(points_mm)
    depth = scene.grid.shape[0]
    d, h, w = index.unbind(dim=1)
    if plane == "axial":
        places = torch.stack([w, h], dim=1)
    else:
        up = depth - 1.0 - d
        places = torch.stack([w if plane == "coronal" else h, up], dim=1)
    return FINER * (places + 0.5)
