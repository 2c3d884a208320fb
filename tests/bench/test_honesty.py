"""What a comparison must not hide: failures, numbers that are none, names that break files and pages."""

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import torch

from samereg.bench import job
from samereg.bench.benchmark import BenchSettings, run_benchmark
from samereg.bench.dataset import checked
from samereg.bench.landmarks import read_landmarks
from samereg.bench.learn2reg import challenge_scores
from samereg.bench.methods import find_methods
from samereg.bench.phantom_dataset import PhantomProtocol, make_phantom_dataset
from samereg.bench.read_learn2reg import read_learn2reg
from samereg.bench.read_manifest import read_manifest
from samereg.bench.record import read_records
from samereg.bench.scores import score_labels
from samereg.bench.statistics import compare
from samereg.bench.table import Entry, Table, to_html, to_latex, to_markdown
from samereg.bench.worker import MethodResult, Worker
from samereg.errors import FileError, InputError, MissingPackageError, TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.displacement import Displacement
from samereg.geometry.volume import LabelMap
from samereg.io.images import read_volume

SETTINGS = BenchSettings(device="cpu", threads=1)
IDENTITY = find_methods(("identity",))
OURS = {str(n): 0.80 + 0.01 * n for n in range(8)}


def test_our_own_failure_counts_against_us_as_the_others_do_against_them():
    theirs = {pair: score - 0.05 for pair, score in OURS.items()}
    found = compare({**OURS, "0": None, "1": None}, {"other": {**theirs, "1": None, "2": None}})["other"]
    assert (found.pairs, found.failed, found.own_failed) == (5, 1, 1)
    assert (found.wins, found.losses) == (6, 1)


def test_a_transform_that_gives_nan_has_no_scores(small_dataset):
    case = small_dataset.cases[0]
    fixed = read_volume(case.fixed.image)
    data = torch.zeros(3, *fixed.grid.shape)
    data[:, 20:30, 15:25, 20:30] = float("nan")
    broken = Displacement(grid=fixed.grid, data=data)
    with pytest.raises(TransformError, match=r"one__two.*NaN"):
        job.score_case(case, small_dataset, broken, None, fixed)


def test_a_method_that_moves_every_structure_out_of_view_has_failed(small_dataset, tmp_path, monkeypatch):
    away = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([9e3, 0.0, 0.0], dtype=torch.float64))
    monkeypatch.setattr(
        job, "_register", lambda *_args: MethodResult(transform=away, inverse=away.inverse(), seconds=0.0)
    )
    case = small_dataset.cases[0]
    work = job.Job(
        method=IDENTITY[0],
        described=job.Description(),
        case=case,
        dataset=replace(small_dataset, cases=()),
        run=tmp_path,
        key="",
    )
    work.perform(Worker(device=torch.device("cpu"), networks=None))
    (record,) = read_records(tmp_path)
    assert record.status == "failed"
    assert "no structure of the fixed scan is mapped" in record.reason


def test_a_structure_too_small_to_score_is_not_blamed_on_the_method(small_ct, small_dataset):
    data = torch.zeros(small_ct.grid.shape, dtype=torch.int64)
    data[10:12, 10:12, 10:12] = 1
    labels = LabelMap(data=data, grid=small_ct.grid)
    (score,) = score_labels(labels, labels, Affine.identity(), structures=small_dataset)
    assert (score.state, score.dice) == ("too small", None)


def test_a_mean_over_no_label_is_none_and_not_zero(small_ct):
    empty = LabelMap(data=torch.zeros(small_ct.grid.shape, dtype=torch.int64), grid=small_ct.grid)
    assert challenge_scores(empty, empty, Affine.identity()).dice is None


def test_a_renamed_structure_is_scored_anew(small_dataset, tmp_path):
    pytest.importorskip("matplotlib")
    one = replace(small_dataset, cases=small_dataset.cases[:1])
    run_benchmark(one, IDENTITY, tmp_path, settings=SETTINGS)
    trunk = replace(one.structure(1), group="chest")
    renamed = replace(one, structures={**one.structures, 1: trunk})
    assert run_benchmark(renamed, IDENTITY, tmp_path, settings=SETTINGS).new == 1
    (record,) = read_records(tmp_path)
    assert record.scores.labels[0].group == "chest"


@pytest.mark.parametrize("tables_only", [False, True])
def test_a_missing_package_is_named_before_anything_is_registered(small_dataset, tmp_path, monkeypatch, tables_only):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'samereg\[pictures\]'"):
        run_benchmark(small_dataset, IDENTITY, tmp_path / "run", settings=replace(SETTINGS, tables_only=tables_only))
    assert not (tmp_path / "run").exists()


def test_folders_that_cannot_be_are_named_before_anything_is_registered(small_dataset, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "taken").touch()
    with pytest.raises(FileError, match="taken is a file"):
        run_benchmark(small_dataset, IDENTITY, tmp_path / "taken" / "run", settings=SETTINGS)
    with pytest.raises(FileError, match="nowhere: is not a folder; need a folder of trained networks"):
        run_benchmark(small_dataset, IDENTITY, tmp_path, settings=replace(SETTINGS, networks=tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\\b", "line\nbreak"])
def test_names_that_no_file_can_have_are_refused(small_dataset, tmp_path, name):
    case = small_dataset.cases[0]
    for bad in (replace(case, task=name), replace(case, fixed=replace(case.fixed, name=name))):
        with pytest.raises(InputError, match="which is used for file names"):
            checked(replace(small_dataset, cases=(bad,)), tmp_path)


def test_what_would_write_over_each_other_is_refused(small_dataset, tmp_path):
    case = small_dataset.cases[0]
    with pytest.raises(InputError, match="lists twice the pair 'one__two of near'"):
        checked(replace(small_dataset, cases=(case, case)), tmp_path)
    other = replace(case.moving, image=case.fixed.image)
    with pytest.raises(InputError, match="two scans named 'two'"):
        checked(replace(small_dataset, cases=(case, replace(case, task="far", moving=other))), tmp_path)


def test_a_manifest_that_names_a_scan_or_a_label_twice_is_refused(small_folder, tmp_path):
    for name in ("manifest.csv", "labels.csv", "pairs.csv"):
        (tmp_path / name).write_text((small_folder / name).read_text())
    (tmp_path / "manifest.csv").write_text("id,image\na,a.nii.gz\na,b.nii.gz\n")
    with pytest.raises(InputError, match="line 3 names the scan 'a' again"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("id,image\na,\n")
    with pytest.raises(InputError, match="line 2 has no id or no image"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text((small_folder / "manifest.csv").read_text())
    (tmp_path / "labels.csv").write_text("value,name\n1,a\n1,b\n")
    with pytest.raises(InputError, match="label value 1 twice"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "is not an object"),
        ('{"registration_val": [["a", "b"]]}', "need its fixed and its moving image"),
        ('{"registration_val": [{"fixed": "a"}]}', "need its fixed and its moving image"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_a_damaged_list_of_learn2reg_is_an_error_with_a_sentence(tmp_path, text, words):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_learn2reg(tmp_path)


def test_landmarks_without_a_common_name_are_refused(small_dataset, tmp_path):
    scan = small_dataset.cases[0].fixed
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"name,x,y,z\n{name},1,2,3\n")
    with pytest.raises(InputError, match=r"b\.csv: has no landmark name in common with .*a\.csv"):
        read_landmarks((tmp_path / "a.csv", scan), (tmp_path / "b.csv", scan))


def test_synthetic_scans_of_another_protocol_are_not_taken_for_these(tmp_path):
    (tmp_path / "phantom").mkdir()
    (tmp_path / "phantom" / "cohort.json").write_text(json.dumps({"subjects": 2}))
    with pytest.raises(FileError, match="contains scans of another protocol"):
        make_phantom_dataset(tmp_path / "phantom", PhantomProtocol(subjects=2, spacing_mm=8.0, shape=(48, 36, 52)))


class Page(HTMLParser):
    """Tags, ids and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.addresses = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids |= {value for name, value in attrs if name == "id"}
        self.addresses += [value for name, value in attrs if name in {"href", "src"}]


def test_names_with_markup_spaces_and_dollars_break_no_page_and_no_link(small_dataset, tmp_path):
    pytest.importorskip("matplotlib")
    case = small_dataset.cases[0]
    odd = '<script>alert(1)<img src=x> "q" & 50% #1 $a$ |肺|'
    names = (replace(case.fixed, name=odd), replace(case.moving, name="b'(c)"))
    cases = [replace(case, task=task, fixed=names[0], moving=names[1]) for task in ("set A <b>$x_$", "set a <b>$x_$")]
    dataset = replace(small_dataset, name="<script>alert(2)", cases=tuple(cases))
    result = run_benchmark(dataset, IDENTITY, tmp_path, settings=SETTINGS)
    assert (result.new, result.failed) == (2, 0)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "b"} & set(page.tags)
    assert page.tags.count("img") == len(list((tmp_path / "figures").glob("*.png")))
    assert len([each for each in page.ids if each.startswith("identity-")]) == 2
    for address in page.addresses:
        assert address[1:] in page.ids if address.startswith("#") else (tmp_path / unquote(address)).is_file(), address
    markdown = (tmp_path / "tables" / "pairs.md").read_text(encoding="utf-8")
    assert "<script" not in markdown
    for link in re.findall(r"\]\(\.\./([^)]*)\)", markdown):
        assert (tmp_path / unquote(link)).is_file()


def test_a_reason_of_several_lines_stays_in_its_row():
    table = Table(title="t", header=("a", "b"), rows=((Entry(text="x"), Entry(text="first\nsecond | third")),))
    assert [line for line in to_markdown(table).splitlines() if line.startswith("| x")] == [
        "| x | first second \\| third |"
    ]
    assert "first second" in to_latex(table)
    assert "<td>first" in to_html(table)


def test_latex_gets_no_character_that_it_takes_for_a_command():
    table = Table(title="t", header=("a",), rows=((Entry(text="\\x{y}_^~$%&#<>"),),))
    assert r"\textbackslash{}x\{y\}\_\textasciicircum{}\textasciitilde{}\$\%\&\#$<$$>$" in to_latex(table)
