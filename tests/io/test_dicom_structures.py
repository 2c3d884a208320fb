"""SEG, RTSTRUCT and RTDOSE: read wherever labels are taken, carried through transforms, written for other systems."""

import logging
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from scipy.spatial import cKDTree

from clinical_series import HELD, dataset, uid, write_clinical
from crosstool.dicom_tools import complaints
from laws import rotation, smooth_displacement
from samereg.app.point_matching import PointQuery, read_query
from samereg.app.resampling import ApplySettings, apply_files
from samereg.errors import FileError, GeometryError, InputError, UnspecifiedError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.grid import Grid, axis_aligned_grid, voxel_centres_mm
from samereg.geometry.inverse import fine_inverse
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_volume
from samereg.io.dicom_contours import read_contours
from samereg.io.dicom_dose import read_dose
from samereg.io.dicom_segments import read_segments
from samereg.io.images import read_labels, read_labels_of, write_labels
from samereg.io.polygons import borders, inside, signed_distance
from samereg.io.transform_files import write_transform_file
from samereg.io.transform_formats.spaces import Spaces

GRID = axis_aligned_grid((16, 40, 44), (3.0, 1.5, 1.5), (-33.0, -30.0, 100.0))
TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 4.0), torch.tensor([2.0, -3.0, 2.5], dtype=torch.float64))
LATTICE = axis_aligned_grid((12, 14, 14), (8.0, 8.0, 8.0), (-55.0, -55.0, 75.0))
BENT = chain(smooth_displacement(LATTICE, amplitude_mm=3.0), TURN)


def ball(radii_mm: tuple[float, float, float], offset_mm: tuple[float, float, float] = (0, 0, 0)) -> torch.Tensor:
    away = voxel_centres_mm(GRID) - GRID.centre_mm - torch.tensor(offset_mm, dtype=torch.float64)
    return (away / torch.tensor(radii_mm, dtype=torch.float64)).norm(dim=-1) < 1.0


def body() -> LabelMap:
    """A body with a hole through it, of two pieces, and an organ beside the hole."""
    data = (ball((22.0, 20.0, 17.0)) & ~ball((5.0, 5.0, 40.0), (-9.0, 0.0, 0.0))).long()
    data[ball((3.0, 3.0, 5.0), (27.0, 20.0, 0.0))] = 1
    data[ball((6.0, 7.0, 9.0), (8.0, 0.0, 0.0))] = 2
    return LabelMap(data=data, grid=GRID)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a series, a label map, its SEG and RTSTRUCT, an identity and two maps."""
    folder = tmp_path_factory.mktemp("structures")
    write_clinical(folder / "ct", GRID, number=1)
    write_labels(body(), folder / "labels.nii.gz")
    for name, transform in (("identity", Affine.identity()), ("there", BENT), ("back", fine_inverse(BENT))):
        write_transform_file(transform, folder / f"{name}.h5", spaces=Spaces())
    carry(folder, "labels.nii.gz", "seg.dcm", to="seg")
    carry(folder, "labels.nii.gz", "rtstruct.dcm", to="rtstruct")
    return folder


def carry(folder: Path, source: str, target: str | Path, *, through: str = "identity", **settings: object) -> Path:
    asked = ApplySettings(reference=folder / "ct", **settings)
    apply_files(folder / f"{through}.h5", (folder / source,), folder / target, settings=asked)
    return folder / target


def overlap(first: torch.Tensor, second: torch.Tensor) -> float:
    return 2.0 * float((first & second).sum()) / float(first.sum() + second.sum())


@pytest.mark.parametrize("name", ["seg.dcm", "rtstruct.dcm"])
def test_labels_come_back_as_they_were(name: str, place: Path) -> None:
    found = read_labels_of(place / name, place / "ct")
    index = found.grid.to_index(GRID.to_world(torch.zeros(1, 3, dtype=torch.float64))).round().long()[0]
    whole = torch.zeros(GRID.shape, dtype=torch.int64)
    low = (-index).tolist()
    depth, height, width = found.data.shape
    whole[low[0] : low[0] + depth, low[1] : low[1] + height, low[2] : low[2] + width] = found.data
    for value in (1, 2):
        assert overlap(whole == value, body().data == value) == 1.0


def test_contours_need_the_scan_that_they_were_drawn_on(place: Path) -> None:
    with pytest.raises(UnspecifiedError, match=r"rtstruct\.dcm: holds contours, which need the scan"):
        read_labels(place / "rtstruct.dcm")


def test_points_of_a_structure_are_looked_for_by_its_number(place: Path) -> None:
    wanted = GRID.to_world((body().data == 2).nonzero().double())
    found = read_query(PointQuery(labels=place / "rtstruct.dcm", label=2), GRID)
    torch.testing.assert_close(found.points_mm, wanted)


@pytest.mark.parametrize("name", ["seg.dcm", "rtstruct.dcm"])
def test_dciodvfy_finds_no_error_in_structures(name: str, place: Path) -> None:
    assert complaints(place / name) == []


def test_structures_name_patient_study_frame_and_slices(place: Path) -> None:
    for name in ("seg.dcm", "rtstruct.dcm"):
        made = pydicom.dcmread(place / name)
        assert {key: str(made[key].value) for key in HELD} == HELD
        assert made.StudyInstanceUID == uid(1, 1)
    frame = made.ReferencedFrameOfReferenceSequence[0]
    assert frame.FrameOfReferenceUID == uid(1, 9)
    contour = made.ROIContourSequence[1].ContourSequence[0]
    slice_number = round((float(contour.ContourData[2]) - 100.0) / 3.0)
    assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == uid(1, 3, slice_number + 1)


def described(path: Path, target: Path) -> Path:
    """An RTSTRUCT with colours, generation codes and a type that nobody would guess."""
    made = pydicom.dcmread(path)
    made.StructureSetROISequence[1].ROIName, made.StructureSetROISequence[1].ROINumber = "GTV ö", 77
    made.StructureSetROISequence[1].ROIGenerationAlgorithm = "MANUAL"
    made.ROIContourSequence[1].ReferencedROINumber, made.ROIContourSequence[1].ROIDisplayColor = 77, [1, 2, 255]
    made.RTROIObservationsSequence[1].ReferencedROINumber = 77
    made.RTROIObservationsSequence[1].RTROIInterpretedType = "GTV"
    made.save_as(target)
    return target


def test_names_colours_numbers_and_codes_of_structures_are_kept(place: Path) -> None:
    described(place / "rtstruct.dcm", place / "described.dcm")
    made = pydicom.dcmread(carry(place, "described.dcm", "carried.dcm", through="there"))
    region, drawn, seen = (
        made.StructureSetROISequence[1],
        made.ROIContourSequence[1],
        made.RTROIObservationsSequence[1],
    )
    assert (region.ROIName, region.ROINumber, region.ROIGenerationAlgorithm) == ("GTV ö", 77, "MANUAL")
    assert (drawn.ReferencedROINumber, list(drawn.ROIDisplayColor)) == (77, [1, 2, 255])
    assert (seen.ReferencedROINumber, seen.RTROIInterpretedType) == (77, "GTV")
    assert complaints(place / "carried.dcm") == []


def test_labels_and_codes_of_segments_are_kept(place: Path) -> None:
    made = pydicom.dcmread(place / "seg.dcm")
    made.SegmentSequence[1].SegmentLabel = "Liver"
    made.SegmentSequence[1].SegmentAlgorithmType = "MANUAL"
    made.SegmentSequence[1].SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Liver"
    made.SegmentSequence[1].RecommendedDisplayCIELabValue = [1, 2, 3]
    made.save_as(place / "liver.dcm")
    item = pydicom.dcmread(carry(place, "liver.dcm", "liver2.dcm", through="there")).SegmentSequence[1]
    assert (item.SegmentLabel, item.SegmentAlgorithmType) == ("Liver", "MANUAL")
    assert item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"
    assert list(item.RecommendedDisplayCIELabValue) == [1, 2, 3]


def contour_points(path: Path, number: int) -> np.ndarray:
    """Points along the contours of a structure, a twentieth of an edge apart."""
    made = pydicom.dcmread(path)
    (drawn,) = (item for item in made.ROIContourSequence if item.ReferencedROINumber == number)
    found = []
    for each in drawn.ContourSequence:
        corners = np.array(each.ContourData, dtype=float).reshape(-1, 3)
        edges = np.roll(corners, -1, axis=0) - corners
        found += [corners + share * edges for share in np.linspace(0.0, 0.95, 20)]
    return np.concatenate(found)


@pytest.mark.slow
def test_contours_carried_there_and_back_end_where_they_began(place: Path) -> None:
    made = pydicom.dcmread(place / "rtstruct.dcm")
    _add_structure(made, 9, [_ellipse(100.0 + 3.0 * number) for number in range(3, 13)])
    made.save_as(place / "drawn.dcm")
    carry(place, "drawn.dcm", "went.dcm", through="there")
    carry(place, "went.dcm", "returned.dcm", through="back")
    before, after = contour_points(place / "drawn.dcm", 9), contour_points(place / "returned.dcm", 9)
    middle, half = (before[:, 2].max() + before[:, 2].min()) / 2.0, (before[:, 2].max() - before[:, 2].min()) / 2.0
    inner = np.abs(before[:, 2] - middle) < 0.6 * half  # towards its poles a surface is nearly parallel to the slices
    distance = np.array([np.abs(_nearest_in_plane(after, point)) for point in before[inner]])
    assert float(np.quantile(distance, 0.95)) < 0.5
    assert len(contour_points(place / "went.dcm", 1)) > 100


def _ellipse(z_mm: float) -> list[float]:
    """The contour of an ellipsoid, as it is drawn by hand: smooth."""
    size = np.sqrt(1.0 - ((z_mm - 122.5) / 17.0) ** 2)
    angles = np.linspace(0.0, 2.0 * np.pi, 60, endpoint=False)
    points = np.stack([13.0 * size * np.cos(angles), 10.0 * size * np.sin(angles), np.full(60, z_mm)], axis=1)
    return [round(float(value), 3) for value in points.ravel()]


def _nearest_in_plane(points: np.ndarray, point: np.ndarray) -> float:
    plane = points[np.abs(points[:, 2] - point[2]) < 0.01]
    return float(cKDTree(plane).query(point)[0])


@pytest.mark.slow
def test_contours_and_masks_carried_alike_show_the_same_voxels(place: Path) -> None:
    carry(place, "rtstruct.dcm", "by_contours.nii.gz", through="there")
    carry(place, "labels.nii.gz", "by_masks.nii.gz", through="there", interpolation="label-linear")
    first, second = (read_labels(place / f"by_{name}.nii.gz").data for name in ("contours", "masks"))
    for value in (1, 2):
        assert overlap(first == value, second == value) > 0.97


def test_a_hole_is_joined_to_the_contour_around_it(place: Path) -> None:
    made = pydicom.dcmread(place / "rtstruct.dcm")
    middle = 100.0 + 3.0 * 8
    contours = [
        each for each in made.ROIContourSequence[0].ContourSequence if abs(float(each.ContourData[2]) - middle) < 0.1
    ]
    assert len(contours) == 2  # the body with its hole, and the other piece


@pytest.mark.parametrize("kind", ["fractional", "label map"])
def test_other_kinds_of_segmentation_are_read(kind: str, place: Path, tmp_path: Path) -> None:
    expected, grid, _ = read_segments(place / "seg.dcm")
    made = pydicom.dcmread(place / "seg.dcm")
    bits = made.pixel_array.astype(np.uint8)
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    if kind == "fractional":
        made.SegmentationType, made.MaximumFractionalValue, made.SegmentationFractionalType = (
            "FRACTIONAL",
            200,
            "OCCUPANCY",
        )
        made.PixelData = (bits * 120 + 40).tobytes()
    else:
        made.SegmentationType = "LABELMAP"
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.7"
        owners = [
            f.SegmentIdentificationSequence[0].ReferencedSegmentNumber for f in made.PerFrameFunctionalGroupsSequence
        ]
        made.PixelData = (bits * np.array(owners, dtype=np.uint8)[:, None, None]).tobytes()
    made.save_as(tmp_path / "other.dcm")
    frame, other, _ = read_segments(tmp_path / "other.dcm")
    assert (frame, other.shape) == (expected, grid.shape)
    assert torch.equal(read_labels(tmp_path / "other.dcm").data, read_labels(place / "seg.dcm").data)


def test_of_overlapping_structures_the_smaller_one_shows_with_a_warning(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = pydicom.dcmread(place / "rtstruct.dcm")
    square = [[-2.9, -2.9], [2.9, -2.9], [2.9, 2.9], [-2.9, 2.9]]
    heights = [100.0 + 3.0 * number for number in (6, 7, 8)]
    _add_structure(made, 9, [[value for x, y in square for value in (x - 9.0, y + 10.0, z)] for z in heights])
    made.save_as(tmp_path / "overlap.dcm")
    with caplog.at_level(logging.WARNING):
        found = read_labels(tmp_path / "overlap.dcm", grid=GRID)
    assert int((found.data == 9).sum()) == 3 * 3 * 4
    assert "belong to several structures; the smaller one shows" in caplog.text


def _add_structure(made: Dataset, number: int, contours: list[list[float]], kind: str = "CLOSED_PLANAR") -> None:
    region, drawn = Dataset(), Dataset()
    region.ROINumber, region.ROIName, drawn.ReferencedROINumber = number, f"added {number}", number
    items = []
    for numbers in contours:
        item = Dataset()
        item.ContourGeometricType, item.ContourData = kind, numbers
        items.append(item)
    drawn.ContourSequence = Sequence(items)
    made.StructureSetROISequence.append(region)
    made.ROIContourSequence.append(drawn)


def test_contours_on_every_second_slice_fill_the_slices_between(place: Path, tmp_path: Path) -> None:
    made = pydicom.dcmread(place / "rtstruct.dcm")
    square = [(-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0)]
    _add_structure(made, 9, [[v for x, y in square for v in (x, y, 100.0 + 6.0 * n)] for n in (1, 2, 3)])
    made.save_as(tmp_path / "sparse.dcm")
    found = read_labels(tmp_path / "sparse.dcm", grid=GRID)
    shown = (found.data == 9).any(dim=2).any(dim=1).nonzero().flatten().tolist()
    assert shown == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([0, 0, 100, 5, 0, 100, 5, 5, 104, 0, 5, 100], "has contours that lie in no common stack of planes"),
        ([0, 0, 100, 5, 0, 100, 5, 5], "need three for each point"),
    ],
)
def test_contours_that_are_no_planar_polygons_are_refused_by_name(
    numbers: list[float], said: str, place: Path, tmp_path: Path
) -> None:
    made = pydicom.dcmread(place / "rtstruct.dcm")
    _add_structure(made, 9, [numbers])
    made.save_as(tmp_path / "bad.dcm")
    with pytest.raises((FileError, GeometryError), match=rf"bad\.dcm: .*{said}"):
        read_contours(tmp_path / "bad.dcm")


def test_structures_of_points_alone_are_left_out_or_refused(place: Path, tmp_path: Path) -> None:
    made = pydicom.dcmread(place / "rtstruct.dcm")
    _add_structure(made, 9, [[0.0, 0.0, 100.0]], kind="POINT")
    made.save_as(tmp_path / "points.dcm")
    assert [structure.number for structure in read_contours(tmp_path / "points.dcm")[1]] == [1, 2]
    made.ROIContourSequence = made.ROIContourSequence[2:]
    made.save_as(tmp_path / "only.dcm")
    with pytest.raises(InputError, match=r"only\.dcm: holds no structure with filled contours"):
        read_contours(tmp_path / "only.dcm")


def test_a_label_map_does_not_guess_what_a_dicom_output_is_to_be(place: Path) -> None:
    with pytest.raises(UnspecifiedError, match=r"x\.dcm: a SEG and an RTSTRUCT are called so") as refused:
        carry(place, "labels.nii.gz", "x.dcm")
    assert refused.value.what == "object"


def test_structures_go_onto_the_slices_of_a_dicom_series_alone(place: Path) -> None:
    settings = ApplySettings(reference=place / "labels.nii.gz")
    with pytest.raises(FileError, match=r"labels\.nii\.gz: is no DICOM series .* give the DICOM folder"):
        apply_files(place / "identity.h5", (place / "seg.dcm",), place / "y.dcm", settings=settings)
    with pytest.raises(GeometryError, match="leave --spacing out"):
        carry(place, "seg.dcm", "y.dcm", spacing_mm=(1.5,))
    assert not (place / "y.dcm").exists()


def test_a_structure_that_comes_to_lie_outside_is_named_as_lost(place: Path, tmp_path: Path) -> None:
    shift = Affine.from_parts(torch.eye(3).double(), torch.tensor([50.0, 0.0, 0.0]).double())
    write_transform_file(shift, tmp_path / "far.h5", spaces=Spaces())
    (record,) = apply_files(
        tmp_path / "far.h5",
        (place / "rtstruct.dcm",),
        tmp_path / "far.dcm",
        settings=ApplySettings(reference=place / "ct"),
    )
    assert record.lost_labels == (2,)
    assert "ContourSequence" not in pydicom.dcmread(tmp_path / "far.dcm").ROIContourSequence[1]


def dose_file(path: Path, grid: Grid) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 60000, grid.shape).astype(np.uint16)
    made = dataset(path, values.astype(np.int16), storage="1.2.840.10008.5.1.4.1.1.481.2", series=uid(5, 2))
    made.Modality, made.NumberOfFrames, made.PixelRepresentation = "RTDOSE", grid.shape[0], 0
    made.PixelData = values.tobytes()
    made.ImagePositionPatient, made.ImageOrientationPatient = grid.origin_mm.tolist(), [1, 0, 0, 0, 1, 0]
    made.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[2]]
    made.GridFrameOffsetVector = [grid.spacing_mm[0] * n for n in range(grid.shape[0])]
    made.DoseGridScaling, made.DoseUnits, made.DoseType, made.DoseSummationType = "0.001", "GY", "PHYSICAL", "BEAM"
    made.FrameOfReferenceUID = uid(1, 9)
    made.save_as(path, enforce_file_format=True)
    return values * 0.001


def test_a_dose_is_read_and_carried_on_its_own_grid(place: Path) -> None:
    grid = axis_aligned_grid((10, 14, 16), (5.0, 4.0, 4.0), (-30.0, -26.0, 98.0))
    expected = dose_file(place / "dose.dcm", grid)
    found = read_dose(place / "dose.dcm")
    assert found.grid.is_close(grid)
    np.testing.assert_allclose(found.data[0].numpy(), expected, rtol=1e-6)
    moved = read_dose(carry(place, "dose.dcm", "moved_dose.dcm", through="there"))
    assert moved.grid.spacing_mm == pytest.approx(grid.spacing_mm)
    expected_there = resample_volume(found, BENT, moved.grid)
    torch.testing.assert_close(moved.data, expected_there.data, atol=1e-3, rtol=0)
    made = pydicom.dcmread(place / "moved_dose.dcm")
    assert (made.DoseUnits, made.DoseSummationType, made.FrameOfReferenceUID) == ("GY", "BEAM", uid(1, 9))
    assert [line for line in complaints(place / "moved_dose.dcm") if "ReferencedRTPlan" not in line] == []


def test_a_dose_through_the_identity_keeps_its_numbers(place: Path, tmp_path: Path) -> None:
    expected = dose_file(place / "dose2.dcm", GRID)
    found = read_dose(carry(place, "dose2.dcm", tmp_path / "d.dcm"))
    assert found.grid.is_close(GRID)
    # Positions are within 1e-3 voxel, and neighbours differ by up to 60 Gy here.
    np.testing.assert_allclose(found.data[0].numpy(), expected, rtol=0, atol=0.06)
    with pytest.raises(UsageError, match="is a dose, which no SEG can hold"):
        carry(place, "dose2.dcm", tmp_path / "e.dcm", to="seg")


@pytest.mark.parametrize("name", ["seg.dcm", "rtstruct.dcm", "dose.dcm"])
def test_a_truncated_object_is_refused_by_name(name: str, place: Path, tmp_path: Path) -> None:
    if name == "dose.dcm":
        dose_file(place / name, GRID)
    content = (place / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    reader = {"seg.dcm": read_segments, "rtstruct.dcm": read_contours, "dose.dcm": read_dose}[name]
    with pytest.raises(InputError, match=name):
        reader(tmp_path / name)


def test_the_border_of_a_level_is_where_it_was_drawn() -> None:
    angles = np.linspace(0.0, 2.0 * np.pi, 90, endpoint=False)
    circle = np.stack([20.3 + 9.0 * np.cos(angles), 18.7 + 9.0 * np.sin(angles)], axis=1)
    hole = np.stack([20.3 + 3.0 * np.cos(angles), 18.7 + 3.0 * np.sin(angles)], axis=1)
    rows, columns = np.arange(40.0), np.arange(42.0)
    level = signed_distance([circle, hole], rows, columns)
    (found,) = borders(level.astype(np.float32))
    away = np.linalg.norm(found - [20.3, 18.7], axis=1)
    assert np.minimum(np.abs(away - 9.0), np.abs(away - 3.0)).max() < 0.1
    assert (inside([found], rows, columns) == (level > 0.0)).mean() > 0.999
