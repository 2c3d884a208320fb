"""What writers do when the disk is full: a sentence, and nothing left."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from samereg.app.record import write_json
from samereg.bench.pictures import save
from samereg.errors import FileError
from samereg.geometry.affine import Affine
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.channels import ChannelImage, write_channels
from samereg.io.images import write_labels, write_volume
from samereg.io.itk_files import save_image, save_transform
from samereg.io.point_files import POINT_FORMATS
from samereg.io.point_formats.points import MovedPoints
from samereg.io.points import write_table_csv
from samereg.io.transform_files import write_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.training.checkpoint import Checkpoint, write_checkpoint
from samereg.weights.files import write_stored

GRID = axis_aligned_grid((40, 56, 64), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
NOISE = torch.randn((3, *GRID.shape), generator=torch.Generator().manual_seed(0))
POINTS = MovedPoints(
    points_mm=torch.randn((9000, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64),
    outside=torch.zeros(9000, dtype=torch.bool),
    columns={},
)
FIELD = Displacement(grid=GRID, data=NOISE)
SPACES = Spaces(fixed=GRID, moving=GRID)


def channels(path: Path) -> None:
    image = ChannelImage(array=NOISE.numpy(), grid=GRID, layout="vectors")
    write_channels(image, path, like=path)


def picture(path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    axes.imshow(np.random.default_rng(0).random((900, 900)), interpolation="nearest")
    save(figure, path)


def stored(path: Path) -> None:
    write_stored(torch.nn.Linear(300, 300), path, header={})


def checkpoint(path: Path) -> None:
    write_checkpoint(Checkpoint(step=1, settings={}, tensors={"a": NOISE}), path.parent)


WRITERS: dict[str, Callable[[Path], object]] = {
    **{
        f"volume{suffix}": lambda path: write_volume(Volume(data=NOISE[:1], grid=GRID, stored_dtype="float32"), path)
        for suffix in (".nii", ".nii.gz", ".nrrd", ".mha")
    },
    "labels.nii": lambda path: write_labels(
        LabelMap(data=(NOISE[0] * 9).long(), grid=GRID, stored_dtype="int32"), path
    ),
    **{f"channels{suffix}": channels for suffix in (".nii", ".nii.gz", ".nrrd", ".mha")},
    **{
        f"field{suffix}": lambda path: write_transform_file(FIELD, path, spaces=SPACES)
        for suffix in (".h5", ".tfm", ".nii", ".nii.gz", ".nrrd", ".mha", ".npz")
    },
    "greedy.nii.gz": lambda path: write_transform_file(FIELD, path, format="greedy", spaces=SPACES),
    "niftyreg.nii.gz": lambda path: write_transform_file(FIELD, path, format="niftyreg", spaces=SPACES),
    "elastix.txt": lambda path: write_transform_file(FIELD, path, format="elastix", spaces=SPACES),
    "ants": lambda path: write_transform_file(FIELD, path, format="ants", spaces=SPACES),
    "points.csv": lambda path: POINT_FORMATS["csv"].write(POINTS, path, None, None),
    "points.fcsv": lambda path: POINT_FORMATS["fcsv"].write(POINTS, path, None, None),
    "points.mrk.json": lambda path: POINT_FORMATS["markups"].write(POINTS, path, None, None),
    "keypoints.csv": lambda path: POINT_FORMATS["learn2reg"].write(POINTS, path, None, GRID),
    "table.csv": lambda path: write_table_csv(("a",), [["x" * 50]] * 3000, path),
    "run.json": lambda path: write_json(["x" * 50] * 3000, path),
    "figure": picture,
    "weights.safetensors": stored,
    "checkpoint.safetensors": checkpoint,
}
SMALL_WRITERS: dict[str, Callable[[Path], object]] = {
    f"affine{suffix}": lambda path: write_transform_file(Affine.identity(), path, format="itk", spaces=SPACES)
    for suffix in (".h5", ".tfm", ".mat", ".txt")
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_said_and_nothing_is_left(name: str, tmpfs: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        WRITERS[name](tmpfs / name)
    assert list(tmpfs.iterdir()) == []


@pytest.mark.parametrize("name", [*SMALL_WRITERS, "small.mha", "small.nrrd"])
def test_a_disk_without_a_single_free_block_is_noticed(name: str, tmpfs: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (tmpfs / "filling").write_bytes(b"0" * 2**17)
    volume = Volume(data=NOISE[:1, :4, :4, :4], grid=axis_aligned_grid((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    write = SMALL_WRITERS.get(name, lambda path: write_volume(volume, path))
    with pytest.raises(FileError, match="cannot be written"):
        write(tmpfs / name)
    assert [path.name for path in tmpfs.iterdir()] == ["filling"]


def limit_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, 2**15))


def test_a_limit_on_the_size_of_files_is_said_for_every_format(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom io_full_disk import WRITERS\nfrom samereg.errors import FileError\n"
        "for name, write in WRITERS.items():\n"
        "    try:\n        write(Path(sys.argv[1]) / name)\n        print('written', name)\n"
        "    except FileError as error:\n"
        "        print('refused' if 'cannot be written' in str(error) else error, name)\n"
    )
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "io_full_disk.py").symlink_to(__file__)
    out = tmp_path / "out"
    out.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", program, str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path / "code"), *filter(None, sys.path)))},
        preexec_fn=limit_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.splitlines() == [f"refused {name}" for name in WRITERS], ended.stderr
    assert ended.returncode == 0
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("cut", [0, 100, 5000, -1])
def test_an_image_that_was_not_written_whole_is_noticed(
    suffix: str, cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = sitk.WriteImage

    def cut_short(image: sitk.Image, name: str, **options: bool) -> None:
        write(image, name, **options)
        size = Path(name).stat().st_size
        os.truncate(name, cut if cut >= 0 else size + cut)

    monkeypatch.setattr(sitk, "WriteImage", cut_short)
    image = sitk.GetImageFromArray(NOISE[0].numpy())
    with pytest.raises(FileError, match=r"moved.*cannot be written completely"):
        save_image(image, tmp_path / f"a{suffix}", name=Path("moved"))


@pytest.mark.parametrize("suffix", [".tfm", ".txt"])
@pytest.mark.parametrize("cut", [0, 60, -1])
def test_a_transform_that_was_not_written_whole_is_noticed(
    suffix: str, cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = sitk.WriteTransform

    def cut_short(transform: sitk.Transform, name: str) -> None:
        write(transform, name)
        size = Path(name).stat().st_size
        os.truncate(name, cut if cut >= 0 else size + cut)

    monkeypatch.setattr(sitk, "WriteTransform", cut_short)
    with pytest.raises(FileError, match=r"start.*cannot be written"):
        save_transform(sitk.AffineTransform(3), tmp_path / f"a{suffix}", name=Path("start"))
