"""Numbers of DICOM files become HU, however they are packed, and padding becomes the background."""

import logging
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_series import (
    ORIGIN,
    SHAPE,
    STEP,
    Change,
    encode,
    enhanced,
    padded_with,
    place,
    slice_at,
    stored_values,
    with_value,
    without,
    write_series,
)
from samereg.errors import FileError, InputError, NotCTError
from samereg.io.images import read_volume


def test_run_length_compression_is_decoded(tmp_path: Path) -> None:
    values = write_series(tmp_path, change=lambda made, _: made.compress(RLELossless))
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)


def test_truncated_pixels_are_refused_by_file(tmp_path: Path) -> None:
    write_series(tmp_path)
    path = slice_at(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileError, match=rf"{path.name}: has pixels that are truncated or cannot be decoded"):
        read_volume(tmp_path)


def test_every_slice_has_its_own_rescaling(tmp_path: Path) -> None:
    def change(made: Dataset, number: int) -> None:
        made.RescaleSlope, made.RescaleIntercept = str(1 + 0.5 * number), str(-1000 - number)

    values = write_series(tmp_path, change=change)
    volume = read_volume(tmp_path)
    numbers = np.arange(SHAPE[0])[:, None, None]
    np.testing.assert_allclose(volume.data[0].numpy(), values * (1 + 0.5 * numbers) - 1000 - numbers)
    assert volume.stored_dtype == "float32"


def test_a_slice_without_rescaling_among_others_is_named(tmp_path: Path) -> None:
    write_series(tmp_path, change=without(2, "RescaleIntercept"))
    with pytest.raises(InputError, match=rf"{slice_at(tmp_path, 2).name} has no RescaleSlope and RescaleIntercept"):
        read_volume(tmp_path)


@pytest.mark.parametrize("unit", ["Z_EFF", "ED", "MGML", "PCT"])
def test_numbers_that_are_not_hu_are_refused_by_their_unit(unit: str, tmp_path: Path) -> None:
    write_series(tmp_path, change=with_value(1, "RescaleType", unit))
    with pytest.raises(NotCTError, match=rf"holds values in {unit}; need Hounsfield"):
        read_volume(tmp_path)


def stored_in_12_bits(made: Dataset, signed: bool) -> None:
    made.BitsStored, made.HighBit, made.PixelRepresentation = 12, 11, int(signed)
    values = np.frombuffer(made.PixelData, np.int16).astype(np.int64)
    made.PixelData = (values & 0xFFF | 0xA000).astype(np.uint16).tobytes()


@pytest.mark.parametrize("signed", [False, True])
def test_unused_bits_are_ignored(signed: bool, tmp_path: Path) -> None:
    values = stored_values() - 1000 * signed
    write_series(tmp_path, values=values, change=lambda made, _: stored_in_12_bits(made, signed))
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)


def test_numbers_in_the_upper_bits_are_refused(tmp_path: Path) -> None:
    def change(made: Dataset, _number: int) -> None:
        made.BitsStored, made.HighBit = 12, 15

    write_series(tmp_path, change=change)
    with pytest.raises(FileError, match=r"keeps 12 bits for each pixel, with bit 15 as the highest; need bit 11"):
        read_volume(tmp_path)


def unsigned_above_half(made: Dataset, _number: int) -> None:
    made.PixelRepresentation = 0
    made.PixelData = (np.frombuffer(made.PixelData, np.int16).astype(np.uint16) + 40000).tobytes()
    made.RescaleIntercept = "-41024"


def inverted_for_display(made: Dataset, _number: int) -> None:
    made.PhotometricInterpretation = "MONOCHROME1"


def with_real_world_values(made: Dataset, _number: int) -> None:
    item = Dataset()
    item.RealWorldValueSlope, item.RealWorldValueIntercept = 3.0, 5.0
    made.RealWorldValueMappingSequence = Sequence([item])
    block = made.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0E, "FL", 7.0)


@pytest.mark.parametrize("change", [unsigned_above_half, inverted_for_display, with_real_world_values])
def test_numbers_become_hu_by_the_rescaling_alone(change: Change, tmp_path: Path) -> None:
    values = write_series(tmp_path, change=change)
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_encodings_give_the_same_numbers(syntax: str, tmp_path: Path) -> None:
    values = write_series(tmp_path)
    for path in tmp_path.iterdir():
        encode(path, syntax)
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)


@pytest.mark.parametrize(("samples", "photometric"), [(3, "RGB"), (3, "YBR_FULL"), (1, "PALETTE COLOR")])
def test_colour_is_refused_by_name(samples: int, photometric: str, tmp_path: Path) -> None:
    def change(made: Dataset, number: int) -> None:
        if number == 2:
            made.SamplesPerPixel, made.PhotometricInterpretation = samples, photometric

    write_series(tmp_path, change=change)
    with pytest.raises(
        InputError, match=rf"{slice_at(tmp_path, 2).name} (holds 3 numbers|is a colour image \(PALETTE)"
    ):
        read_volume(tmp_path)


def compressed_by_itk(folder: Path, compressor: str) -> np.ndarray:
    values = stored_values((3, 32, 32))
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    for number, plane in enumerate(values):
        writer.SetFileName(str(folder / f"{number}.dcm"))
        writer.Execute(sitk.GetImageFromArray(plane[None]))
        made = dcmread(folder / f"{number}.dcm")
        made.Modality, made.SeriesInstanceUID = "CT", "1.2.3"
        place(made, ORIGIN + number * STEP)
        made.save_as(folder / f"{number}.dcm")
    return values


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_compressed_slices_are_decoded_or_refused_by_file(compressor: str, tmp_path: Path) -> None:
    values = compressed_by_itk(tmp_path, compressor)
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)
    path = tmp_path / "1.dcm"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(FileError, match=r"1\.dcm: has pixels that are truncated or cannot be decoded"):
        read_volume(tmp_path)


def called(path: Path, syntax: str) -> None:
    made = dcmread(path)
    made.compress(RLELossless)
    made.file_meta.TransferSyntaxUID = syntax
    made.save_as(path)


def test_a_compression_without_decoder_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samereg.io.dicom_pixels._has_decoder", lambda _: False)
    write_series(tmp_path)
    for path in tmp_path.iterdir():
        called(path, HTJ2KLossless)
    with pytest.raises(FileError, match=r"is compressed as High-Throughput.* need: python -m pip install pylib"):
        read_volume(tmp_path)


def test_an_unknown_transfer_syntax_is_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    path = slice_at(tmp_path, 2)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    with pytest.raises(FileError, match=rf"{path.name}: has the transfer syntax 1\.2\..*\.9, which is not"):
        read_volume(tmp_path)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless])
def test_compressed_frames_without_decoder_name_the_packages(
    syntax: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samereg.io.dicom_pixels._has_decoder", lambda _: False)
    enhanced(tmp_path / "scan.dcm", stored_values())
    called(tmp_path / "scan.dcm", syntax)
    with pytest.raises(FileError, match=r"is compressed as JPEG.* need: python -m pip install pylibjpeg"):
        read_volume(tmp_path / "scan.dcm")


def test_padding_becomes_the_background(tmp_path: Path) -> None:
    values = stored_values()
    values[:, :2] = -2000
    write_series(tmp_path / "low", values=values, change=padded_with(-2000))
    volume = read_volume(tmp_path / "low")
    assert volume.background == -3024.0
    assert float(volume.data[0, 0, 0, 0]) == -3024.0
    values[:, :2] = 3000
    write_series(tmp_path / "high", values=values, change=padded_with(3000))
    volume = read_volume(tmp_path / "high")
    assert volume.background == -1024.0
    assert float(volume.data[0, 0, 0, 0]) == -1024.0


WIDE = (3, 24, 20)


def test_zero_hu_inside_the_body_is_no_padding(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = stored_values(WIDE)
    values[values == 1024] = 1025
    values[:, :3, :5] = 1024
    values[:, 8:14, 6:12] = 1024
    # Tissue at the edge that happens to be water.
    values[:, 20, 0] = values[:, -1, 7:9] = 1024
    write_series(tmp_path, values=values, change=padded_with(1024))
    with caplog.at_level(logging.INFO):
        hu = read_volume(tmp_path).data[0].numpy()
    expected = values - 1024.0
    expected[:, :3, :5] = -1024
    np.testing.assert_array_equal(hu, expected)
    assert "45 voxels of padding at the edges of the slices set to -1024 HU; 117 voxels inside" in caplog.text


def test_zero_padding_of_images_without_intercept_keeps_water(tmp_path: Path) -> None:
    def change(made: Dataset, _number: int) -> None:
        made.RescaleIntercept, made.PixelPaddingValue = "0", 0

    values = stored_values(WIDE) - 1000
    values[:, 5:9, 5:9] = 0
    values[:, :, 17:] = 0
    write_series(tmp_path, values=values.astype(np.int16), change=change)
    volume = read_volume(tmp_path)
    assert float(volume.data[0, 1, 6, 6]) == 0.0
    assert bool((volume.data[0, :, :, 17:] == -1024.0).all())
    assert volume.background == -1024.0


@pytest.mark.parametrize(("low", "high"), [(-3000, -1500), (-1500, -3000)])
def test_a_range_below_the_scale_is_padding_everywhere(low: int, high: int, tmp_path: Path) -> None:
    values = stored_values(WIDE)
    values[:, 0, :] = -3000
    values[:, 4:6, 4:6] = -1700

    def change(made: Dataset, _number: int) -> None:
        made.PixelPaddingValue, made.PixelPaddingRangeLimit = low, high

    write_series(tmp_path, values=values, change=change)
    volume = read_volume(tmp_path)
    assert volume.background == -4024.0
    assert bool((volume.data[0, :, 4:6, 4:6] == -4024.0).all())
    assert int((volume.data == -4024.0).sum()) == 3 * (20 + 4)


def test_a_range_of_tissue_is_padding_only_at_the_edge(tmp_path: Path) -> None:
    values = stored_values(WIDE)
    values[(values >= 1000) & (values <= 1100)] = 900
    values[:, 0:2, :] = 1050
    values[:, 2, 5:9] = 1000
    values[:, 9:12, 9:12] = 1050

    def change(made: Dataset, _number: int) -> None:
        made.PixelPaddingValue, made.PixelPaddingRangeLimit = 1000, 1100

    write_series(tmp_path, values=values, change=change)
    hu = read_volume(tmp_path).data[0].numpy()
    expected = values - 1024.0
    expected[:, 0:2, :] = expected[:, 2, 5:9] = -1024.0
    np.testing.assert_array_equal(hu, expected)


def test_padding_written_in_the_other_sign_convention_is_understood(tmp_path: Path) -> None:
    values = stored_values()
    values[:, :2] = -2000

    def change(made: Dataset, _number: int) -> None:
        made.add_new(0x00280120, "US", 65536 - 2000)

    write_series(tmp_path, values=values, change=change)
    volume = read_volume(tmp_path)
    assert (volume.background, float(volume.data[0, 0, 0, 0])) == (-3024.0, -3024.0)


def test_padding_that_no_scanner_measures_is_air_everywhere(tmp_path: Path) -> None:
    def change(made: Dataset, _number: int) -> None:
        made.PixelRepresentation, made.PixelPaddingValue = 0, 65535

    values = stored_values()
    values[:, 4, 4] = -1
    write_series(tmp_path, values=values, change=change)
    hu = read_volume(tmp_path).data[0].numpy()
    assert bool((hu[:, 4, 4] == -1024.0).all())
    assert float(hu.max()) < 1024.0


def test_each_slice_has_its_own_padding(tmp_path: Path) -> None:
    values = stored_values(WIDE)
    values[:, :, :2] = -2000

    def change(made: Dataset, number: int) -> None:
        made.RescaleIntercept, made.PixelPaddingValue = str(-1000 - number), -2000

    write_series(tmp_path, values=values, change=change)
    volume = read_volume(tmp_path)
    assert volume.background == -3002.0
    assert bool((volume.data[..., :2] == -3002.0).all())
