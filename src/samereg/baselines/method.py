"""Interface of registration methods, and helpers for optional packages and programs."""

import os
import subprocess
from importlib.metadata import version
from types import ModuleType
from typing import Protocol, runtime_checkable

from samereg.errors import FileError
from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.optional import optional_package

SAID_CHARACTERS = 500
"""Maximum number of characters of a failed program's output in the error."""


@runtime_checkable
class Method(Protocol):
    """A registration method; its fields are its settings."""

    @property
    def name(self) -> str:
        """Name in tables."""

    def version(self) -> str:
        """Name and version of the software.

        Raises:
            MissingPackageError: the program is not installed.
        """

    def register(self, fixed: Volume, moving: Volume) -> Transform:
        """Fixed world to moving world, LPS+ mm.

        Args:
            fixed: CT in HU, any direction and spacing.
            moving: CT in HU, any direction and spacing.

        Raises:
            MissingPackageError: the program is not installed.
        """


@runtime_checkable
class AffineMethod(Protocol):
    """An affine registration method."""

    def register(self, fixed: Volume, moving: Volume) -> Affine:
        """Fixed world to moving world, LPS+ mm."""


def needed_package(module: str, method: str) -> ModuleType:
    """An optional package, imported now.

    Args:
        module: name of the module.
        method: that needs it.

    Raises:
        MissingPackageError: it is not installed.
    """
    return optional_package(module, purpose=f"the method {method}")


def package_version(module: str, distribution: str, method: str) -> str:
    """Name and release of an optional package; errors as in `needed_package`."""
    needed_package(module, method)
    return f"{distribution} {version(distribution)}"


def run_program(command: list[str], *, environment: dict[str, str] | None = None) -> None:
    """Runs a program.

    Args:
        command: program and arguments.
        environment: additional environment variables.

    Raises:
        FileError: it failed.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-SAID_CHARACTERS:]
        raise FileError(f"{' '.join(command[:3])}: ended with status {done.returncode}: {said}")
