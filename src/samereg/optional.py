"""Optional packages: imported on demand, or reported missing with the command that installs them."""

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
    "starlette": ("starlette", "page"),
    "surface_distance": ("surface-distance", "bench"),
    "tensorboard": ("tensorboard", "train"),
    "uvicorn": ("uvicorn", "page"),
}
"""Module name: name of its distribution, and the samereg extra that installs it."""


def optional_package(module: str, *, purpose: str) -> ModuleType:
    """Imports an optional package, or a module of one.

    Args:
        module: of a package in `PACKAGES`.
        purpose: what needs it; the message begins with this.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(module, purpose) from error


def require_packages(*modules: str, purpose: str) -> None:
    """Raises unless optional packages are installed; imports nothing.

    Args:
        modules: keys of `PACKAGES`.
        purpose: what needs them; the message begins with this.

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
