"""A hundred damaged or wrong files: each ends in a known exit code and a sentence, and leaves no output."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from known_session import use_known_session
from samereg.cli.main import main
from samereg.errors import NoOverlapError

SEEDS = range(8)
EXIT_INPUT, EXIT_QUALITY = 3, 10

Damage = Callable[[bytes, np.random.Generator, Path], Path]
"""Writes a bad file made of the bytes of a good NIfTI file into a folder."""

NIFTI_HEADER_BYTES = 348
DIM, DATATYPE, PIXDIM, SCALE, SFORM_CODE, SFORM = 40, 70, 76, 112, 254, 280


def body_hu() -> np.ndarray[Any, np.dtype[np.int16]]:
    z, y, x = np.ogrid[-1:1:48j, -1:1:40j, -1:1:56j]
    inside = (z / 0.9) ** 2 + (y / 0.8) ** 2 + (x / 0.85) ** 2 < 1
    noise = np.random.default_rng(0).normal(0, 15, inside.shape)
    return (np.where(inside, 40, -1000) + noise).astype(np.int16)


def written(array: np.ndarray[Any, Any], path: Path, spacing: tuple[float, ...] = (5.0, 5.0, 5.0)) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(body_hu(), tmp_path_factory.mktemp("good") / "good.nii")


def truncated(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    return saved(good[: int(random.integers(0, len(good) - 1))], folder / "bad.nii")


def truncated_gzip(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    packed = gzip.compress(good)
    return saved(packed[: int(random.integers(0, len(packed) - 9))], folder / "bad.nii.gz")


def flipped_gzip(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    packed = bytearray(gzip.compress(good))
    for place in random.integers(10, len(packed), 20):
        packed[place] ^= 0xFF
    return saved(bytes(packed), folder / "bad.nii.gz")


def random_bytes(_good: bytes, random: np.random.Generator, folder: Path) -> Path:
    suffix = random.choice([".nii", ".nii.gz", ".mha", ".nrrd", ".mhd", ".txt", ""])
    return saved(random.bytes(int(random.integers(0, 5000))), folder / f"bad{suffix}")


def random_header(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    header = bytearray(good[:NIFTI_HEADER_BYTES])
    for place in random.integers(4, NIFTI_HEADER_BYTES - 4, 12):
        header[place] = int(random.integers(0, 256))
    return saved(bytes(header) + good[NIFTI_HEADER_BYTES:], folder / "bad.nii")


def wrong_sizes(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    sizes = random.choice([0, 1, 2, 5, 60, 1000, 32767, -3], 4).tolist()
    count = int(random.integers(0, 8))
    return patched(good, folder, DIM, struct.pack("<5h", count, *sizes))


def wrong_spacing(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    steps = random.choice([0.0, -2.0, float("nan"), float("inf"), 1e-30, 1e30, 0.1], 3).tolist()
    without_sform = patched(good, folder, SFORM_CODE, struct.pack("<h", 0)).read_bytes()
    return patched(without_sform, folder, PIXDIM + 4, struct.pack("<3f", *steps))


def wrong_matrix(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    matrix = random.choice([0.0, 5.0, 5.0, 1.0, float("nan")], 12).tolist()
    with_sform = patched(good, folder, SFORM_CODE, struct.pack("<h", 1)).read_bytes()
    return patched(with_sform, folder, SFORM, struct.pack("<12f", *matrix))


def wrong_type(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    code = int(random.choice([0, 1, 2, 32, 64, 128, 1536, 1792, 2304, 9999]))
    return patched(good, folder, DATATYPE, struct.pack("<2h", code, int(random.choice([0, 8, 16, 64]))))


def wrong_modality(_good: bytes, random: np.random.Generator, folder: Path) -> Path:
    hu = body_hu().astype(np.float32)
    kinds = [
        np.clip((hu + 1000) / 1040 * 255, 0, 255),
        hu + 1000,
        (hu > -300) * random.gamma(3, 200, hu.shape),
        np.zeros_like(hu),
        np.where(hu > 0, np.nan, hu),
        np.where(hu > 0, np.inf, hu),
        np.full_like(hu, -1000),
        random.normal(0, 1, hu.shape),
    ]
    chosen = kinds[int(random.integers(len(kinds)))]
    return written(chosen.astype(np.float32), folder / "bad.nii.gz")


def wrong_shape(_good: bytes, random: np.random.Generator, folder: Path) -> Path:
    hu = body_hu()
    kind = int(random.integers(4))
    if kind == 0:
        return written(hu[20], folder / "bad.mha", (5.0, 5.0))
    if kind == 1:
        return written(hu, folder / "bad.mha", (0.5, 0.5, 0.5))
    if kind == 2:
        return written(np.stack([hu, hu])[..., :8], folder / "bad.nii", (5.0, 5.0, 5.0, 1.0))
    image = sitk.GetImageFromArray(np.stack([hu, hu, hu], -1), isVector=True)
    image.SetSpacing((5.0, 5.0, 5.0))
    sitk.WriteImage(image, str(folder / "bad.nrrd"))
    return folder / "bad.nrrd"


def damaged_text_header(_good: bytes, random: np.random.Generator, folder: Path) -> Path:
    path = written(body_hu(), folder / f"bad{random.choice(['.mha', '.nrrd'])}")
    content = bytearray(path.read_bytes())
    for place in random.integers(0, 300, 8):
        content[place] = int(random.integers(32, 127))
    return saved(bytes(content), path)


def folder_of_junk(good: bytes, random: np.random.Generator, folder: Path) -> Path:
    junk = folder / "bad"
    junk.mkdir()
    for number in range(int(random.integers(0, 4))):
        start = b"\0" * 128 + b"DICM" if random.random() < 0.5 else b""
        saved(start + random.bytes(200), junk / f"{number}.dcm")
    if random.random() < 0.3:
        saved(good, junk / "scan.nii")
    return junk


DAMAGES = (
    truncated,
    truncated_gzip,
    flipped_gzip,
    random_bytes,
    random_header,
    wrong_sizes,
    wrong_spacing,
    wrong_matrix,
    wrong_type,
    wrong_modality,
    wrong_shape,
    damaged_text_header,
    folder_of_junk,
)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_ends_in_a_sentence(
    damage: Damage,
    seed: int,
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bad = damage(good.read_bytes(), np.random.default_rng(seed), tmp_path)
    use_known_session(monkeypatch, no_overlap)
    before = sorted(tmp_path.iterdir())
    code = main(["register", "-f", str(good), "-m", str(bad), "-o", str(tmp_path / "out"), "-q"])
    captured = capfd.readouterr()
    sentence = captured.err.splitlines()[-1]
    assert code in {EXIT_INPUT, EXIT_QUALITY}
    assert sentence.startswith("samereg: error: ")
    if code == EXIT_INPUT:
        assert bad.name in sentence
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_there_are_a_hundred_of_them() -> None:
    assert len(DAMAGES) * len(SEEDS) >= 100


def no_overlap(*_arguments: object, **_settings: object) -> None:
    """What becomes of a file whose damage does not show: some bytes of a CT are as good as others."""
    raise NoOverlapError("the file could be read")


def patched(good: bytes, folder: Path, place: int, content: bytes) -> Path:
    return saved(good[:place] + content + good[place + len(content) :], folder / "bad.nii")


def saved(content: bytes, path: Path) -> Path:
    path.write_bytes(content)
    return path
