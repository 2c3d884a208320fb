"""DICOM registration objects: what is written, which way round they are read, and what is refused."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian

from clinical_series import HELD, uid, write_clinical
from laws import GRIDS, points_inside, rotation, smooth_displacement
from samereg.app.inspection import inspect_file
from samereg.app.spaces import read_spaces
from samereg.app.transforms import Formats, convert_file
from samereg.errors import FileError, TransformError, UnspecifiedError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain, chain_all
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, axis_aligned_grid, padded
from samereg.geometry.transform import Transform
from samereg.io.transform_files import read_transform_file, recognise_transform, write_transform_file
from samereg.io.transform_formats.one_grid import BOUND_MM, as_one_grid
from samereg.io.transform_formats.spaces import Spaces

GRID = axis_aligned_grid((8, 10, 12), (6.0, 5.0, 5.0), (-30.0, -25.0, 100.0))
TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 6.0), torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))
BENT = chain(smooth_displacement(padded(GRID, (2, 2, 2), (2, 2, 2)), amplitude_mm=4.0), TURN)
POINTS = points_inside(GRID, 300, margin_vox=0.01)
NOWHERE = Spaces()

both_kinds = pytest.mark.parametrize("transform", [TURN, BENT], ids=["spatial", "deformable"])


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> Spaces:
    place = tmp_path_factory.mktemp("studies")
    return read_spaces(*(write_clinical(place / str(number), GRID, number=number) for number in (1, 2)))


@pytest.fixture(scope="module")
def one_frame(tmp_path_factory: pytest.TempPathFactory) -> Spaces:
    """Two series in one frame of reference."""
    place = tmp_path_factory.mktemp("phases")
    return read_spaces(*(write_clinical(place / str(number), GRID, number=number, frame=1) for number in (1, 2)))


def write(transform: Transform, path: Path, spaces: Spaces) -> Path:
    write_transform_file(transform, path, spaces=spaces)
    return path


def assert_moves(found: Transform, expected: Transform, points: torch.Tensor = POINTS, *, within: float = 1e-4) -> None:
    assert float((found.apply(points) - expected.apply(points)).norm(dim=1).max()) < within


def test_a_series_knows_its_study_and_frame_of_reference(spaces: Spaces) -> None:
    source = spaces.fixed_source
    assert (source.study_uid, source.series_uid, source.frame_of_reference_uid) == (uid(1, 1), uid(1, 2), uid(1, 9))
    assert source.dicom.instance_uids == tuple(uid(1, 3, number) for number in range(1, 9))


def test_a_source_that_is_printed_names_no_patient(spaces: Spaces) -> None:
    assert not [value for value in HELD.values() if value in repr(spaces)]


@both_kinds
def test_a_registration_moves_points_as_what_was_written(transform: Transform, spaces: Spaces, tmp_path: Path) -> None:
    path = write(transform, tmp_path / "registration.dcm", spaces)
    assert recognise_transform(path).format == "dicom"
    assert_moves(read_transform_file(path, spaces=spaces), transform)
    assert_moves(read_transform_file(path, spaces=NOWHERE), transform)


@both_kinds
def test_between_exchanged_scans_the_map_is_the_inverse(transform: Transform, spaces: Spaces, tmp_path: Path) -> None:
    path = write(transform, tmp_path / "registration.dcm", spaces)
    back = read_transform_file(path, spaces=spaces.turned())
    assert_moves(chain(transform, back), Affine.identity(), within=0.05)
    only_fixed = Spaces(fixed=spaces.moving, fixed_source=spaces.moving_source)
    assert_moves(read_transform_file(path, spaces=only_fixed), back)
    only_moving = Spaces(moving=spaces.fixed, moving_source=spaces.fixed_source)
    assert_moves(read_transform_file(path, spaces=only_moving), back)


@both_kinds
def test_scans_of_one_frame_of_reference_are_told_apart_by_their_images(
    transform: Transform, one_frame: Spaces, tmp_path: Path
) -> None:
    path = write(transform, tmp_path / "registration.dcm", one_frame)
    assert_moves(read_transform_file(path, spaces=one_frame), transform)
    back = read_transform_file(path, spaces=one_frame.turned())
    assert_moves(chain(transform, back), Affine.identity(), within=0.05)


@both_kinds
def test_a_registration_names_frames_series_and_patient_of_its_scans(
    transform: Transform, spaces: Spaces, tmp_path: Path
) -> None:
    made = pydicom.dcmread(write(transform, tmp_path / "registration.dcm", spaces))
    assert made.FrameOfReferenceUID == uid(1, 9)
    assert {name: str(made[name].value) for name in HELD} == HELD
    assert (made.StudyInstanceUID, made.Modality) == (uid(1, 1), "REG")
    assert made.SeriesInstanceUID not in (uid(1, 2), uid(2, 2))
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == uid(1, 2)
    other = made.StudiesContainingOtherReferencedInstancesSequence[0]
    assert other.StudyInstanceUID == uid(2, 1)
    assert len(other.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == GRID.shape[0]
    frames = [item.SourceFrameOfReferenceUID for item in made.get("DeformableRegistrationSequence", [])]
    frames += [item.FrameOfReferenceUID for item in made.get("RegistrationSequence", [])]
    assert frames == ([uid(1, 9), uid(2, 9)] if transform is TURN else [uid(2, 9)])


@pytest.mark.parametrize(
    ("linear", "kind"),
    [
        (rotation((1.0, 0.5, 0.0), 20.0), "RIGID"),
        (rotation((1.0, 0.5, 0.0), 20.0) @ torch.diag(torch.tensor([1.0, 1.1, 0.9]).double()), "RIGID_SCALE"),
        (torch.eye(3).double() + torch.tensor([[0, 0.1, 0], [0, 0, 0], [0, 0, 0]]).double(), "AFFINE"),
        (torch.diag(torch.tensor([-1.0, 1.0, 1.0]).double()), "AFFINE"),
    ],
)
def test_a_matrix_is_of_the_type_that_it_says(linear: torch.Tensor, kind: str, spaces: Spaces, tmp_path: Path) -> None:
    inverse = torch.linalg.inv(linear)
    write(Affine.from_parts(inverse, torch.zeros(3).double()), tmp_path / "r.dcm", spaces)
    item = pydicom.dcmread(tmp_path / "r.dcm").RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    assert item.FrameOfReferenceTransformationMatrixType == kind


@pytest.mark.parametrize("name", ["oblique", "left-handed", "RAS"])
def test_a_field_between_affine_maps_is_kept_exactly(name: str) -> None:
    field = smooth_displacement(GRIDS[name])
    transform = chain_all([TURN, field, TURN])
    found = as_one_grid(transform, Path("r.dcm"))
    assert found.largest_mm == 0.0
    assert found.field.grid.size == field.grid.size
    affine = found.field.grid.affine[:3, :3]
    assert float(torch.linalg.det(affine[:, [2, 1, 0]])) > 0.0
    points = TURN.inverse().apply(points_inside(GRIDS[name], margin_vox=0.01))
    offset = found.field.apply(points) - points
    landed = found.after.apply(found.before.apply(points) + offset)
    torch.testing.assert_close(landed, transform.apply(points), atol=1e-5, rtol=0)  # vectors in single precision


def test_a_chain_of_fields_is_sampled_within_the_bound_that_is_stated(spaces: Spaces, tmp_path: Path) -> None:
    grid = padded(GRID, (4, 4, 4), (4, 4, 4))
    steep = Displacement(grid=grid, data=smooth_displacement(grid, amplitude_mm=3.0).data.flip(3) * 0.8)
    transform = chain_all([smooth_displacement(grid, amplitude_mm=3.0), steep])
    made = pydicom.dcmread(write(transform, tmp_path / "r.dcm", spaces))
    comment = made.DeformableRegistrationSequence[0].FrameOfReferenceTransformationComment
    assert "at most" in comment
    assert float(comment.split("at most")[1].split()[0]) <= BOUND_MM
    assert_moves(read_transform_file(tmp_path / "r.dcm", spaces=spaces), transform, within=2 * BOUND_MM)


def test_converting_there_and_back_says_what_was_lost(spaces: Spaces, tmp_path: Path) -> None:
    write_transform_file(BENT, tmp_path / "t.h5", spaces=NOWHERE)
    record = convert_file(tmp_path / "t.h5", tmp_path / "r.dcm", formats=Formats(), spaces=spaces)
    assert (record.target, record.faults) == ("dicom", ())
    again = convert_file(tmp_path / "r.dcm", tmp_path / "back.h5", formats=Formats(), spaces=spaces)
    assert (again.source, again.faults) == ("dicom", ())
    assert_moves(read_transform_file(tmp_path / "back.h5", spaces=NOWHERE), BENT)


def test_inspection_knows_a_registration_object(spaces: Spaces, tmp_path: Path) -> None:
    found = inspect_file(write(BENT, tmp_path / "r.dcm", spaces), format=None, spaces=NOWHERE)
    facts = {fact.name: fact.value for fact in found.facts}
    assert facts["format"] == "dicom (a DICOM registration object)"
    assert "registered (fixed) to source (moving)" in facts["direction"]


def changed(path: Path, change: Callable[[Dataset], None]) -> Path:
    stored = pydicom.dcmread(path)
    change(stored)
    stored.save_as(path)
    return path


def as_other_systems_begin(stored: Dataset) -> None:
    """An item for the registered frame of reference first, with an identity or with nothing at all."""
    item = Dataset()
    if "RegistrationSequence" in stored:
        return
    item.SourceFrameOfReferenceUID = stored.FrameOfReferenceUID
    item.RegistrationTypeCodeSequence = Sequence([])
    stored.DeformableRegistrationSequence.insert(0, item)


def test_an_item_without_grid_for_the_registered_frame_is_the_identity(spaces: Spaces, tmp_path: Path) -> None:
    path = changed(write(BENT, tmp_path / "r.dcm", spaces), as_other_systems_begin)
    assert_moves(read_transform_file(path, spaces=spaces), BENT)
    assert_moves(read_transform_file(path, spaces=NOWHERE), BENT)


def test_absent_matrices_and_grids_are_identities(spaces: Spaces, tmp_path: Path) -> None:
    def only_the_last_matrix(stored: Dataset) -> None:
        item = stored.DeformableRegistrationSequence[0]
        del item.PreDeformationMatrixRegistrationSequence
        del item.DeformableRegistrationGridSequence

    path = changed(write(BENT, tmp_path / "r.dcm", spaces), only_the_last_matrix)
    assert_moves(read_transform_file(path, spaces=spaces), TURN)


def test_matrices_of_one_item_are_applied_in_their_order_with_a_warning(
    spaces: Spaces, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shift = Affine.from_parts(torch.eye(3).double(), torch.tensor([10.0, 0.0, 0.0]).double())

    def two(stored: Dataset) -> None:
        sequence = stored.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence
        second = Dataset()
        second.FrameOfReferenceTransformationMatrix = shift.matrix.flatten().tolist()
        second.FrameOfReferenceTransformationMatrixType = "RIGID"
        sequence.append(second)

    path = changed(write(TURN, tmp_path / "r.dcm", spaces), two)
    with caplog.at_level(logging.WARNING):
        found = read_transform_file(path, spaces=spaces)
    assert_moves(found.inverse(), chain(TURN.inverse(), shift))
    assert "other programs multiply them in the other order" in caplog.text


def test_undefined_vectors_take_the_nearest_defined_one(
    spaces: Spaces, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def undefine(stored: Dataset) -> None:
        grid = stored.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0]
        columns, rows, planes = grid.GridDimensions
        vectors = np.frombuffer(grid.VectorGridData, "<f4").reshape(planes, rows, columns, 3).copy()
        vectors[0] = np.nan
        grid.VectorGridData = vectors.tobytes()

    path = changed(write(BENT, tmp_path / "r.dcm", spaces), undefine)
    with caplog.at_level(logging.WARNING):
        assert_moves(read_transform_file(path, spaces=spaces), BENT)
    assert "vectors undefined; there the nearest defined one is taken" in caplog.text


def test_big_endian_vectors_are_read_in_their_order(spaces: Spaces, tmp_path: Path) -> None:
    stored = pydicom.dcmread(write(BENT, tmp_path / "r.dcm", spaces))
    grid = stored.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0]
    grid.VectorGridData = np.frombuffer(grid.VectorGridData, "<f4").astype(">f4").tobytes()
    stored.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "b.dcm", stored, implicit_vr=False, little_endian=False, force_encoding=True)
    assert_moves(read_transform_file(tmp_path / "b.dcm", spaces=spaces), BENT)


@pytest.mark.parametrize(
    ("transform", "change", "said"),
    [
        (TURN, lambda made: delattr(made, "RegistrationSequence"), "is no registration object"),
        (TURN, lambda made: _set_matrix(made, [1.0] * 16), "last row is 1 1 1 1"),
        (TURN, lambda made: _set_matrix(made, [1.0] * 12), "cannot be read as a DICOM registration"),
        (TURN, lambda made: _set_matrix(made, [*[0.0] * 15, 1.0]), "has no inverse"),
        (BENT, lambda made: _set_grid(made, "VectorGridData", b"1234" * 9), "bytes of vectors"),
        (BENT, lambda made: _set_grid(made, "GridResolution", [1.0, 1.0, 0.0]), "impossible grid"),
        (BENT, lambda made: _set_grid(made, "ImageOrientationPatient", None), "cannot be read as a DICOM registration"),
    ],
)
def test_a_damaged_registration_is_refused_by_name(
    transform: Transform, change: Callable[[Dataset], None], said: str, spaces: Spaces, tmp_path: Path
) -> None:
    path = changed(write(transform, tmp_path / "r.dcm", spaces), change)
    with pytest.raises((FileError, TransformError), match=rf"r\.dcm: .*{said}"):
        read_transform_file(path, format="dicom", spaces=spaces)


def _set_matrix(made: Dataset, numbers: list[float]) -> None:
    item = made.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    item.FrameOfReferenceTransformationMatrix = numbers


def _set_grid(made: Dataset, name: str, value: object) -> None:
    setattr(made.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0], name, value)


def test_a_registration_of_other_scans_is_refused_with_their_frames(spaces: Spaces, tmp_path: Path) -> None:
    path = write(TURN, tmp_path / "r.dcm", spaces)
    strange = replace(spaces.fixed_source, frame_of_reference_uid="1.2.3", dicom=None)
    with pytest.raises(TransformError, match=rf"between the frames of reference {uid(1, 9)}.*is in 1\.2\.3: need"):
        read_transform_file(path, spaces=replace(spaces, fixed_source=strange))


def test_of_several_frames_of_reference_the_scans_have_to_say_which(spaces: Spaces, tmp_path: Path) -> None:
    def another(stored: Dataset) -> None:
        item = pydicom.Dataset.from_json(stored.RegistrationSequence[1].to_json())
        item.FrameOfReferenceUID = "1.2.3"
        del item.ReferencedImageSequence
        stored.RegistrationSequence.append(item)

    path = changed(write(TURN, tmp_path / "r.dcm", spaces), another)
    assert_moves(read_transform_file(path, spaces=spaces), TURN)
    with pytest.raises(UnspecifiedError, match=r"registers 2 frames of reference \(.*1\.2\.3\)") as refused:
        read_transform_file(path, spaces=NOWHERE)
    assert refused.value.what == "moving"


def test_scans_that_are_no_dicom_are_refused_before_a_registration_is_written(spaces: Spaces, tmp_path: Path) -> None:
    with pytest.raises(UnspecifiedError, match="names both scans; the fixed one is not told"):
        write(TURN, tmp_path / "r.dcm", NOWHERE)
    plain = replace(spaces.moving_source, dicom=None, frame_of_reference_uid=None, label="scan.nii.gz")
    with pytest.raises(TransformError, match=r"scan\.nii\.gz is none: give its DICOM folder"):
        write(TURN, tmp_path / "r.dcm", replace(spaces, moving_source=plain))
    frameless = replace(spaces.moving_source, frame_of_reference_uid=None)
    with pytest.raises(TransformError, match="has no FrameOfReferenceUID"):
        write(TURN, tmp_path / "r.dcm", replace(spaces, moving_source=frameless))
    assert list(tmp_path.iterdir()) == []


def test_a_ct_slice_is_no_registration(spaces: Spaces) -> None:
    with pytest.raises(FileError, match=r"has an unknown transform format; need .*dicom: Spatial Registration"):
        recognise_transform(sorted(Path(str(spaces.fixed_source.path)).iterdir())[0])


def test_sampling_a_field_on_a_lattice_that_an_affine_map_makes_oblique_stays_within_the_bound() -> None:
    squeeze = Affine.from_parts(
        torch.tensor([[1.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.05, 1.0]], dtype=torch.float64), TURN.translation_mm
    )
    field = smooth_displacement(Grid(shape=GRID.shape, affine=GRID.affine))
    found = as_one_grid(chain(squeeze, field), Path("r.dcm"))
    assert found.field.grid.is_orthonormal
    assert 0.0 < found.largest_mm <= BOUND_MM
