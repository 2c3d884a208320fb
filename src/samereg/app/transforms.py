"""Converts, inverts and composes transform files, and measures what was lost on the way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from samereg.app.overwriting import claimed_outputs, refuse_input
from samereg.errors import QualityError, UnspecifiedError, UsageError
from samereg.geometry.chain import chain_all, parts
from samereg.geometry.checks import inverse_consistency_mm
from samereg.geometry.domain import deep_in_domain, domain_points, field_grid, in_domain
from samereg.geometry.inverse import fine_inverse
from samereg.geometry.transform import Transform
from samereg.io.format_names import TransformFormatName
from samereg.io.transform_files import (
    TRANSFORM_FORMATS,
    format_by_name,
    read_transform_file,
    recognise_transform,
    write_transform_file,
)
from samereg.io.transform_formats.spaces import Spaces

MEASURED_POINTS = 5000
TOLERANCE_MM = 0.05
"""A file that moves a point by more than this differently is no copy of the transform."""
SHARE = 0.99
"""The inverse of a field is judged by this quantile: at the rim of a grid the two never agree."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Formats:
    """Formats of a file read and a file written; None tells them from the files."""

    source: TransformFormatName | None = None
    target: TransformFormatName | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenTransform:
    """What was written, and how true it is.

    Attributes:
        files: that were written.
        source: format that was read.
        target: format that was written.
        parts: kinds of the parts of the transform, in the order in which they are applied.
        points: how many were compared.
        mean_mm: mean distance between where the file and the transform take them.
        largest_mm: largest one.
        faults: sentences on what is not as it should be.
        exit_status: 0, or that of `QualityError`.
    """

    files: tuple[Path, ...]
    source: str
    target: str
    parts: tuple[str, ...]
    points: int
    mean_mm: float
    largest_mm: float
    faults: tuple[str, ...]
    exit_status: int


def convert_file(
    path: Path,
    output: Path,
    *,
    formats: Formats,
    spaces: Spaces,
    tolerance_mm: float = TOLERANCE_MM,
    overwrite: bool = False,
) -> WrittenTransform:
    """Write a transform file in another format, read it back and compare.

    Args:
        path: transform file of any known format.
        output: file to write; for ANTs also a prefix.
        formats: of both, where their names do not tell.
        spaces: grids of the two images, for fields and formats in voxels.
        tolerance_mm: largest difference that counts as the same transform.
        overwrite: replace files that exist.

    Raises:
        UsageError: `output` exists, a format cannot be told, or an image that is needed is not given.
        InputError: a file that cannot be used, or a format that cannot hold the transform.
    """
    refuse_input(output, (path,))
    with _claimed(output, formats.target, overwrite=overwrite) as chosen:
        source = recognise_transform(path).format if formats.source is None else formats.source
        transform = read_transform_file(path, format=source, spaces=spaces)
        written = _write(transform, output, chosen, spaces=spaces)
        return _measured(transform, output, written, source=source, spaces=spaces, tolerance_mm=tolerance_mm)


def compose_files(
    paths: Sequence[Path],
    output: Path,
    *,
    target: TransformFormatName | None,
    spaces: Spaces,
    tolerance_mm: float = TOLERANCE_MM,
    overwrite: bool = False,
) -> WrittenTransform:
    """Write the transform that applies all files of a sequence to a point, the first one first.

    Raises:
        UsageError: fewer than two files, `output` exists, or a format cannot be told.
        InputError: a file that cannot be used, or a format that cannot hold the transform.
    """
    if len(paths) < 2:
        raise UsageError(f"Got {len(paths)} transform to compose; need --first and --then.")
    refuse_input(output, paths)
    with _claimed(output, target, overwrite=overwrite) as chosen:
        transform = chain_all([_read_between(path, spaces) for path in paths])
        written = _write(transform, output, chosen, spaces=spaces)
        return _measured(transform, output, written, source="several", spaces=spaces, tolerance_mm=tolerance_mm)


def _read_between(path: Path, spaces: Spaces) -> Transform:
    """A transform of a sequence; one in voxels of two images cannot say of which two of the sequence."""
    format = recognise_transform(path).format
    if "moving" in TRANSFORM_FORMATS[format].needs:
        raise UnspecifiedError(
            f"{path}: is in voxels of two images, and which two of the sequence is not told.", what="format"
        )
    return read_transform_file(path, format=format, spaces=spaces)


def invert_file(
    path: Path,
    output: Path,
    *,
    formats: Formats,
    spaces: Spaces,
    tolerance_mm: float,
    overwrite: bool = False,
) -> WrittenTransform:
    """Write the inverse of a transform, moving to fixed, and measure how well one undoes the other.

    Args:
        path: transform file, fixed to moving.
        output: file to write.
        formats: of both, where their names do not tell.
        spaces: grids of the transform's own fixed and moving images; a field is written on the moving one.
        tolerance_mm: 99 of 100 points have to come back this near to where they began.
        overwrite: replace files that exist.

    Raises:
        UsageError: `output` exists, a format cannot be told, or an image that is needed is not given.
        InputError: a file that cannot be used, or a format that cannot hold the inverse.
    """
    turned = spaces.turned()
    refuse_input(output, (path,))
    with _claimed(output, formats.target, overwrite=overwrite) as chosen:
        source = recognise_transform(path).format if formats.source is None else formats.source
        transform = read_transform_file(path, format=source, spaces=spaces)
        inverse = fine_inverse(transform)
        written = _write(inverse, output, chosen, spaces=turned)
        stored = read_transform_file(output, format=written.format, spaces=turned)
    points = domain_points(transform, MEASURED_POINTS)
    points = points[in_domain(stored, transform.apply(points))]
    error_mm = inverse_consistency_mm(transform, stored, points)
    faults = []
    if not len(points) or float(error_mm.quantile(SHARE)) > tolerance_mm:
        worst = float(error_mm.quantile(SHARE)) if len(points) else float("nan")
        faults.append(f"one point in a hundred comes back more than {worst:.2f} mm off; the transform may fold")
    return WrittenTransform(
        files=written.files,
        source=source,
        target=written.format,
        parts=kinds(inverse),
        points=len(points),
        mean_mm=float(error_mm.mean()) if len(points) else float("nan"),
        largest_mm=float(error_mm.max()) if len(points) else float("nan"),
        faults=tuple(faults),
        exit_status=QualityError.exit_code if faults else 0,
    )


def kinds(transform: Transform) -> tuple[str, ...]:
    """Words for the parts of a transform, in the order in which they are applied."""
    return tuple(type(part).__name__.lower() for part in parts(transform))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    files: tuple[Path, ...]
    format: str


@contextmanager
def _claimed(output: Path, target: TransformFormatName | None, *, overwrite: bool) -> Iterator[str]:
    """Claim every file that an output may consist of; gives its format."""
    chosen = format_by_name(output) if target is None else target
    with claimed_outputs(output, *TRANSFORM_FORMATS[chosen].side_files(output), overwrite=overwrite):
        yield chosen


def _write(transform: Transform, output: Path, chosen: str, *, spaces: Spaces) -> _Written:
    files = write_transform_file(transform, output, format=chosen, spaces=spaces)
    for path in TRANSFORM_FORMATS[chosen].side_files(output):
        if path not in files:
            # An earlier transform's, which would be taken for a part of the new one.
            path.unlink(missing_ok=True)
    return _Written(files=files, format=chosen)


def _measured(
    transform: Transform, output: Path, written: _Written, *, source: str, spaces: Spaces, tolerance_mm: float
) -> WrittenTransform:
    stored = read_transform_file(output, format=written.format, spaces=spaces)
    points = domain_points(transform, MEASURED_POINTS)
    grid = field_grid(stored)
    if grid is not None:
        points = points[in_domain(stored, points)]
        points = points[deep_in_domain(transform, points, margin_mm=max(grid.spacing_mm))]
    apart_mm = (stored.apply(points) - transform.apply(points)).norm(dim=1)
    mean_mm, largest_mm = (float(apart_mm.mean()), float(apart_mm.max())) if len(points) else (float("nan"),) * 2
    faults = []
    if not largest_mm <= tolerance_mm:
        faults.append(
            f"{output} takes points up to {largest_mm:.3f} mm elsewhere than the transform (at most "
            f"{tolerance_mm:g} mm are allowed); an image of finer voxels as -f, or the format itk, keeps more"
        )
    return WrittenTransform(
        files=written.files,
        source=source,
        target=written.format,
        parts=kinds(transform),
        points=len(points),
        mean_mm=mean_mm,
        largest_mm=largest_mm,
        faults=tuple(faults),
        exit_status=QualityError.exit_code if faults else 0,
    )
