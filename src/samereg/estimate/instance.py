"""Instance optimisation (SAME++): gradient descent on the velocity field of a single pair."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from samereg.estimate.aligned import CELL_VOX, AlignedScans
from samereg.estimate.loop import iterate
from samereg.estimate.outcome import Outcome
from samereg.image.preprocess import window_value
from samereg.objectives.regularity import diffusion, volume_change
from samereg.objectives.similarity import NCCWindows, embedding_similarity, local_ncc_in, masked_mean, ncc_windows
from samereg.ops.fields import exponential
from samereg.ops.mind import self_similarity_context
from samereg.ops.sample import identity_grid, sample_grid, upsample_aligned, warp
from samereg.validation import Count, CountOrZero, Positive, Weight, check_ranges

EMBEDDING_STRIDE = 2
"""Stride in cells (8 mm) at which embeddings are compared: they are smooth, and warping them dominates the cost."""

CONTEXT_RADIUS = 2
"""Radius and distance of MIND-SSC patches, voxels."""

BETAS = (0.9, 0.99)
"""Decay rates of Adam (Kingma and Ba, 2015); the second moment is short because a level has few steps."""

DAMPING = 0.1
"""Adam's epsilon, as a fraction of the mean gradient magnitude, to avoid drift where gradients vanish."""

TINY = 1e-12

PATIENCE = 5
"""Window in steps over which the objective must improve."""

Cells = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceLevel:
    """One resolution of the optimisation.

    Attributes:
        lattice_cells: spacing of the velocity's control points, a power of two; larger is smoother and faster.
        image_stride: stride of the image comparison after averaging: 2 or 1.
        window_radius: of the local NCC, in compared voxels.
        steps: maximum number of steps.
        rate_cells: learning rate: step length per control point, in cells.
    """

    lattice_cells: Count
    image_stride: Count
    window_radius: Count
    steps: CountOrZero
    rate_cells: Positive

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceSettings:
    """Settings of the optimisation.

    Attributes:
        levels: from coarse to fine.
        windows_hu: HU windows of the local NCC, one each for lung, soft tissue and bone.
        ncc: weight of the NCC.
        embedding: weight of the embedding similarity.
        context: weight of the MIND-SSC difference, which is independent of contrast. On three validation
            pairs a weight of 5 gains 0.25 % Dice, raises the Jacobian SD by 0.04 and takes 40 % longer;
            instead of the NCC it loses 2 %.
        smoothness: weight of the diffusion of the velocity; larger is smoother.
        volume: weight of the squared log Jacobian determinant of the whole map, to first order, relative to its
            mean; larger reduces the SD of the Jacobian determinant, including that of the start.
        noise: variance of noise in a window mapped to (-1, 1).
        squarings: of the exponential; the first step is the velocity divided by `2**squarings`.
        tolerance: a level ends when its objective improves by less over `PATIENCE` steps.
    """

    levels: tuple[InstanceLevel, ...] = (
        InstanceLevel(lattice_cells=4, image_stride=2, window_radius=2, steps=12, rate_cells=0.6),
        InstanceLevel(lattice_cells=2, image_stride=2, window_radius=2, steps=15, rate_cells=0.2),
        InstanceLevel(lattice_cells=1, image_stride=2, window_radius=2, steps=12, rate_cells=0.1),
        InstanceLevel(lattice_cells=1, image_stride=1, window_radius=2, steps=6, rate_cells=0.1),
    )
    windows_hu: tuple[tuple[float, float], ...] = ((-800.0, -400.0), (-160.0, 240.0), (50.0, 400.0))
    ncc: Weight = 1.0
    embedding: Weight = 0.5
    context: Weight = 0.0
    smoothness: Weight = 0.2
    volume: Weight = 0.5
    noise: Positive = 4e-3
    squarings: CountOrZero = 5
    tolerance: Weight = 2e-4

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OptimisedVelocity:
    """The result.

    Attributes:
        velocity: at every cell, in cells along (d, h, w).
        outcome: how the last level ended; `iterations` are the steps of all levels.
    """

    velocity: Float[Tensor, "1 3 d h w"]
    outcome: Outcome


def optimise_velocity(
    scans: AlignedScans, body: Float[Tensor, "1 d h w"], *, settings: InstanceSettings
) -> OptimisedVelocity:
    """Optimises the velocity whose flow aligns two roughly aligned scans.

    Minimises ``-NCC(X_f, X_m o exp(v)) - a <S_f, S_m o exp(v)> + b |grad v|^2 + c (div v + l)^2``, with ``l`` the
    log Jacobian determinant of the start minus its mean, level by level, by Adam; similarities over the body.
    MIND-SSC (Heinrich et al., 2013) may be added to the NCC or replace it. The
    gradient approximates ``d exp(v)`` by ``dv``, as in log-domain demons (Vercauteren et al., 2008): exact for small
    ``v``, and cheaper. The flow itself is always the exponential, so it does not fold. Keeps the best
    velocity of each level, so it is never worse than the start by this measure. Deterministic on a CPU.

    Args:
        scans: fixed scan, and moving scan resampled through the start.
        body: 1 at voxels of the fixed body.
        settings: levels and weights.
    """
    cells = _size(scans.fixed_features)
    velocity = scans.fixed.new_zeros(1, 3, *cells)
    outcome = Outcome(converged=True, message="nothing to do", iterations=0)
    contexts = (_context(scans.fixed, settings), _context(scans.moved, settings))
    taken = 0
    for level in settings.levels:
        problem = _problem(scans, body, contexts, level, settings)
        at = slice(None, None, level.lattice_cells)
        start = _Adam.at(velocity[:, :, at, at, at])
        last, outcome = iterate(
            lambda state, problem=problem: _step(state, problem),  # type: ignore[misc]
            start,
            max_iterations=level.steps,
            done=lambda _, after: _has_settled(after.costs, settings.tolerance),
        )
        taken += outcome.iterations
        velocity = _refined(last.best, level.lattice_cells, cells)
    return OptimisedVelocity(velocity=velocity, outcome=replace(outcome, iterations=taken))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Problem:
    """Inputs of one level; windowed images with one channel per window."""

    level: InstanceLevel
    settings: InstanceSettings
    cells: Cells
    fixed: NCCWindows
    moved: Float[Tensor, "1 1 d h w"]
    mask: Float[Tensor, "1 1 d h w"]
    fixed_features: Float[Tensor, "1 k d2 h2 w2"]
    moved_features: Float[Tensor, "1 k d3 h3 w3"]
    feature_mask: Float[Tensor, "1 1 d2 h2 w2"]
    fixed_context: Float[Tensor, "1 c d5 h5 w5"]
    moved_context: Float[Tensor, "1 c d5 h5 w5"]
    cell_mask: Float[Tensor, "1 1 d6 h6 w6"]
    log_volume: Float[Tensor, "1 1 d4 h4 w4"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Adam:
    """Control velocities, Adam's moments, the objective values, and the best velocities."""

    control: Float[Tensor, "1 3 d h w"]
    first: Float[Tensor, "1 3 d h w"]
    second: Float[Tensor, "1 3 d h w"]
    best: Float[Tensor, "1 3 d h w"]
    costs: tuple[float, ...] = ()

    @staticmethod
    def at(control: Tensor) -> "_Adam":
        zeros = torch.zeros_like(control)
        return _Adam(control=control, first=zeros, second=zeros, best=control)


def _problem(
    scans: AlignedScans, body: Tensor, contexts: tuple[Tensor, Tensor], level: InstanceLevel, settings: InstanceSettings
) -> _Problem:
    mask = (body.to(scans.seen) * scans.seen)[None]
    # Volume changes are penalised in the whole body, also outside the moving scan.
    whole = body.to(scans.seen)[None, :, ::CELL_VOX, ::CELL_VOX, ::CELL_VOX]
    sparse = slice(None, None, EMBEDDING_STRIDE)
    far = slice(None, None, EMBEDDING_STRIDE * CELL_VOX)
    near, control = slice(None, None, level.image_stride), slice(None, None, level.lattice_cells)
    fixed, moved = (_averaged(image[None], level.image_stride) for image in (scans.fixed, scans.moved))
    return _Problem(
        level=level,
        settings=settings,
        cells=_size(scans.fixed_features),
        fixed=ncc_windows(_windowed(fixed, settings.windows_hu), radius=level.window_radius, noise=settings.noise),
        moved=moved,
        mask=mask[:, :, near, near, near],
        fixed_features=functional.normalize(scans.fixed_features[None, :, sparse, sparse, sparse], dim=1),
        moved_features=scans.moved_features[None],
        feature_mask=mask[:, :, far, far, far],
        fixed_context=contexts[0],
        moved_context=contexts[1],
        cell_mask=mask[:, :, ::CELL_VOX, ::CELL_VOX, ::CELL_VOX],
        log_volume=_deviation(scans.log_volume[None], whole)[:, :, control, control, control],
    )


def _step(state: _Adam, problem: _Problem) -> _Adam:
    """One step of Adam on the control velocities."""
    control = state.control.detach().requires_grad_()
    cost = _cost(control, problem)
    (gradient,) = torch.autograd.grad(cost, control)
    number = len(state.costs) + 1
    first = torch.lerp(gradient, state.first, BETAS[0])
    second = torch.lerp(gradient.square(), state.second, BETAS[1])
    size = (second / (1.0 - BETAS[1] ** number)).sqrt()
    step = first / (1.0 - BETAS[0] ** number) / (size + DAMPING * size.mean() + TINY)
    now = float(cost.detach())
    return _Adam(
        control=state.control - problem.level.rate_cells * step,
        first=first,
        second=second,
        best=state.control if now <= min(state.costs, default=now) else state.best,
        costs=(*state.costs, now),
    )


def _cost(control: Tensor, problem: _Problem) -> Tensor:
    settings, level = problem.settings, problem.level
    own_units = control / level.lattice_cells
    with torch.no_grad():
        flow = exponential(own_units, squarings=settings.squarings) * level.lattice_cells
    displacement = _refined(flow + control - control.detach(), level.lattice_cells, problem.cells)
    cost = settings.smoothness * diffusion(own_units) + settings.volume * volume_change(own_units, problem.log_volume)
    if settings.ncc:
        cost = cost - settings.ncc * _ncc_term(displacement, problem)
    if settings.embedding:
        cost = cost - settings.embedding * _embedding_term(displacement, problem)
    if settings.context:
        cost = cost + settings.context * _context_term(displacement, problem)
    return cost


def _ncc_term(displacement: Tensor, problem: _Problem) -> Tensor:
    """Mean local NCC over the HU windows, at the compared voxels of the level."""
    level, settings = problem.level, problem.settings
    if level.image_stride == 1:
        displacement = CELL_VOX * upsample_aligned(displacement, _size(problem.moved[0]))
    moved = _windowed(warp(problem.moved, displacement, clamp=True), settings.windows_hu)
    return masked_mean(local_ncc_in(problem.fixed, moved), problem.mask)


def _embedding_term(displacement: Tensor, problem: _Problem) -> Tensor:
    """Mean cosine of the embeddings at sparse cells; normalised, because interpolation shortens vectors."""
    at = slice(None, None, EMBEDDING_STRIDE)
    points = (identity_grid(problem.cells, device=displacement.device) + displacement.permute(0, 2, 3, 4, 1))[
        :, at, at, at
    ]
    features = functional.normalize(sample_grid(problem.moved_features, points, clamp=True), dim=1)
    return masked_mean(embedding_similarity(problem.fixed_features, features), problem.feature_mask)


def _context_term(displacement: Tensor, problem: _Problem) -> Tensor:
    """Mean squared difference of the self-similarity contexts at the cells."""
    moved = warp(problem.moved_context, displacement, clamp=True)
    return masked_mean((problem.fixed_context - moved).square(), problem.cell_mask)


def _has_settled(costs: tuple[float, ...], tolerance: float) -> bool:
    return len(costs) > PATIENCE and costs[-1 - PATIENCE] - costs[-1] < tolerance


def _refined(values: Tensor, spacing: int, cells: Cells) -> Tensor:
    """Control values upsampled to all cells, by doublings of the resolution."""
    while spacing > 1:
        spacing //= 2
        values = upsample_aligned(values, (-(-cells[0] // spacing), -(-cells[1] // spacing), -(-cells[2] // spacing)))
    return values


def _deviation(log_volume: Tensor, mask: Tensor) -> Tensor:
    """Deviation from the mean over the mask; 0 outside."""
    return (log_volume - masked_mean(log_volume, mask)) * mask


def _averaged(image: Tensor, stride: int) -> Tensor:
    if stride == 1:
        return image
    return functional.avg_pool3d(image, 3, stride, 1, count_include_pad=False)


def _context(image: Tensor, settings: InstanceSettings) -> Tensor:
    """Self-similarity context of an image, averaged over its cells; empty if its weight is 0."""
    if not settings.context:
        return image.new_zeros(1, 0, 1, 1, 1)
    return _averaged(self_similarity_context(image[0], radius=CONTEXT_RADIUS)[None], CELL_VOX)


def _windowed(image: Tensor, windows_hu: tuple[tuple[float, float], ...]) -> Tensor:
    """One channel per HU window, each mapped to (-1, 1)."""
    channels = []
    for low, high in windows_hu:
        below, above = window_value(low), window_value(high)
        channels.append(((image - below) * (2.0 / (above - below)) - 1.0).clamp(-1.0, 1.0))
    return torch.cat(channels, 1)


def _size(features: Tensor) -> Cells:
    return features.shape[-3], features.shape[-2], features.shape[-1]
