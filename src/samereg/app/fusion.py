"""Labels of a scan from labelled scans of other subjects: each is registered with it, and their labels are fused."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from samereg.app.machine import prepare_machine
from samereg.app.overwriting import claimed_outputs, refuse_input
from samereg.app.progress import OnProgress
from samereg.app.scans import read_scan
from samereg.app.session import Registered, Session
from samereg.app.settings import FuseMethod, FuseSettings
from samereg.errors import InputError, NoOverlapError, QualityError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.label_fusion import agreement_with, vote
from samereg.image.resample import resample_labels, resample_volume
from samereg.io.formats import stem_of, suffix_of
from samereg.io.images import IMAGE_SUFFIXES, read_labels, write_labels, write_volume
from samereg.io.points import write_table_csv
from samereg.io.staple import staple
from samereg.io.text import Row, read_rows
from samereg.matching.points import grid_points, lattice_of
from samereg.ops.ambient import own_torch
from samereg.pipeline.pair import PreparedScan

_LOG = logging.getLogger(__name__)

WEIGHT_STRIDE_VOX = 3
"""Similarity of embeddings is measured at every third voxel of model space, 6 mm."""

SLAB_VOXELS = 1 << 22
"""Votes are counted for so many voxels at once."""

VOLUME_COLUMNS = ("label", "volume_ml", "agreement", "lowest_ml", "highest_ml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Atlas:
    """A labelled scan by path.

    Attributes:
        image: scan.
        labels: its label map.
    """

    image: Path
    labels: Path


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Voter:
    """An atlas that was registered with the target.

    Attributes:
        labels: in the space of the atlas.
        transform: target world to atlas world.
        similarity: of the embeddings on a coarse lattice of the target, -1 to 1; -1 outside the body.
    """

    labels: LabelMap
    transform: Transform
    similarity: Volume


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fused:
    """Labels on the target's grid.

    Attributes:
        labels: fused.
        agreement: share of the votes that the fused label got at every voxel, 0 to 1.
    """

    labels: LabelMap
    agreement: Volume


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelVolume:
    """One structure of the result.

    Attributes:
        label: value.
        volume_ml: of the fused label.
        agreement: mean over its voxels, 0 to 1.
        lowest_ml: smallest volume that a single atlas gives it.
        highest_ml: largest one.
    """

    label: int
    volume_ml: float
    agreement: float
    lowest_ml: float
    highest_ml: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FuseRecord:
    """What was written.

    Attributes:
        atlases: how many voted.
        left_out: atlases that did not, with the reason.
        volumes: of every structure.
        files: label map, agreement map and table.
    """

    atlases: int
    left_out: dict[str, str]
    volumes: tuple[LabelVolume, ...]
    files: tuple[Path, Path, Path]


@own_torch()
def fuse_files(
    target: Path,
    atlases: Sequence[Atlas],
    output: Path,
    *,
    settings: FuseSettings,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> FuseRecord:
    """Label a scan by atlases, and write labels, agreement and volumes.

    An atlas that has too little in common with the target, or whose registration fails its check, does not vote.

    Args:
        target: scan to label.
        atlases: labelled scans, as of `read_atlases`.
        output: label map to write; `_agreement` and `_volumes.csv` are written beside it.
        settings: everything else.
        overwrite: replace files that exist.
        on_progress: told about each atlas.

    Raises:
        UsageError: an output exists or is an input.
        InputError: a file that cannot be used.
        NoOverlapError: no atlas is left.
    """
    outputs = _outputs(output)
    for path in outputs:
        refuse_input(path, [target, *(path for atlas in atlases for path in (atlas.image, atlas.labels))])
    registration = settings.registration
    with claimed_outputs(*outputs, overwrite=overwrite):
        prepare_machine(registration.machine, seed=registration.seed)
        session = Session(device=registration.machine.device, embedding=registration.embedding)
        session.stages(registration)  # weights that do not fit are found before anything is read
        scan = session.prepare(read_scan(target))
        voters, left_out = register_atlases(session, scan, atlases, settings=settings, on_progress=on_progress)
        if not voters:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            raise NoOverlapError(f"{target}: no atlas could be registered with it ({reasons}).")
        fused = fuse(voters, scan.volume.grid, settings.method, sharpness=settings.sharpness)
        volumes = label_volumes(fused, voters)
        write_labels(fused.labels, outputs[0])
        write_volume(fused.agreement, outputs[1])
        write_table_csv(VOLUME_COLUMNS, [volume_row(each) for each in volumes], outputs[2])
    return FuseRecord(atlases=len(voters), left_out=left_out, volumes=volumes, files=outputs)


def read_atlases(manifest: Path, target: Path) -> tuple[Atlas, ...]:
    """Atlases of a table with the columns `image` and `labels`; paths are relative to it, other columns are not read.

    Raises:
        FileError: no such table, or not text.
        InputError: a column or a cell that is missing, a file that does not exist, or the target itself.
    """
    rows = read_rows(manifest).rows
    header = [cell.strip() for cell in rows[0].cells] if rows else []
    for name in ("image", "labels"):
        if name not in header:
            raise InputError(f"{manifest}: line 1 has the columns {', '.join(header)}; need '{name}' too.")
    atlases = [_atlas(manifest, row, header) for row in rows[1:]]
    if not atlases:
        raise InputError(f"{manifest}: holds no atlases; need at least one line under its header.")
    for row, atlas in zip(rows[1:], atlases, strict=True):
        if atlas.image.resolve() == target.resolve():
            raise InputError(f"{manifest}: line {row.line} names the target itself; leave the line out.")
    return tuple(atlases)


def _atlas(manifest: Path, row: Row, header: Sequence[str]) -> Atlas:
    cells = dict(zip(header, (cell.strip() for cell in row.cells), strict=False))
    paths = {}
    for name in ("image", "labels"):
        where = f"{manifest}: line {row.line}, column '{name}'"
        if not cells.get(name):
            raise InputError(f"{where}: is empty; need a path, or leave the line out.")
        paths[name] = manifest.parent / cells[name]
        if not paths[name].exists():
            raise InputError(f"{where}: names {paths[name]}, which does not exist.")
    return Atlas(image=paths["image"], labels=paths["labels"])


def register_atlases(
    session: Session,
    target: PreparedScan,
    atlases: Sequence[Atlas],
    *,
    settings: FuseSettings,
    on_progress: OnProgress | None = None,
) -> tuple[tuple[Voter, ...], dict[str, str]]:
    """Every atlas registered with the target, and why some were left out.

    Raises:
        InputError: a file that cannot be used.
    """
    voters: list[Voter] = []
    left_out: dict[str, str] = {}
    for number, atlas in enumerate(atlases):
        if on_progress is not None:
            on_progress(atlas.image.name, number, len(atlases))
        labels = read_labels(atlas.labels)
        try:
            moving = session.prepare(read_scan(atlas.image), keep=False)
            found = session.register(target, moving, settings.registration)
        except QualityError as error:
            left_out[str(atlas.image)] = str(error)
            continue
        if found.record.verdict.level == "failed":
            left_out[str(atlas.image)] = "; ".join(found.record.faults)
            continue
        voters.append(Voter(labels=labels, transform=found.transform, similarity=similarity_map(found)))
    for name, reason in left_out.items():
        _LOG.warning("%s does not vote: %s", name, reason)
    return tuple(voters), left_out


def similarity_map(found: Registered) -> Volume:
    """Cosine of the embeddings of the target and, through the transform, of the atlas, on a lattice of the target."""
    grid = found.fixed.model.grid
    stride = WEIGHT_STRIDE_VOX
    points_mm = grid_points(grid, body=found.fixed.body, stride_vox=stride)
    there = found.moving.embedded.at(found.transform.apply(points_mm))
    cosine = (found.fixed.embedded.at(points_mm) * there).sum(dim=1).float().cpu()
    lattice = lattice_of(grid, stride)
    index = lattice.to_index(points_mm).round().long()
    data = torch.full(lattice.shape, -1.0)
    data[tuple(index.T)] = cosine
    return Volume(data=data[None], grid=lattice, background=-1.0, stored_dtype="float32")


def fuse(voters: Sequence[Voter], grid: Grid, method: FuseMethod, *, sharpness: float) -> Fused:
    """Labels of all voters made into one map.

    Args:
        voters: atlases registered with the target.
        grid: of the target.
        method: majority, every vote counts the same; weighted, by similarity; staple.
        sharpness: of the weights ``exp(sharpness * s)`` of a similarity ``s``; larger leaves the say to fewer.
    """
    labels = torch.zeros(grid.shape, dtype=torch.int64)
    agreement = torch.zeros(grid.shape)
    chosen = staple([_votes(each, grid)[0] for each in voters]) if method == "staple" else None
    rows = max(1, SLAB_VOXELS // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], rows):
        part = slice(start, min(start + rows, grid.shape[0]))
        slab = _slab(grid, part)
        maps, seen = zip(*(_votes(each, slab) for each in voters), strict=True)
        weights = list(seen)
        if method == "weighted":
            weights = [each * _weight(voter, slab, sharpness) for each, voter in zip(seen, voters, strict=True)]
        if chosen is None:
            labels[part], agreement[part] = vote(maps, weights)
        else:
            labels[part], agreement[part] = chosen[part], agreement_with(chosen[part], maps, weights)
    stored = "uint8" if int(labels.min()) >= 0 and int(labels.max()) < 256 else "int32"
    return Fused(
        labels=LabelMap(data=labels, grid=grid, stored_dtype=stored),
        agreement=Volume(data=agreement[None], grid=grid, background=0.0, stored_dtype="float32"),
    )


def label_volumes(fused: Fused, voters: Sequence[Voter]) -> tuple[LabelVolume, ...]:
    """Volume of every fused label, how far the atlases agree on it, and what each of them alone would say."""
    grid, data = fused.labels.grid, fused.labels.data
    voxel_ml = abs(float(torch.linalg.det(grid.affine[:3, :3]))) / 1000.0
    alone = [_counts(_votes(each, grid)[0]) for each in voters]
    found = []
    for value, count in _counts(data).items():
        volumes = [counts.get(value, 0) * voxel_ml for counts in alone]
        found.append(
            LabelVolume(
                label=value,
                volume_ml=round(count * voxel_ml, 3),
                agreement=round(float(fused.agreement.data[0][data == value].mean()), 4),
                lowest_ml=round(min(volumes), 3),
                highest_ml=round(max(volumes), 3),
            )
        )
    return tuple(found)


def _votes(voter: Voter, grid: Grid) -> tuple[Int[Tensor, "d h w"], Float[Tensor, "d h w"]]:
    """Labels of an atlas on a grid of the target, and 1 where the atlas shows the place."""
    beyond = int(voter.labels.data.min()) - 1
    found = resample_labels(voter.labels, voter.transform, grid, outside=beyond).data
    seen = found != beyond
    return found * seen, seen.float()


def _weight(voter: Voter, grid: Grid, sharpness: float) -> Float[Tensor, "d h w"]:
    similarity = resample_volume(voter.similarity, Affine.identity(), grid).data[0]
    weight: Tensor = torch.exp(sharpness * (similarity - 1.0))
    return weight


def _slab(grid: Grid, rows: slice) -> Grid:
    """Grid of some rows along d."""
    affine = grid.affine.clone()
    affine[:3, 3] += rows.start * affine[:3, 0]
    return Grid(shape=(rows.stop - rows.start, *grid.shape[1:]), affine=affine)


def _counts(labels: Int[Tensor, "d h w"]) -> dict[int, int]:
    values, counts = labels.unique(return_counts=True)
    return {v: n for v, n in zip(values.tolist(), counts.tolist(), strict=True) if v != 0}


def _outputs(output: Path) -> tuple[Path, Path, Path]:
    stem, suffix = stem_of(output, IMAGE_SUFFIXES), suffix_of(output, IMAGE_SUFFIXES)
    if not suffix:
        raise UsageError(f"{output}: is of no image format; need one of {', '.join(IMAGE_SUFFIXES)}.")
    return output, output.with_name(f"{stem}_agreement{suffix}"), output.with_name(f"{stem}_volumes.csv")


def volume_row(volume: LabelVolume) -> list[str]:
    """Cells of a structure, as of `VOLUME_COLUMNS`."""
    lowest, highest = f"{volume.lowest_ml:.3f}", f"{volume.highest_ml:.3f}"
    return [str(volume.label), f"{volume.volume_ml:.3f}", f"{volume.agreement:.4f}", lowest, highest]
