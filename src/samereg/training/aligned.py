"""Training data of deformation networks: roughly aligned pairs, and random crops of them."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samereg.errors import UsageError
from samereg.geometry.grid import Grid, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.ops.sample import identity_grid, sample_grid, upsample_aligned
from samereg.training.augment import Appearance, vary_appearance

CELL_VOX = 2
"""Voxels per cell of features and fields."""

MIN_CROP_VOX = 48
"""Minimum for three cells at stride 16; with two, oneDNN's bfloat16 weight gradient reads uninitialised memory."""

MILD = Appearance(
    agent_probability=0.5, agent_hu=(-60.0, 150.0), lung_hu=60.0, window_hu=20.0, noise_hu=20.0, blur_vox=0.8
)
"""Appearance augmentation weaker than for the embedding, because the network needs edges."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DeformScan:
    """A training scan of a deformation network.

    Attributes:
        name: for logs.
        grid: model space.
        intensity: model-space values, half precision.
        body: body mask.
        features: reduced embeddings at every second voxel, half precision.
    """

    name: str
    grid: Grid
    intensity: Float[Tensor, "1 d h w"]
    body: Bool[Tensor, "d h w"]
    features: Float[Tensor, "k d2 h2 w2"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AlignedPair:
    """Two scans and their initial alignment.

    Attributes:
        fixed: index of the fixed scan.
        moving: index of the moving scan.
        start: fixed world to moving world.
    """

    fixed: int
    moving: int
    start: Transform


@dataclass(frozen=True, kw_only=True, slots=True)
class CropSettings:
    """Shape of a training batch.

    Attributes:
        crop_vox: size of a crop; even.
        pairs: crops of different pairs in a batch (the paper's 2).
        jitter_mm: standard deviation of a smooth random field added to the alignment, as augmentation;
            0 for none.
        jitter_cells: spacing of that field's control points.
        appearance: intensity augmentation of the network's input.
    """

    crop_vox: tuple[int, int, int] = (96, 96, 96)
    pairs: int = 2
    jitter_mm: float = 2.0
    jitter_cells: int = 12
    appearance: Appearance = field(default_factory=lambda: MILD)

    def __post_init__(self) -> None:
        """Check the size of the crops."""
        if min(self.crop_vox) < MIN_CROP_VOX or any(n % CELL_VOX for n in self.crop_vox):
            raise UsageError(
                f"a training crop needs an even number of at least {MIN_CROP_VOX} voxels per axis, got {self.crop_vox}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class CropBatch:
    """Aligned crops, one row per pair.

    Attributes:
        inputs: fixed and moved crop, augmented, as input of the network.
        fixed: fixed crop without augmentation.
        moved: moved crop without augmentation.
        fixed_features: reduced embeddings of the fixed crop.
        moved_features: the same of the moved crop.
        mask: 1 in the fixed body inside the moving scan, on the lattice of the crop.
    """

    inputs: Float[Tensor, "b 2 d h w"]
    fixed: Float[Tensor, "b 1 d h w"]
    moved: Float[Tensor, "b 1 d h w"]
    fixed_features: Float[Tensor, "b k d2 h2 w2"]
    moved_features: Float[Tensor, "b k d2 h2 w2"]
    mask: Float[Tensor, "b 1 d h w"]


def crop_batch(
    scans: list[DeformScan], pairs: list[AlignedPair], settings: CropSettings, generator: torch.Generator
) -> CropBatch:
    """Random crops of random pairs, in the fixed bodies; scans smaller than a crop are padded."""
    chosen = torch.randint(len(pairs), (settings.pairs,), generator=generator).tolist()
    crops = [_crop(scans, pairs[number], settings, generator) for number in chosen]
    return CropBatch(**{name: torch.stack([crop[name] for crop in crops]) for name in crops[0]})


def _crop(
    scans: list[DeformScan], pair: AlignedPair, settings: CropSettings, generator: torch.Generator
) -> dict[str, Tensor]:
    fixed, moving = scans[pair.fixed], scans[pair.moving]
    start = _corner(fixed, settings.crop_vox, generator)
    depth, height, width = (n // CELL_VOX for n in settings.crop_vox)
    # One cell more, so that the voxels after the last cell are interpolated too.
    cells = Grid(shape=(depth + 1, height + 1, width + 1), affine=_cell_affine(fixed.grid, start))
    landed = moving.grid.to_index(pair.start.apply(voxel_centres_mm(cells))).float()
    landed = landed + _jitter(landed.shape[:3], moving.grid, settings, generator)
    fine = upsample_aligned(landed.permute(3, 0, 1, 2)[None], settings.crop_vox)[0].permute(1, 2, 3, 0)
    landed = landed[:depth, :height, :width]
    own = identity_grid(settings.crop_vox) + start
    images = [
        sample_grid(scan.intensity[None].float(), at[None], outside=-1.0)[0]
        for scan, at in ((fixed, own), (moving, fine))
    ]
    mask = _inside(fixed.body, own) & (fine >= 0).all(-1) & (fine <= torch.tensor(moving.grid.shape) - 1).all(-1)
    return {
        "inputs": torch.cat([vary_appearance(image, settings.appearance, generator) for image in images]),
        "fixed": images[0],
        "moved": images[1],
        "fixed_features": _cut(fixed.features, start // CELL_VOX, (depth, height, width)),
        "moved_features": sample_grid(moving.features[None].float(), landed[None] / CELL_VOX, clamp=True)[0],
        "mask": mask[None].float(),
    }


def _corner(scan: DeformScan, crop: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """First voxel (even) of a crop around a random voxel of the body, inside the scan if possible."""
    inside = scan.body.nonzero()
    centre = inside[int(torch.randint(len(inside), (), generator=generator))]
    size, shape = torch.tensor(crop), torch.tensor(scan.grid.shape)
    room = shape - size
    corner = torch.minimum((centre - size // 2).clamp(min=0), room.clamp(min=0))
    # A scan smaller than the crop is centred.
    corner = torch.where(room < 0, torch.div(room, 2, rounding_mode="floor"), corner)
    return torch.div(corner, CELL_VOX, rounding_mode="floor") * CELL_VOX


def _cell_affine(grid: Grid, start: Tensor) -> Tensor:
    affine = grid.affine.clone()
    affine[:3, 3] = grid.to_world(start.double())
    affine[:3, :3] *= CELL_VOX
    return affine


def _jitter(shape: torch.Size, grid: Grid, settings: CropSettings, generator: torch.Generator) -> Tensor:
    """A smooth random field, voxels of the moving grid."""
    lattice = [-(-n // settings.jitter_cells) + 1 for n in shape]
    control = torch.randn(1, 3, *lattice, generator=generator) * (settings.jitter_mm / grid.spacing_mm[0])
    at = identity_grid((shape[0], shape[1], shape[2])) / settings.jitter_cells
    return sample_grid(control, at[None], clamp=True)[0].permute(1, 2, 3, 0)


def _inside(body: Tensor, at: Tensor) -> Tensor:
    """Whether integer positions, which may lie outside, are in the body."""
    index = at.long()
    size = torch.tensor(body.shape)
    held = ((index >= 0) & (index < size)).all(-1)
    near = torch.minimum(index.clamp(min=0), size - 1)
    return held & body[near[..., 0], near[..., 1], near[..., 2]]


def _cut(features: Tensor, start: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """A box of cells, with replicated border outside the map."""
    index = [
        (torch.arange(n) + int(s)).clamp(0, size - 1)
        for n, s, size in zip(shape, start, features.shape[1:], strict=True)
    ]
    return features[:, index[0]][:, :, index[1]][:, :, :, index[2]].float()
