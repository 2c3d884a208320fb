"""elastix, by the Python package itk-elastix: affine, and B-splines with bending energy."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from samereg.baselines.elastix_program import DISTRIBUTION
from samereg.baselines.method import needed_package, package_version, run_program
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.io.transforms import read_transform

BLURS_MM = (16.0, 8.0, 4.0, 2.0, 1.0)
"""Smoothing of the resolutions, from coarse to fine, mm."""

Parameters = dict[str, Any]
"""Parameter lists by name; `defaults` names the modified elastix parameter map."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ElastixAffine:
    """elastix affine registration with mutual information and otherwise default parameters.

    Attributes:
        seed: of the voxels sampled by elastix.
    """

    seed: int = 121212

    @property
    def name(self) -> str:
        """Name in tables."""
        return "elastix-affine"

    def version(self) -> str:
        """Release of itk-elastix; errors as in `register`."""
        return package_version("itk", DISTRIBUTION, self.name)

    def register(self, fixed: Volume, moving: Volume) -> Affine:
        """Affine map, fixed world to moving world.

        Raises:
            MissingPackageError: itk-elastix is not installed.
        """
        with _registered(fixed, moving, [_affine_parameters(self.seed)]) as folder:
            return _affine_of(json.loads((folder / "found.json").read_text(encoding="utf-8"))[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class FFD:
    """elastix with B-splines after an affine map: the settings of its entry to EMPIRE10, with bending energy.

    Five resolutions, normalised correlation, adaptive stochastic gradient descent on randomly drawn points (Staring et
    al., "Pulmonary image registration with elastix using a standard intensity-based algorithm", EMPIRE10, 2010); its
    step sizes are estimated faster than there (Qiao et al., 2016).

    Attributes:
        spacing_mm: of the control points at the last resolution.
        bending: weight of the bending energy beside the correlation; larger is smoother.
        iterations: at each resolution.
        samples: sampled points per iteration.
        longest_step_mm: maximum step of a point per iteration; larger is faster and less stable.
        seed: of the samples.
    """

    spacing_mm: float = 10.0
    bending: float = 0.01
    iterations: int = 1000
    samples: int = 2000
    longest_step_mm: float = 1.0
    seed: int = 121212

    @property
    def name(self) -> str:
        """Name in tables."""
        return "ffd"

    def version(self) -> str:
        """Release of itk-elastix; errors as in `register`."""
        return package_version("itk", DISTRIBUTION, self.name)

    def register(self, fixed: Volume, moving: Volume) -> Transform:
        """A displacement at every voxel of the fixed scan, fixed world to moving world.

        Raises:
            MissingPackageError: itk-elastix is not installed.
        """
        with _registered(fixed, moving, [_affine_parameters(self.seed), self._parameters(fixed, moving)]) as folder:
            return read_transform(folder / "field.mha")

    def _parameters(self, fixed: Volume, moving: Volume) -> Parameters:
        return _texts(
            {
                "Registration": "MultiMetricMultiResolutionRegistration",
                "Metric": ["AdvancedNormalizedCorrelation", "TransformBendingEnergyPenalty"],
                "Metric0Weight": 1.0,
                "Metric1Weight": self.bending,
                "Transform": "BSplineTransform",
                "HowToCombineTransforms": "Compose",
                "FinalGridSpacingInPhysicalUnits": self.spacing_mm,
                "GridSpacingSchedule": [8.0, 4.0, 2.0, 1.0, 1.0],
                "NumberOfResolutions": len(BLURS_MM),
                "FixedImagePyramidSchedule": _pyramid(fixed.grid),
                "MovingImagePyramidSchedule": _pyramid(moving.grid),
                "FixedImagePyramid": "FixedSmoothingImagePyramid",
                "MovingImagePyramid": "MovingSmoothingImagePyramid",
                "Interpolator": "LinearInterpolator",
                "ResampleInterpolator": "FinalBSplineInterpolator",
                "Resampler": "DefaultResampler",
                "Optimizer": "AdaptiveStochasticGradientDescent",
                "AutomaticParameterEstimation": "true",
                "ASGDParameterEstimationMethod": "DisplacementDistribution",
                "MaximumStepLength": self.longest_step_mm,
                "MaximumNumberOfIterations": self.iterations,
                "ImageSampler": "RandomCoordinate",
                "NewSamplesEveryIteration": "true",
                "NumberOfSpatialSamples": self.samples,
                "RandomSeed": self.seed,
                "WriteResultImage": "false",
            }
        )


def _pyramid(grid: Grid) -> list[int]:
    """Voxels that `BLURS_MM` are along (w, h, d), resolution by resolution."""
    return [max(1, round(blur / mm)) for blur in BLURS_MM for mm in grid.spacing_mm[::-1]]


def _affine_parameters(seed: int) -> Parameters:
    """Elastix' default affine parameters, initialised by the centres of gravity."""
    return {"defaults": "affine"} | _texts(
        {
            "AutomaticTransformInitialization": "true",
            "AutomaticTransformInitializationMethod": "CenterOfGravity",
            "RandomSeed": seed,
            "WriteResultImage": "false",
        }
    )


def _texts(values: dict[str, Any]) -> Parameters:
    """Parameters as lists of strings, as elastix expects."""
    listed = {key: value if isinstance(value, list) else [value] for key, value in values.items()}
    return {key: [str(each) for each in value] for key, value in listed.items()}


@contextmanager
def _registered(fixed: Volume, moving: Volume, maps: list[Parameters]) -> Iterator[Path]:
    """Context of a folder with the results of `elastix_program`, run in a separate process with torch's threads."""
    needed_package("itk", "elastix")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for role, volume in (("fixed", fixed), ("moving", moving)):
            write_volume(volume, folder / f"{role}.mha")
        (folder / "parameters.json").write_text(json.dumps(maps), encoding="utf-8")
        run_program(
            [sys.executable, "-m", "samereg.baselines.elastix_program", name],
            environment={"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(torch.get_num_threads())},
        )
        yield folder


def _affine_of(parameters: dict[str, list[str]]) -> Affine:
    """``y = A (x - c) + t + c``: matrix by rows and translation, about a centre."""
    numbers, centre = (
        torch.tensor([float(v) for v in parameters[key]], dtype=torch.float64)
        for key in ("TransformParameters", "CenterOfRotationPoint")
    )
    linear = numbers[:9].reshape(3, 3)
    return Affine.from_parts(linear, numbers[9:] + centre - linear @ centre)
