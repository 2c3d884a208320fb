"""ANTs: fields as `1Warp.nii.gz` and affine maps as `0GenericAffine.mat`; LPS mm, fixed to moving, the warp first."""

import re
from collections.abc import Sequence
from pathlib import Path

from samereg.errors import FileError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all, parts
from samereg.geometry.transform import Transform
from samereg.io.formats import Recognised, has_suffix
from samereg.io.nifti import NIFTI_SUFFIXES, is_nifti
from samereg.io.transform_formats.format import Found, Gathered, TransformFormat
from samereg.io.transform_formats.itk import write_linear
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transform_formats.vector_images import write_vector_image
from samereg.io.transforms import read_transform

AFFINE, WARP = "0GenericAffine.mat", "1Warp.nii.gz"
_LINEAR = (".mat", ".txt", ".tfm")
_OTHERS = (".h5", ".json", ".npz", ".mha", ".nrrd")
"""Suffixes that are not part of a prefix."""
_PART = re.compile(r"(?P<prefix>.*?)(?P<place>\d+)(GenericAffine\.mat|Warp\.nii(\.gz)?)")
"""File names of ANTs, which numbers the parts of a transform from the moving side."""


def read_ants(path: Path, _: Spaces) -> Transform:
    """Reads a single ANTs file, or both files of a prefix: the warp, then the affine map.

    Raises:
        FileError: no file of that name or prefix.
    """
    if path.is_file():
        return read_transform(path)
    affine, warp = files_of(path)
    found = [file for file in (warp, affine) if file.is_file()]
    if not found:
        raise FileError(f"{path}: is no file, and neither {warp.name} nor {affine.name} exists beside it.")
    return chain_all([read_transform(file) for file in found])


def write_ants(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes `PREFIX0GenericAffine.mat` and, for a deformable transform, `PREFIX1Warp.nii.gz`; or a single file.

    Raises:
        UsageError: no grid for the field, or the warp of another transform beside an affine map.
        TransformError: a single affine file for a transform that is not affine.
    """
    if is_nifti(path):
        return write_vector_image(transform, path, spaces)
    if has_suffix(path, _LINEAR):
        return write_linear(transform, path, spaces)
    if path.suffix in _OTHERS:
        raise UsageError(f"{path}: is not a file name of ANTs; need a prefix, or a name in .mat or .nii.gz.")
    affine_file, warp_file = files_of(path)
    before, affine = _split(transform)
    if not isinstance(before, Affine):
        # The warp first, so that nothing is written if there is no grid for it.
        warp = write_vector_image(before, warp_file, spaces)
        return (*write_linear(affine, affine_file, spaces), *warp)
    if warp_file.exists():
        raise UsageError(f"{warp_file}: would be read as part of this affine transform; need another prefix.")
    return write_linear(affine, affine_file, spaces)


def files_of(prefix: Path) -> tuple[Path, Path]:
    """Paths of the affine map and the warp of a prefix."""
    return prefix.with_name(prefix.name + AFFINE), prefix.with_name(prefix.name + WARP)


def _split(transform: Transform) -> tuple[Transform, Affine]:
    """The parts before the last affine map, and that map."""
    *before, last = parts(transform)
    if isinstance(last, Affine):
        return chain_all(before), last
    return transform, Affine.identity()


def _recognise(path: Path) -> Recognised | None:
    """Recognises prefixes only; single ANTs files are ITK files."""
    if path.is_file() or not any(file.is_file() for file in files_of(path)):
        return None
    return Recognised(format="ants", certainty="declared", why="a prefix of two files of ANTs")


def _side_files(path: Path) -> tuple[Path, ...]:
    return () if is_nifti(path) or has_suffix(path, _LINEAR) else files_of(path)


def _read_with(path: Path) -> tuple[Path, ...]:
    return () if path.is_file() else tuple(file for file in files_of(path) if file.is_file())


def _gather(files: Sequence[Path]) -> Gathered:
    """Files of one prefix, the highest number first, because it is applied to fixed points first."""
    parts_of: dict[str, dict[int, Path]] = {}
    for path in files:
        if matched := _PART.fullmatch(path.name):
            parts_of.setdefault(matched["prefix"], {})[int(matched["place"])] = path
    return Gathered(
        found=tuple(
            Found(stem=prefix.rstrip("_-."), files=tuple(placed[place] for place in sorted(placed, reverse=True)))
            for prefix, placed in parts_of.items()
        )
    )


ANTS = TransformFormat(
    name="ants",
    holds="a warp, an affine map, or a prefix of both",
    frame="LPS",
    units="mm",
    suffixes=(*NIFTI_SUFFIXES, *_LINEAR),
    affine_suffix=".mat",
    is_prefix=True,
    recognise=_recognise,
    read=read_ants,
    write=write_ants,
    side_files=_side_files,
    read_with=_read_with,
    gather=_gather,
)
