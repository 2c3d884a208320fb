"""Matches before and after registration: how far off they are, and which way."""

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
"""Matches drawn as lines: more hide each other."""

DIMMED = 0.55
"""How bright the scan under the lines is."""

DRAWN_PLANES: tuple[Plane, ...] = ("coronal", "sagittal")


def matches_section(matches: Matches, transform: Transform, inverse: Transform, scene: Scene) -> str:
    """Histogram of the distance of kept matches, and lines from points of the fixed scan to their matches.

    Before: as the scans lie in the world. After: the match carried back into the fixed scan by the inverse.
    """
    kept = matches.used
    if not bool(kept.any()):
        return "<p>No match was kept.</p>"
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
        "as the scans lie in the world. After: distance between where a match was found and where the transform takes "
        f"its point.</p>{chart}<h3>A dot at the point of the fixed scan, a line to its match: {len(chosen)} of them, "
        f"of all depths</h3>{stills(pictures, overlay=lines)}"
    )


def _on_picture(points_mm: Float64[Tensor, "n 3"], scene: Scene, plane: Plane) -> Float64[Tensor, "n 2"]:
    """Column and row of world points on a still picture of a plane, in pixels."""
    index = scene.grid.to_index(points_mm)
    depth = scene.grid.shape[0]
    d, h, w = index.unbind(dim=1)
    if plane == "axial":
        places = torch.stack([w, h], dim=1)
    else:
        up = depth - 1.0 - d
        places = torch.stack([w if plane == "coronal" else h, up], dim=1)
    return FINER * (places + 0.5)
