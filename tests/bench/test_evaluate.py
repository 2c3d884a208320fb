import json
from dataclasses import replace

import pytest
import torch

from bench.small_dataset import SHIFTS_MM
from samereg.bench.dataset import Case, Scan
from samereg.bench.evaluate import evaluate_dataset, write_evaluation
from samereg.bench.evaluation_table import evaluation_table
from samereg.bench.find_transforms import find_transform, find_transforms, read_found
from samereg.cli.main import main
from samereg.errors import FileError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import voxel_centres_mm
from samereg.io.images import read_grid
from samereg.io.transform_files import write_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transforms import write_transform


@pytest.fixture(scope="module")
def results(tmp_path_factory, small_dataset):
    """The right answer for every pair, in both places and in two formats."""
    folder = tmp_path_factory.mktemp("results")
    for number, case in enumerate(small_dataset.cases):
        here, there = (torch.tensor(SHIFTS_MM[scan.name], dtype=torch.float64) for scan in (case.fixed, case.moving))
        right = Affine.from_parts(torch.eye(3, dtype=torch.float64), there - here)
        write_transform(right, folder / (f"{case.name}.tfm" if number % 2 else f"{case.name}/transform.h5"))
    return folder


def test_the_right_transform_is_perfect_whoever_wrote_it(results, small_dataset):
    # One of each format that they were written in.
    for each in evaluate_dataset(small_dataset.only(("near",)), results):
        assert each.scores.dice == 1.0
        assert each.scores.landmarks.max_mm == pytest.approx(0.0, abs=1e-9)
        assert each.scores.field.folded_share == 0.0


@pytest.mark.filterwarnings("ignore")  # the other library's own
def test_the_challenges_figures_stand_beside_ours(results, small_dataset, tmp_path):
    pytest.importorskip("surface_distance")
    found = evaluate_dataset(small_dataset.only(("near",)), results, learn2reg_compat=True)
    header, rows = evaluation_table(found)
    assert header[-3:] == ("L2R Dice (%)", "L2R HD95 (vox)", "L2R SD log J")
    assert rows[-1][:3] == ["all", "mean of 2", "100.00"]
    write_evaluation(found, tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())[0]["challenge"]["dropped"] == []


def test_a_missing_transform_is_named_before_anything_is_scored(small_dataset, tmp_path):
    with pytest.raises(FileError, match=r"no transform for the pair one__two; need .*one__two.*one__two\.h5"):
        evaluate_dataset(small_dataset, tmp_path)


def bent(case):
    """Grids of a pair, and a field between them that is a shift, then an affine map that stretches."""
    spaces = Spaces(fixed=read_grid(case.fixed.image), moving=read_grid(case.moving.image))
    data = torch.tensor([3.0, -2.0, 5.0])[:, None, None, None].expand(3, *spaces.fixed.shape).contiguous()
    stretch = Affine.from_parts(
        torch.eye(3, dtype=torch.float64) * 1.02, torch.tensor([4.0, 1.0, -6.0], dtype=torch.float64)
    )
    return spaces, Displacement(grid=spaces.fixed, data=data), stretch


FORMATS = {
    "itk": "transform.h5",
    "field": "warp.nii.gz",
    "nifti-1006": "displacement.nii.gz",
    "ants": "out_",
    "elastix": "TransformParameters.0.txt",
    "greedy": "warp.nii.gz",
    "niftyreg": "cpp.nii.gz",
    "learn2reg": "disp.npz",
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_that_is_written_is_found_and_scored_as_what_it_is(small_dataset, tmp_path, name):
    case = small_dataset.cases[0]
    spaces, field, stretch = bent(case)
    transform = chain(field, stretch)
    folder = tmp_path / case.name
    folder.mkdir()
    write_transform_file(transform, folder / FORMATS[name], format=name, spaces=spaces)
    (folder / "notes.txt").write_text("made on a Monday\n")
    (folder / "inverse.nii.gz").write_bytes((case.fixed.image).read_bytes())
    (folder / "moved.nii.gz").write_bytes((case.fixed.image).read_bytes())
    (folder / "log.csv").write_text("a,b\n")
    given = name if name in {"greedy", "learn2reg"} else None
    found = read_found(find_transform(tmp_path, case), format=given, spaces=spaces)
    points_mm = voxel_centres_mm(spaces.fixed)[8:-8:5, 8:-8:5, 8:-8:5].reshape(-1, 3)
    # Fields hold single precision.
    torch.testing.assert_close(found.apply(points_mm), transform.apply(points_mm), atol=2e-2, rtol=0.0)


@pytest.mark.parametrize("name", ["ants", "elastix", "greedy", "niftyreg", "fsl"])
def test_affine_files_of_every_tool_are_read_by_their_format(small_dataset, tmp_path, name):
    case = small_dataset.cases[0]
    spaces, _, stretch = bent(case)
    file = {"ants": "0GenericAffine.mat", "elastix": "TransformParameters.1.txt"}.get(name, "affine.mat")
    (tmp_path / case.name).mkdir()
    write_transform_file(stretch, tmp_path / case.name / file, format=name, spaces=spaces)
    files = find_transform(tmp_path, case)
    given = name if name in {"greedy", "niftyreg", "fsl"} else None
    if given:
        with pytest.raises(UsageError, match="give the format"):
            read_found(files, format=None, spaces=spaces)
    torch.testing.assert_close(read_found(files, format=given, spaces=spaces).matrix, stretch.matrix, atol=1e-5, rtol=0)


def test_both_parts_of_ants_are_applied_the_warp_first(small_dataset, tmp_path):
    case = small_dataset.cases[0]
    spaces, field, stretch = bent(case)
    for place, prefix in ((tmp_path / "a" / case.name, ""), (tmp_path / "b", f"{case.name}_")):
        place.mkdir(parents=True)
        write_transform_file(field, place / f"{prefix}1Warp.nii.gz", format="ants", spaces=spaces)
        write_transform_file(field, place / f"{prefix}1InverseWarp.nii.gz", format="ants", spaces=spaces)
        write_transform_file(stretch, place / f"{prefix}0GenericAffine.mat", format="ants", spaces=spaces)
    for results in (tmp_path / "a", tmp_path / "b"):
        files = find_transform(results, case)
        assert [path.name.removeprefix(f"{case.name}_") for path in files] == ["1Warp.nii.gz", "0GenericAffine.mat"]
        found = read_found(files, format=None, spaces=spaces)
        point_mm = torch.zeros(1, 3, dtype=torch.float64)
        torch.testing.assert_close(found.apply(point_mm), chain(field, stretch).apply(point_mm))


def test_the_last_parameter_file_of_elastix_is_the_whole_transform(small_dataset, tmp_path):
    case = small_dataset.cases[0]
    spaces, _, stretch = bent(case)
    folder = tmp_path / case.name
    folder.mkdir()
    for name in ("TransformParameters.0.txt", "TransformParameters.1.txt", "TransformParameters.1.R2.txt"):
        write_transform_file(stretch, folder / name, format="elastix", spaces=spaces)
    assert [path.name for path in find_transform(tmp_path, case)] == ["TransformParameters.1.txt"]


@pytest.mark.parametrize(
    ("fixed", "moving", "file"),
    [
        ("one", "two", "disp_one_two.nii.gz"),
        ("AbdomenCTCT_0001_0000", "AbdomenCTCT_0002_0000", "disp_0001_0002.npz"),
        ("ThoraxCBCT_0011_0001", "ThoraxCBCT_0011_0000", "disp_0011_0001_0011_0000.nii.gz"),
    ],
)
def test_the_challenges_own_file_names_are_found(tmp_path, fixed, moving, file):
    case = Case(task="val", fixed=Scan(name=fixed, image=tmp_path), moving=Scan(name=moving, image=tmp_path))
    (tmp_path / file).touch()
    assert find_transform(tmp_path, case) == (tmp_path / file,)


def test_a_file_that_two_pairs_would_share_is_refused(tmp_path):
    one, two, three = (Scan(name=f"Thorax_0011_000{n}", image=tmp_path) for n in range(3))
    (tmp_path / "disp_0011_0011.npz").touch()
    cases = [Case(task="val", fixed=one, moving=other) for other in (two, three)]
    with pytest.raises(FileError, match=r"disp_0011_0011\.npz: matches the pairs .* and .*0002"):
        find_transforms(tmp_path, cases)


def test_several_transforms_of_a_pair_are_refused_by_name_unless_one_is_called_so(small_dataset, tmp_path):
    case = small_dataset.cases[0]
    folder = tmp_path / case.name
    folder.mkdir()
    for name in ("rigid.tfm", "syn.tfm"):
        write_transform(Affine.identity(), folder / name)
    with pytest.raises(FileError, match=r"several transforms for the pair one__two: .*rigid\.tfm, .*syn\.tfm"):
        find_transform(tmp_path, case)
    write_transform(Affine.identity(), folder / "transform.tfm")
    assert find_transform(tmp_path, case) == (folder / "transform.tfm",)
    write_transform(Affine.identity(), tmp_path / f"{case.name}.h5")
    with pytest.raises(FileError, match=r"several transforms .*one__two\.h5"):
        find_transform(tmp_path, case)


def test_a_mean_says_over_how_many_pairs_it_is(results, small_dataset):
    bare = replace(small_dataset.cases[1], fixed=replace(small_dataset.cases[1].fixed, labels=None))
    two = replace(small_dataset, cases=(small_dataset.cases[0], bare))
    header, rows = evaluation_table(evaluate_dataset(two, results))
    assert rows[-1][header.index("Dice (%)")] == "100.00 (1 of 2)"
    assert rows[-1][header.index("TRE (mm)")] == "0.00"


def test_the_synthetic_dataset_is_made_where_it_is_asked_for_and_not_among_the_results(tmp_path, capsys):
    words = ["evaluate", "--dataset", "phantom", "--results", str(tmp_path)]
    assert main(words) == 2
    assert "--scans" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said_before_anything_is_scored(small_folder, tmp_path, capsys):
    (tmp_path / "taken").touch()
    words = ["evaluate", "--dataset", str(small_folder), "--results", str(tmp_path / "nothing")]
    assert main([*words, "-o", str(tmp_path / "taken" / "scores.json")]) == 3
    assert "taken is a file" in capsys.readouterr().err


def test_the_challenges_figures_need_their_package_and_labels_before_anything_is_read(small_dataset, tmp_path):
    pytest.importorskip("surface_distance")
    bare = replace(small_dataset.cases[-1], moving=replace(small_dataset.cases[-1].moving, labels=None))
    mixed = replace(small_dataset, cases=(*small_dataset.cases[:-1], bare))
    with pytest.raises(FileError, match="has no labels"):
        evaluate_dataset(mixed, tmp_path, learn2reg_compat=True)
