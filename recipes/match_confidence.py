"""Calibrates and checks what samereg says of its own matches: expected errors, and places that are out of view.

    python recipes/match_confidence.py --data DIR --set val                      fits the numbers of matching/trust.py
    python recipes/match_confidence.py --data DIR --set NAME --table FILE        measures them on other pairs

DIR is a data folder as `recipes/labelled.py` describes it. The error of a match is estimated without landmarks: a point
on an organ's surface has to end on that surface in the other scan, and an error of no preferred direction is on average
twice its part across the surface. For the field of view each moving scan is cropped from four sides so that 30 % of the
fixed body's points have no counterpart left, by the registration with the whole scan.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from labelled import LabelledPair, labelled_pairs
from scipy import ndimage, optimize
from torch import Tensor

from samereg.app.machine import prepare_machine
from samereg.app.settings import MachineSettings
from samereg.estimate.deform import load_deformer
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.preprocess import from_window
from samereg.matching.embed import load_embedder
from samereg.matching.points import grid_points
from samereg.matching.search import search
from samereg.matching.trust import FARTHEST_MM, MAX_CYCLE_MM
from samereg.pipeline.confidence import Confidence
from samereg.pipeline.pair import Pair, prepare_scan
from samereg.pipeline.query import Query
from samereg.pipeline.recipes import fast, same
from samereg.pipeline.stage import run_sequence

POINTS = 400
"""Surface points of each organ."""

CUT_SHARE = 0.3
SIDES = ((0, "low"), (0, "high"), (2, "low"), (2, "high"))
"""Cropped from below, above, and both sides, axes along (d, h, w)."""

STRIDE_VOX = 12
BINS = 6
FALSE_ALARMS = 0.04
RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """Points of one pair: what is known of each, what samereg expects, and what was measured."""

    features: Float[Tensor, "n f"]
    expected: Float[Tensor, " n"]
    measured: Float[Tensor, " n"]


def main() -> None:
    """Collect, then fit or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    prepare_machine(MachineSettings(device="cpu"), seed=0)
    stages = same(load_deformer("sam-vm"))
    matches, fields, views = [], [], []
    for labelled in labelled_pairs(options.data, options.set, load_embedder()):
        transform = run_sequence(stages, labelled.pair).transform
        for label, points_mm in surface_points(labelled.fixed_labels):
            surface = Surface.of(labelled.moving_labels, label)
            if surface is not None:
                matches.append(match_sample(labelled.pair, points_mm, surface))
                fields.append(field_sample(labelled.pair, transform, points_mm, surface))
        views += list(view_samples(labelled))
        print(labelled.name, flush=True)
    joined = [join(samples) for samples in (matches, fields, views)]
    text = report(options.set, *joined)
    print(text)
    if options.table:
        options.table.write_text(text, encoding="utf-8")
    else:
        print_fits(*joined)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surface:
    """Distance to an organ's surface, all over a scan, mm."""

    grid: Grid
    distance_mm: Float[Tensor, "d h w"]

    @staticmethod
    def of(labels: LabelMap, label: int) -> "Surface | None":
        """None where the scan lacks the organ."""
        mask = (labels.data == label).numpy()
        if not mask.any():
            return None
        edge = mask & ~ndimage.binary_erosion(mask)
        distance = ndimage.distance_transform_edt(~edge, sampling=labels.grid.spacing_mm)
        return Surface(grid=labels.grid, distance_mm=torch.from_numpy(distance).float())

    def error_mm(self, points_mm: Float64[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Estimated error of points that should lie on it; NaN outside the scan."""
        index = self.grid.to_index(points_mm).round().long()
        inside = self.grid.contains(points_mm)
        d, h, w = index.clamp(min=0).minimum(torch.tensor(self.grid.shape) - 1).unbind(-1)
        return torch.where(inside, 2.0 * self.distance_mm[d, h, w], torch.nan)


def surface_points(labels: LabelMap) -> Iterator[tuple[int, Float64[Tensor, "n 3"]]]:
    """Some points on the surface of each organ, the same every time."""
    generator = np.random.default_rng(0)
    for label in labels.data.unique().tolist():
        mask = (labels.data == label).numpy()
        index = np.argwhere(mask & ~ndimage.binary_erosion(mask))
        if label and len(index) >= POINTS:
            chosen = index[generator.permutation(len(index))[:POINTS]]
            yield label, labels.grid.to_world(torch.from_numpy(chosen).double())


def match_sample(pair: Pair, points_mm: Float64[Tensor, "n 3"], surface: Surface) -> Sample:
    """What a query says of surface points, and the estimated error."""
    answers = Query(candidates=2).run(pair, points_mm)
    features = torch.stack([1.0 - answers.similarity[:, 0].float(), answers.cycle_mm.clamp(max=MAX_CYCLE_MM)], dim=1)
    return Sample(
        features=features, expected=answers.expected_mm, measured=surface.error_mm(answers.candidates_mm[:, 0])
    )


def field_sample(pair: Pair, transform: Transform, points_mm: Float64[Tensor, "n 3"], surface: Surface) -> Sample:
    """What the confidence of a registration says of surface points, and the estimated error."""
    asking = Confidence()
    landed_mm = transform.apply(points_mm)
    queries = pair.fixed.embedded.at(points_mm)
    found = search(queries, landed_mm, pair.moving.places, pair.moving.embedded, settings=asking.search)
    away_mm = (found.points_mm - landed_mm).norm(dim=1).float()
    return Sample(
        features=torch.stack([1.0 - found.similarity.float(), away_mm], dim=1),
        expected=asking.at(pair, transform, points_mm),
        measured=surface.error_mm(landed_mm),
    )


def view_samples(labelled: LabelledPair) -> Iterator[Sample]:
    """For each side, what a query says of points of the body, and whether they are out of view (1) or not (0)."""
    pair = labelled.pair
    points_mm = grid_points(pair.fixed.model.grid, body=pair.fixed.body, stride_vox=STRIDE_VOX)
    transform = run_sequence(fast(), pair).transform
    there_mm = transform.apply(points_mm)
    for axis, end in SIDES:
        cropped = crop(from_window(pair.moving.model), there_mm, axis=axis, end=end)
        moving = prepare_scan(cropped, pair.embedder)
        answers = Query(candidates=2).run(Pair(fixed=pair.fixed, moving=moving, embedder=pair.embedder), points_mm)
        out: Bool[Tensor, " n"] = ~cropped.grid.contains(there_mm)
        near = answers.beyond_mm.clamp(-FARTHEST_MM, FARTHEST_MM)
        features = torch.cat([near, answers.cycle_mm.clamp(max=MAX_CYCLE_MM)[:, None]], dim=1)
        yield Sample(features=features, expected=answers.outside.float(), measured=out.float())


def crop(volume: Volume, there_mm: Float64[Tensor, "n 3"], *, axis: int, end: str) -> Volume:
    """The scan without the end in which `CUT_SHARE` of the places lie."""
    along = volume.grid.to_index(there_mm)[:, axis]
    share = CUT_SHARE if end == "low" else 1.0 - CUT_SHARE
    count = volume.grid.shape[axis]
    cut = int(along.quantile(share).round().clamp(0, count))
    low, high = (cut, count) if end == "low" else (0, cut)
    start = torch.zeros(3, dtype=torch.float64)
    start[axis] = low
    data = volume.data.narrow(axis + 1, low, high - low).contiguous()
    affine = volume.grid.affine.clone()
    affine[:3, 3] = volume.grid.to_world(start)
    d, h, w = data.shape[1:]
    return Volume(data=data, grid=Grid(shape=(d, h, w), affine=affine), background=volume.background)


def join(samples: list[Sample]) -> Sample:
    """All points that were measured."""
    features, expected, measured = (
        torch.cat([getattr(sample, name) for sample in samples]) for name in ("features", "expected", "measured")
    )
    kept = ~measured.isnan()
    return Sample(features=features[kept], expected=expected[kept], measured=measured[kept])


def print_fits(matches: Sample, fields: Sample, views: Sample) -> None:
    """The numbers of `matching/trust.py`."""
    for name, sample in (("MATCH_ERROR", matches), ("FIELD_ERROR", fields)):
        weights, _ = optimize.nnls(sample.features.double().numpy(), sample.measured.double().numpy())
        print(name, np.round(weights, 4))
    weights, least = fit_view(views)
    print("VIEW", np.round(weights, 4), "least", round(least, 2))


def fit_view(views: Sample) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], float]:
    """Logistic regression with a small ridge, and the logit that `FALSE_ALARMS` of the points in view exceed."""
    out = views.measured.double().numpy()
    ones = np.ones((len(out), 1))
    raw = views.features.double().numpy()
    scale = np.concatenate([[1.0], raw.std(axis=0)])
    features = np.concatenate([ones, raw], axis=1) / scale

    def loss(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        logit = features @ weights
        return float(np.mean(np.logaddexp(0.0, logit) - out * logit) + RIDGE * np.sum(weights[1:] ** 2))

    weights = optimize.minimize(loss, np.zeros(features.shape[1]), method="L-BFGS-B").x / scale
    logit = np.concatenate([ones, raw], axis=1) @ weights
    return weights, float(np.quantile(logit[out == 0], 1.0 - FALSE_ALARMS))


def report(name: str, matches: Sample, fields: Sample, views: Sample) -> str:
    """Markdown: expected against measured error, and answers about the field of view."""
    out, said = views.measured > 0, views.expected > 0
    lines = [
        f"# What samereg says of its own matches, on {name}\n",
        f"Written by `python recipes/match_confidence.py --set {name}`, which says how errors are estimated; the "
        "numbers behind the answers were fitted on `val`.\n",
    ]
    for title, sample in (("Matches (`samereg match`)", matches), ("`register --confidence`", fields)):
        lines += [f"## {title}\n", "| points | expected error (mm) | measured error (mm) |", "|---|---|---|"]
        for part in sample.expected.argsort().chunk(BINS):
            means = [float(values[part].mean()) for values in (sample.expected, sample.measured)]
            lines.append(f"| {len(part)} | {means[0]:.1f} | {means[1]:.1f} |")
        lines.append("")
    lines += [
        "## Out of view\n",
        f"{len(out)} points, {100 * float(out.double().mean()):.0f} % of them without a counterpart: "
        f"{100 * float(said[out].double().mean()):.1f} % of those are said to be outside, "
        f"{100 * float(said[~out].double().mean()):.1f} % of the others are.\n",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
