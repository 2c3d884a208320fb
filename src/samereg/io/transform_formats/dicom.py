"""DICOM registration objects: which of their frames of reference is fixed, and what of a transform they hold exactly.

The standard's directions: matrices of Spatial Registration take source to registered points, the grid of Deformable
Spatial Registration takes registered to source points. What is written has the fixed scan's frame as registered.
"""

from pathlib import Path

from samereg.errors import TransformError, UnspecifiedError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.inverse import fine_inverse
from samereg.geometry.source import Source
from samereg.geometry.transform import Transform
from samereg.io.dicom_files import is_dicom
from samereg.io.dicom_registration import RegisteredPart, StoredRegistration, is_registration, read_registration
from samereg.io.dicom_registration_writing import write_deformable, write_spatial
from samereg.io.formats import Recognised
from samereg.io.transform_formats.format import TransformFormat
from samereg.io.transform_formats.one_grid import as_one_grid
from samereg.io.transform_formats.spaces import Spaces

SUFFIX = ".dcm"


def read_dicom_file(path: Path, spaces: Spaces) -> Transform:
    """The map between the frames of reference of the two images, whichever of them is the registered one.

    Of images that are not given, the fixed one is taken for the registered, and the moving one for the only other.

    Raises:
        UnspecifiedError: several frames of reference, and the images do not say which of them are meant.
        FileError: damaged, or another object.
        TransformError: frames of reference that are those of other images.
    """
    stored = read_registration(path)
    fixed, moving = _choose(path, stored, spaces.fixed_source, spaces.moving_source)
    if fixed is None:
        return Affine.identity() if moving is None else moving.to_source
    back = fine_inverse(fixed.to_source)
    return back if moving is None else chain(back, moving.to_source)


def write_dicom_file(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Write an affine map as Spatial Registration, any other as Deformable Spatial Registration.

    Raises:
        UnspecifiedError: an image is not given.
        TransformError: an image without a frame of reference, or one that did not come from DICOM.
    """
    fixed = _with_frame(spaces.fixed_source, path, "fixed")
    moving = _with_frame(spaces.moving_source, path, "moving")
    if isinstance(transform, Affine):
        write_spatial(transform, path, fixed=fixed, moving=moving)
    else:
        write_deformable(as_one_grid(transform, path), path, fixed=fixed, moving=moving)
    return (path,)


def _with_frame(source: Source | None, path: Path, which: str) -> Source:
    if source is None:
        raise UnspecifiedError(
            f"{path}: a DICOM registration names both scans; the {which} one is not told.", what=which
        )
    if source.dicom is None:
        raise TransformError(
            f"{path}: a DICOM registration needs two DICOM scans; {source.label} is none: give its DICOM folder."
        )
    if source.frame_of_reference_uid is None:
        raise TransformError(
            f"{source.label}: has no FrameOfReferenceUID, which a DICOM registration is about; need a series with one."
        )
    return source


_Part = RegisteredPart | None
"""None for the registered frame of reference itself."""


def _choose(path: Path, stored: StoredRegistration, fixed: Source | None, moving: Source | None) -> tuple[_Part, _Part]:
    """The items of the fixed and of the moving image."""
    others = [part for part in stored.parts if not (part.is_identity and part.frame_uid == stored.frame_uid)]
    if _share_frame(fixed, moving):
        return _of_one_frame(path, stored, others, fixed, moving)
    known = [_known(path, stored, source) for source in (fixed, moving)]
    if known[0] is not None and known[1] is not None:
        return known[0][0], known[1][0]
    if known[1] is not None:
        # The moving image is the registered one, so the fixed one is the only other.
        return (_only(path, others, "fixed"), None) if known[1][0] is None else (None, known[1][0])
    if known[0] is not None and known[0][0] is not None:
        left = [part for part in others if part is not known[0][0]]
        return known[0][0], _only(path, left, "moving") if left else None
    return None, _only(path, others, "moving")


def _share_frame(fixed: Source | None, moving: Source | None) -> bool:
    frames = [source.frame_of_reference_uid for source in (fixed, moving) if source is not None]
    return len(frames) == 2 and frames[0] is not None and frames[0] == frames[1]


def _of_one_frame(
    path: Path, stored: StoredRegistration, others: list[RegisteredPart], fixed: Source | None, moving: Source | None
) -> tuple[_Part, _Part]:
    """Items of two images in one frame of reference, such as phases of breathing: told apart by their instances."""
    named = [next((part for part in others if _is_about(part, source)), None) for source in (fixed, moving)]
    if named[0] is not None or named[1] is not None:
        return named[0], named[1]
    if all(source is None or source.frame_of_reference_uid != stored.frame_uid for source in (fixed, moving)):
        raise _strange(path, stored, fixed)
    return None, _only(path, others, "moving")


def _known(path: Path, stored: StoredRegistration, source: Source | None) -> tuple[_Part] | None:
    """The item of an image; None for an image about which nothing is known."""
    if source is None or source.frame_of_reference_uid is None:
        return None
    of_frame = [part for part in stored.parts if part.frame_uid == source.frame_of_reference_uid]
    for part in [*(part for part in stored.parts if _is_about(part, source)), *of_frame]:
        return (None,) if part.is_identity and part.frame_uid == stored.frame_uid else (part,)
    if source.frame_of_reference_uid == stored.frame_uid:
        return (None,)
    raise _strange(path, stored, source)


def _is_about(part: RegisteredPart, source: Source | None) -> bool:
    """Whether an item names images of a series."""
    own = source.dicom.instance_uids if source is not None and source.dicom is not None else ()
    return not part.instance_uids.isdisjoint(own)


def _only(path: Path, parts: list[RegisteredPart], which: str) -> RegisteredPart | None:
    if len(parts) > 1:
        frames = ", ".join(part.frame_uid or "unnamed" for part in parts)
        raise UnspecifiedError(
            f"{path}: registers {len(parts)} frames of reference ({frames}), and which is the {which} one is not told "
            "by a DICOM scan.",
            what=which,
        )
    return parts[0] if parts else None


def _strange(path: Path, stored: StoredRegistration, source: Source | None) -> TransformError:
    frames = ", ".join(dict.fromkeys([stored.frame_uid, *(part.frame_uid for part in stored.parts if part.frame_uid)]))
    label, own = ("the scan", "") if source is None else (source.label, source.frame_of_reference_uid)
    return TransformError(
        f"{path}: is between the frames of reference {frames}; {label} is in {own}: need the scans that it registers."
    )


def _recognise(path: Path) -> Recognised | None:
    if not path.is_file() or not is_dicom(path) or not is_registration(path):
        return None
    return Recognised(format="dicom", certainty="declared", why="a DICOM registration object")


DICOM = TransformFormat(
    name="dicom",
    holds="Spatial Registration and Deformable Spatial Registration",
    frame="LPS",
    units="mm",
    direction="as its frames of reference say; of scans that are not given, registered (fixed) to source (moving)",
    suffixes=(SUFFIX,),
    written=(SUFFIX,),
    recognise=_recognise,
    read=read_dicom_file,
    write=write_dicom_file,
)
