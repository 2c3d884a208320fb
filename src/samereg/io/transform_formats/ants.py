"""ANTs: fields as `1Warp.nii.gz` and affine maps as `0GenericAffine.mat`; LPS mm, fixed to moving, the warp first."""

from pathlib import Path

from samereg.errors import FileError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all, parts
from samereg.geometry.transform import Transform
from samereg.io.transform_formats.itk import write_linear
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transform_formats.vector_images import write_vector_image
from samereg.io.transforms import read_transform

AFFINE, WARP = "0GenericAffine.mat", "1Warp.nii.gz"


def read_ants(path: Path, _: Spaces) -> Transform:
    """One file of ANTs, or both that begin with a prefix: the warp, then the affine map.

    Raises:
        FileError: no such file, and none that begins so.
    """
    if path.is_file():
        return read_transform(path)
    affine, warp = files_of(path)
    found = [file for file in (warp, affine) if file.is_file()]
    if not found:
        raise FileError(f"{path}: is no file, and neither {warp.name} nor {affine.name} exists beside it.")
    return chain_all([read_transform(file) for file in found])


def write_ants(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Write `PREFIX0GenericAffine.mat` and, for a transform that bends, `PREFIX1Warp.nii.gz`; or one file by its name.

    Raises:
        UsageError: no grid to write a field on, or the warp of another transform beside an affine map.
        TransformError: a single affine file is asked for, but the transform bends.
    """
    lowered = path.name.lower()
    if lowered.endswith((".nii", ".nii.gz")):
        return write_vector_image(transform, path, spaces)
    if lowered.endswith((".mat", ".txt", ".tfm")):
        return write_linear(transform, path, spaces)
    if path.suffix in (".h5", ".json", ".npz", ".mha", ".nrrd"):
        raise UsageError(f"{path}: is no name of ANTs; need a prefix, or a name in .mat or .nii.gz.")
    affine_file, warp_file = files_of(path)
    before, affine = _split(transform)
    if not isinstance(before, Affine):
        # The warp first: if there is no grid for it, nothing is left behind.
        warp = write_vector_image(before, warp_file, spaces)
        return (*write_linear(affine, affine_file, spaces), *warp)
    if warp_file.exists():
        raise UsageError(f"{warp_file}: would be taken for a part of this affine transform; need another prefix.")
    return write_linear(affine, affine_file, spaces)


def files_of(prefix: Path) -> tuple[Path, Path]:
    """Affine map and warp of a prefix."""
    return prefix.with_name(prefix.name + AFFINE), prefix.with_name(prefix.name + WARP)


def _split(transform: Transform) -> tuple[Transform, Affine]:
    """What comes before the last affine map, and that map."""
    *before, last = parts(transform)
    if isinstance(last, Affine):
        return chain_all(before), last
    return transform, Affine.identity()
