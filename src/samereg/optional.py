"""Packages that only some work needs: found when it begins, or refused with the line that installs them."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from samereg.errors import MissingPackageError

PACKAGES = {
    "ants": ("antspyx", "baselines"),
    "convexAdam": ("convexAdam", "baselines"),
    "distributed": ("distributed", "cluster"),
    "itk": ("itk-elastix", "baselines"),
    "lightning_fabric": ("lightning-fabric", "train"),
    "llvmlite": ("numba", "baselines"),
    "matplotlib": ("matplotlib", "pictures"),
    "numba": ("numba", "baselines"),
    "surface_distance": ("surface-distance", "bench"),
    "tensorboard": ("tensorboard", "train"),
}
"""What is imported: the name that it is installed by, and the extra of samereg that brings it."""


def optional_package(module: str, *, purpose: str) -> ModuleType:
    """An optional package or a module of it, imported now.

    Args:
        module: of a package in `PACKAGES`.
        purpose: who needs it; the sentence begins with that.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(module, purpose) from error


def require_packages(*modules: str, purpose: str) -> None:
    """Refuse to begin without optional packages; nothing is imported.

    Args:
        modules: keys of `PACKAGES`.
        purpose: who needs them; the sentence begins with that.

    Raises:
        MissingPackageError: one of them is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise _missing(module, purpose)


def _missing(module: str, purpose: str) -> MissingPackageError:
    distribution, extra = PACKAGES[module.partition(".")[0]]
    return MissingPackageError(
        f"{purpose} needs the package {distribution}, which is not installed; type: "
        f"python -m pip install 'samereg[{extra}]'"
    )
