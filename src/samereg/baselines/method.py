"""What every baseline is, and how one asks for the package it needs."""

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
"""Of what a program that failed said last, kept in the error."""


@runtime_checkable
class Method(Protocol):
    """A way to register two scans; its fields are its settings."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def version(self) -> str:
        """Which release of which program does the work.

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
    """A way to bring two scans near each other by an affine map."""

    def register(self, fixed: Volume, moving: Volume) -> Affine:
        """Fixed world to moving world, LPS+ mm."""


def needed_package(module: str, method: str) -> ModuleType:
    """An optional package, imported now.

    Args:
        module: what is imported.
        method: who needs it.

    Raises:
        MissingPackageError: it is not installed.
    """
    return optional_package(module, purpose=f"the method {method}")


def package_version(module: str, distribution: str, method: str) -> str:
    """Name and release of an optional package; errors as of `needed_package`."""
    needed_package(module, method)
    return f"{distribution} {version(distribution)}"


def run_program(command: list[str], *, environment: dict[str, str] | None = None) -> None:
    """Run a program to its end.

    Args:
        command: program and arguments.
        environment: variables that it gets beside those of this process.

    Raises:
        FileError: it failed.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-SAID_CHARACTERS:]
        raise FileError(f"{' '.join(command[:3])}: ended with status {done.returncode}: {said}")
