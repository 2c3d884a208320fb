"""A finished registration with a known transform, made without networks."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from samereg.app.record import MachineRecord, RunRecord, file_record, versions
from samereg.app.run_folder import RunFolder, RunResult
from samereg.app.settings import RegisterSettings
from samereg.app.verdict import VerdictLimits, judge
from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import bounding_grid, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.resample import resample_labels, resample_volume
from samereg.io.images import write_labels, write_volume
from samereg.matching.embed import EmbedderRecord
from samereg.matching.matches import Matches
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import Registration, StageReport

SHIFT_MM = (10.0, -5.0, 20.0)
BUMP_MM = 12.0
QUALITY = Quality(
    match_count=400,
    kept_fraction=0.8,
    match_error_mm=1.0,
    similarity=0.8,
    inverse_consistency_mm=0.1,
    folded_fraction=0.0,
    jacobian_std=0.1,
    overlap_fraction=0.95,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Made:
    """Where everything lies, and what is true of it."""

    folder: Path
    fixed: Path
    moving: Path
    fixed_labels: Path
    moving_labels: Path
    transform: Transform


def known_transform(like: Volume) -> Transform:
    """A smooth bump, then a shift: fixed world to moving world."""
    grid = bounding_grid(like.grid, spacing_mm=8.0, margin_mm=16.0)
    points_mm = voxel_centres_mm(grid)
    height = torch.exp(-(points_mm.square().sum(-1)) / (2 * 60.0**2))
    data = torch.stack([BUMP_MM * height, torch.zeros_like(height), torch.zeros_like(height)]).float()
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor(SHIFT_MM, dtype=torch.float64))
    return chain(Displacement(grid=grid, data=data), shift)


def make_registration(place: Path, fixed: Volume, labels: LabelMap) -> Made:
    """Write scans, labels and the registration that brings them together exactly."""
    transform = known_transform(fixed)
    inverse = transform.inverse()
    moving = replace(resample_volume(fixed, inverse, fixed.grid), background=-1024.0)
    paths = {name: place / f"{name}.nii.gz" for name in ("fixed", "moving", "fixed_labels", "moving_labels")}
    write_volume(fixed, paths["fixed"])
    write_volume(moving, paths["moving"])
    write_labels(labels, paths["fixed_labels"])
    write_labels(resample_labels(labels, inverse, fixed.grid), paths["moving_labels"])
    folder = place / "out"
    folder.mkdir()
    result = Registration(
        transform=transform,
        inverse=inverse,
        matches=some_matches(fixed, labels, transform),
        stages=(
            StageReport(
                name="affine",
                seconds=1.25,
                outcome=Outcome(converged=True, message="converged", iterations=7),
                matches=500,
                used=400,
            ),
        ),
        quality=QUALITY,
    )
    RunFolder(folder).write(
        RunResult(
            moved=resample_volume(moving, transform, fixed.grid),
            transform=transform,
            inverse=inverse,
            matches=result.matches,
            record=run_record(paths["fixed"], paths["moving"], fixed, result),
        )
    )
    return Made(folder=folder, transform=transform, **paths)


def some_matches(fixed: Volume, labels: LabelMap, transform: Transform) -> Matches:
    """500 points of the body, the first 400 kept and found 1 mm off, the others 50 mm off."""
    inside_mm = voxel_centres_mm(fixed.grid)[labels.data > 0]
    chosen = torch.randperm(len(inside_mm), generator=torch.Generator().manual_seed(0))[:500]
    off_mm = torch.zeros(500, 3, dtype=torch.float64)
    off_mm[:400, 0], off_mm[400:, 0] = 1.0, 50.0
    return Matches(
        fixed_mm=inside_mm[chosen],
        moving_mm=transform.apply(inside_mm[chosen]) + off_mm,
        similarity=torch.full((500,), 0.8),
        cycle_mm=torch.full((500,), 2.0),
        used=torch.arange(500) < 400,
    )


def run_record(fixed_path: Path, moving_path: Path, volume: Volume, result: Registration) -> RunRecord:
    return RunRecord(
        versions=versions(),
        machine=MachineRecord(device="cpu", name="a processor", threads=2),
        embedding=EmbedderRecord(name="compact", checksum="0" * 64, network="compact", precision="float32"),
        deform=None,
        settings=RegisterSettings(preset="fast"),
        recipe=(),
        fixed=file_record(fixed_path, volume.grid),
        moving=file_record(moving_path, volume.grid),
        stages=result.stages,
        quality=result.quality,
        verdict=judge(result.quality, VerdictLimits()),
        faults=(),
        seconds=3.5,
        exit_status=0,
    )
