"""Smooth random fields as sums of plane waves: exact at any point, cheap on any affine grid."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64

from samereg.geometry.grid import Grid

Points = Float64[np.ndarray, "*n 3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Waves:
    """The field ``u(p) = sum_k a_k cos(w_k . p + phi_k)`` with vector amplitudes ``a_k``.

    ``wave_vectors`` are ``w`` (radians per mm), ``phases`` are ``phi``, ``amplitudes`` are ``a``.
    """

    wave_vectors: Float64[np.ndarray, "k 3"]
    phases: Float64[np.ndarray, " k"]
    amplitudes: Float64[np.ndarray, "k c"]

    def at(self, points_mm: Points) -> Float64[np.ndarray, "*n c"]:
        """Field at world points, mm."""
        waves = np.cos(points_mm @ self.wave_vectors.T + self.phases)
        field: Float64[np.ndarray, "*n c"] = waves @ self.amplitudes
        return field

    def on_grid(self, grid: Grid) -> Float32[np.ndarray, "c d h w"]:
        """Field at the voxel centres of a grid.

        ``cos`` of an affine function of the indices is the real part of a product of one factor per
        axis, so the sum over waves is one matrix product per component.
        """
        affine = grid.affine.numpy()
        steps = self.wave_vectors @ affine[:3, :3]
        start = self.wave_vectors @ affine[:3, 3] + self.phases
        along = [np.exp(1j * np.outer(np.arange(n), steps[:, axis])) for axis, n in enumerate(grid.shape)]
        plane = (along[0][:, None] * along[1][None]).reshape(-1, start.size)
        left = np.concatenate([plane.real, -plane.imag], axis=1).astype(np.float32)
        line = along[2] * np.exp(1j * start)
        right = np.concatenate([line.real, line.imag], axis=1).astype(np.float32)
        twice = np.concatenate([self.amplitudes, self.amplitudes]).astype(np.float32)
        fields = [left @ (right * twice[:, c]).T for c in range(twice.shape[1])]
        return np.stack(fields).reshape(-1, *grid.shape)

    def steepness(self) -> float:
        """Upper bound of the norm of the field's Jacobian, ``sum_k |a_k| |w_k|``."""
        norms = np.linalg.norm(self.amplitudes, axis=1) * np.linalg.norm(self.wave_vectors, axis=1)
        return float(norms.sum())


def random_waves(generator: torch.Generator, *, count: int, channels: int, wavelength_mm: tuple[float, float]) -> Waves:
    """Waves of random direction, phase and wavelength (log-uniform), unit variance in each channel."""
    direction = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    direction = direction / direction.norm(dim=1, keepdim=True)
    low, high = np.log(wavelength_mm[0]), np.log(wavelength_mm[1])
    wavelength = torch.exp(low + (high - low) * torch.rand(count, 1, generator=generator, dtype=torch.float64))
    amplitudes = torch.randn(count, channels, generator=generator, dtype=torch.float64)
    amplitudes = amplitudes * (2.0 / amplitudes.square().sum(0)).sqrt()
    return Waves(
        wave_vectors=(direction * 2 * np.pi / wavelength).numpy(),
        phases=(torch.rand(count, generator=generator, dtype=torch.float64) * 2 * np.pi).numpy(),
        amplitudes=amplitudes.numpy(),
    )


def limited(waves: Waves, *, rms: float, steepness: float) -> Waves:
    """The waves scaled to this root mean square, or less where their Jacobian bound would be passed."""
    now = float(np.sqrt(np.square(waves.amplitudes).sum(axis=0).mean() / 2.0))
    factor = min(rms / now, steepness / waves.steepness())
    return Waves(wave_vectors=waves.wave_vectors, phases=waves.phases, amplitudes=waves.amplitudes * factor)
