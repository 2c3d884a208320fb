"""Converts, inverts and composes transform files, and measures the loss."""

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
"""Maximum difference in mm between a written file and its transform."""
SHARE = 0.99
"""Quantile by which inverses are judged, because errors at the grid border are unavoidable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Formats:
    """Formats of input and output; None to detect them."""

    source: TransformFormatName | None = None
    target: TransformFormatName | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenTransform:
    """Record of a written transform and its accuracy.

    Attributes:
        files: output files.
        source: input format.
        target: output format.
        parts: kinds of the parts of the transform, in order of application.
        points: number of compared points.
        mean_mm: mean difference between the file and the transform.
        max_mm: maximum difference.
        faults: sentences on what failed.
        exit_status: 0, or that of `QualityError`.
    """

    files: tuple[Path, ...]
    source: str
    target: str
    parts: tuple[str, ...]
    points: int
    mean_mm: float
    max_mm: float
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
    """Writes a transform file in another format, reads it back and compares.

    Args:
        path: transform file of any supported format.
        output: output file; for ANTs also a prefix.
        formats: of both, if they cannot be detected.
        spaces: grids of the two images, for fields and formats in voxels.
        tolerance_mm: maximum difference.
        overwrite: replace existing files.

    Raises:
        UsageError: `output` exists, a format cannot be detected, or a required image is not given.
        InputError: an invalid file, or a format that cannot hold the transform.
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
    """Writes the composition of a sequence of transform files, applied in order.

    Raises:
        UsageError: fewer than two files, `output` exists, or a format cannot be detected.
        InputError: an invalid file, or a format that cannot hold the transform.
    """
    if len(paths) < 2:
        raise UsageError(f"Got {len(paths)} transform to compose; need --first and --then.")
    refuse_input(output, paths)
    with _claimed(output, target, overwrite=overwrite) as chosen:
        transform = chain_all([_read_between(path, spaces) for path in paths])
        written = _write(transform, output, chosen, spaces=spaces)
        return _measured(transform, output, written, source="several", spaces=spaces, tolerance_mm=tolerance_mm)


def _read_between(path: Path, spaces: Spaces) -> Transform:
    """Reads a transform of a sequence; formats in voxels are refused, because their images are ambiguous."""
    format = recognise_transform(path).format
    if "moving" in TRANSFORM_FORMATS[format].needs:
        raise UnspecifiedError(
            f"{path}: is in voxels of two images, and it is ambiguous which two of the sequence.", what="format"
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
    """Writes the inverse of a transform, moving to fixed, and measures the inverse consistency.

    Args:
        path: transform file, fixed to moving.
        output: file to write.
        formats: of both, if they cannot be detected.
        spaces: grids of the transform's own fixed and moving images; a field is written on the moving one.
        tolerance_mm: maximum inverse consistency error of 99 % of the points.
        overwrite: replace existing files.

    Raises:
        UsageError: `output` exists, a format cannot be detected, or a required image is not given.
        InputError: an invalid file, or a format that cannot hold the inverse.
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
        faults.append(f"1 % of the points have an inverse error above {worst:.2f} mm; the transform may fold")
    return WrittenTransform(
        files=written.files,
        source=source,
        target=written.format,
        parts=kinds(inverse),
        points=len(points),
        mean_mm=float(error_mm.mean()) if len(points) else float("nan"),
        max_mm=float(error_mm.max()) if len(points) else float("nan"),
        faults=tuple(faults),
        exit_status=QualityError.exit_code if faults else 0,
    )


def kinds(transform: Transform) -> tuple[str, ...]:
    """Kinds of the parts of a transform, in order of application."""
    return tuple(type(part).__name__.lower() for part in parts(transform))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    files: tuple[Path, ...]
    format: str


@contextmanager
def _claimed(output: Path, target: TransformFormatName | None, *, overwrite: bool) -> Iterator[str]:
    """Context that locks all files of an output; yields its format."""
    chosen = format_by_name(output) if target is None else target
    with claimed_outputs(output, *TRANSFORM_FORMATS[chosen].side_files(output), overwrite=overwrite):
        yield chosen


def _write(transform: Transform, output: Path, chosen: str, *, spaces: Spaces) -> _Written:
    files = write_transform_file(transform, output, format=chosen, spaces=spaces)
    for path in TRANSFORM_FORMATS[chosen].side_files(output):
        if path not in files:
            # A file of an earlier transform, which would be read as part of the new one.
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
    mean_mm, max_mm = (float(apart_mm.mean()), float(apart_mm.max())) if len(points) else (float("nan"),) * 2
    faults = []
    if not max_mm <= tolerance_mm:
        faults.append(
            f"{output} differs from the transform by up to {max_mm:.3f} mm (at most "
            f"{tolerance_mm:g} mm is allowed); use an image with finer voxels as -f, or the format itk"
        )
    return WrittenTransform(
        files=written.files,
        source=source,
        target=written.format,
        parts=kinds(transform),
        points=len(points),
        mean_mm=mean_mm,
        max_mm=max_mm,
        faults=tuple(faults),
        exit_status=QualityError.exit_code if faults else 0,
    )
