"""elastix through its Python package itk-elastix: affine, and B-splines with bending energy."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from samereg.baselines.method import needed_package, package_version
from samereg.geometry.affine import Affine
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume

DISTRIBUTION = "itk-elastix"

Parameters = dict[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ElastixAffine:
    """elastix with an affine map and mutual information, its own default parameters otherwise.

    Attributes:
        seed: of the voxels that elastix draws.
    """

    seed: int = 121212

    @property
    def name(self) -> str:
        """What tables call it."""
        return "elastix-affine"

    def version(self) -> str:
        """Release of itk-elastix; errors as of `register`."""
        return package_version("itk", DISTRIBUTION, self.name)

    def register(self, fixed: Volume, moving: Volume) -> Affine:
        """Affine map, fixed world to moving world.

        Raises:
            MissingPackageError: itk-elastix is not installed.
        """
        itk = needed_package("itk", DISTRIBUTION, self.name)
        maps = [_affine_parameters(itk, self.seed)]
        _, found = _run(itk, fixed, moving, maps)
        return _affine_of(found.GetParameterMap(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class FFD:
    """elastix with B-splines after an affine map: the settings of its entry to EMPIRE10, with bending energy.

    Five resolutions, normalised correlation, adaptive stochastic gradient descent on randomly drawn points (Staring et
    al., "Pulmonary image registration with elastix using a standard intensity-based algorithm", EMPIRE10, 2010).

    Attributes:
        spacing_mm: of the control points at the last resolution.
        bending: weight of the bending energy beside the correlation; larger is smoother.
        iterations: at each resolution.
        samples: points drawn at each iteration.
        seed: of these points.
    """

    spacing_mm: float = 10.0
    bending: float = 0.01
    iterations: int = 1000
    samples: int = 2000
    seed: int = 121212

    @property
    def name(self) -> str:
        """What tables call it."""
        return "ffd"

    def version(self) -> str:
        """Release of itk-elastix; errors as of `register`."""
        return package_version("itk", DISTRIBUTION, self.name)

    def register(self, fixed: Volume, moving: Volume) -> Transform:
        """A displacement at every voxel of the fixed scan, fixed world to moving world.

        Raises:
            MissingPackageError: itk-elastix is not installed.
        """
        itk = needed_package("itk", DISTRIBUTION, self.name)
        image, found = _run(itk, fixed, moving, [_affine_parameters(itk, self.seed), self._parameters()])
        field = itk.transformix_deformation_field(image, found)
        return Displacement(grid=fixed.grid, data=_vectors(itk, field))

    def _parameters(self) -> Parameters:
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
                "NumberOfResolutions": 5,
                "ImagePyramidSchedule": [16] * 3 + [8] * 3 + [4] * 3 + [2] * 3 + [1] * 3,
                "FixedImagePyramid": "FixedRecursiveImagePyramid",
                "MovingImagePyramid": "MovingRecursiveImagePyramid",
                "Interpolator": "LinearInterpolator",
                "ResampleInterpolator": "FinalBSplineInterpolator",
                "Resampler": "DefaultResampler",
                "Optimizer": "AdaptiveStochasticGradientDescent",
                "AutomaticParameterEstimation": "true",
                "ASGDParameterEstimationMethod": "Original",
                "MaximumNumberOfIterations": self.iterations,
                "ImageSampler": "RandomCoordinate",
                "NewSamplesEveryIteration": "true",
                "NumberOfSpatialSamples": self.samples,
                "RandomSeed": self.seed,
                "WriteResultImage": "false",
            }
        )


def _affine_parameters(itk: ModuleType, seed: int) -> Parameters:
    defaults = itk.ParameterObject.New().GetDefaultParameterMap("affine")
    kept = {key: tuple(defaults[key]) for key in defaults}
    return kept | _texts(
        {
            "AutomaticTransformInitialization": "true",
            "AutomaticTransformInitializationMethod": "CenterOfGravity",
            "RandomSeed": seed,
            "WriteResultImage": "false",
        }
    )


def _texts(values: dict[str, Any]) -> Parameters:
    """Parameters as elastix takes them: each a list of texts."""
    listed = {key: value if isinstance(value, list) else [value] for key, value in values.items()}
    return {key: tuple(str(each) for each in value) for key, value in listed.items()}


def _run(itk: ModuleType, fixed: Volume, moving: Volume, maps: list[Parameters]) -> tuple[Any, Any]:
    """The moving image as ITK has it, and the parameters of the transform that elastix found."""
    parameters = itk.ParameterObject.New()
    for each in maps:
        parameters.AddParameterMap(each)
    images = [_image(itk, volume) for volume in (fixed, moving)]
    _, found = itk.elastix_registration_method(*images, parameter_object=parameters, log_to_console=False)
    return images[1], found


def _image(itk: ModuleType, volume: Volume) -> Any:
    image = itk.image_from_array(np.ascontiguousarray(volume.data[0].numpy(), dtype=np.float32))
    image.SetSpacing(volume.grid.spacing_mm[::-1])
    image.SetOrigin(volume.grid.origin_mm.tolist())
    image.SetDirection(itk.matrix_from_array(_directions(volume.grid)))
    return image


def _directions(grid: Grid) -> Any:
    """Unit vectors of the axes (w, h, d), as columns: the order of ITK."""
    return np.ascontiguousarray(grid.direction.flip(1).numpy())


def _vectors(itk: ModuleType, field: Any) -> Float[Tensor, "3 d h w"]:
    return torch.from_numpy(np.moveaxis(itk.array_from_image(field), -1, 0).astype(np.float32, order="C"))


def _affine_of(parameters: Any) -> Affine:
    """``y = A (x - c) + t + c``: matrix by rows and translation, about a centre."""
    numbers = torch.tensor([float(v) for v in parameters["TransformParameters"]], dtype=torch.float64)
    centre = torch.tensor([float(v) for v in parameters["CenterOfRotationPoint"]], dtype=torch.float64)
    linear = numbers[:9].reshape(3, 3)
    return Affine.from_parts(linear, numbers[9:] + centre - linear @ centre)
