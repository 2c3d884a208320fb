"""Reading and checking of scans: files, DICOM series, and folders of training scans."""

from dataclasses import replace
from pathlib import Path

from samereg.app.record import sha256_of
from samereg.errors import FileError, UsageError
from samereg.geometry.volume import Volume
from samereg.image.checks import check_ct
from samereg.io.dicom import holds_ct
from samereg.io.dicom_files import files_below, is_dicom
from samereg.io.images import IMAGE_SUFFIXES, image_format, read_volume


def read_scan(path: Path, *, series: str | None = None) -> Volume:
    """Reads a CT scan in HU from a file or DICOM folder, with the checksum of its files in its source.

    Raises:
        FileError: missing or unreadable.
        GeometryError: an invalid grid, or a scan that is too small.
        NotCTError: intensities are not Hounsfield units.
    """
    volume = read_volume(path, series=series)
    check_ct(volume, name=str(path))
    return replace(volume, source=replace(volume.source, sha256=sha256_of(path), series=series))


def series_of_pair(fixed: Path, moving: Path, series: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Series of the fixed and of the moving scan.

    Args:
        fixed: file, or folder of DICOM slices.
        moving: the same.
        series: as given by the user: nothing; one UID if one of the two scans is a folder; or the fixed
            scan's UID and then the moving scan's.

    Raises:
        UsageError: too many or too few UIDs.
    """
    folders = (fixed.is_dir(), moving.is_dir())
    if not series:
        return None, None
    if len(series) != sum(folders):
        raise UsageError(
            f"Got {len(series)} series UIDs for {sum(folders)} DICOM folders; "
            "--series takes one for each folder, the fixed scan's first."
        )
    remaining = iter(series)
    first, second = (next(remaining) if folder else None for folder in folders)
    return first, second


def find_scans(data: Path) -> tuple[Path, ...]:
    """Sorted paths of the training scans.

    Args:
        data: a folder, searched with all its subfolders, links included, for image files and for folders of
            DICOM slices (the largest series of each), or a text file with one path per line, relative to that file.

    Raises:
        FileError: missing, or without scans.
    """
    if not data.exists():
        raise FileError(f"{data}: does not exist; need a folder of CT scans, or a text file with one path per line.")
    found = _scans_in_folder(data) if data.is_dir() else _scans_in_list(data)
    if not found:
        raise FileError(f"{data}: holds no scans; need files ending in {', '.join(IMAGE_SUFFIXES)} or DICOM folders.")
    return found


def _scans_in_folder(folder: Path) -> tuple[Path, ...]:
    files = files_below(folder)
    images = [path for path in files if image_format(path) is not None]
    slices: set[Path] = set()
    for path in files:
        # One slice per folder is sufficient.
        if path.parent not in slices and image_format(path) is None and is_dicom(path) and holds_ct(path):
            slices.add(path.parent)
    return tuple(images + sorted(slices))


def _scans_in_list(listing: Path) -> tuple[Path, ...]:
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FileError(f"{listing}: is not a text file; need one path per line.") from error
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    paths = tuple(listing.parent / name for name in names)
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise FileError(f"{listing}: names {missing[0]}, which does not exist.")
    return paths
