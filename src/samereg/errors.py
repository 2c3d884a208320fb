"""All exceptions that samereg raises deliberately.

    SameregError 1
    |- UsageError 2            the command line or call is invalid
    |  |- MissingPackageError  an optional package or program is not installed
    |  `- UnspecifiedError     a format or an image cannot be inferred and has to be given
    |- InputError 3            a file or an array is not what is needed
    |  |- FileError            missing, unreadable, truncated, not writable
    |  |- GeometryError        grid, spacing, direction or extent
    |  |- NotCTError           intensities are not Hounsfield units
    |  |- TransformError       an invalid or unsuitable transform file
    |  `- DegeneratePointsError  too few points, or all in one plane
    |- WeightsError 4          weights missing or damaged
    |- MemoryLimitError 5      the work does not fit into memory
    `- QualityError 10         finished, but the result failed a quality check
       |- NoOverlapError       too little common anatomy to register
       `- MirroredError        one scan is a mirror image

The number is the exit code of the command line.
"""

import errno

_NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "failed to allocate memory",
    "unable to allocate",
    "bad_alloc",
    "failed to map segment",
    "can't start new thread",
    "thread creation failed",
)
"""Messages of libraries and the loader, in lower case. A thread fails to start if its stack does not fit."""


class SameregError(Exception):
    """Base class of all deliberate errors; the message is one sentence for the user."""

    exit_code = 1


class UsageError(SameregError):
    """The command line or call is invalid."""

    exit_code = 2


class MissingPackageError(UsageError):
    """A requested optional package or program is not installed."""


class UnspecifiedError(UsageError):
    """A format or an image is required that cannot be inferred from the files.

    Attributes:
        what: "format" of a file that is read, "target" format of one that is written, "fixed" or "moving" image,
            or the "image" of points, which is one of them.
    """

    def __init__(self, sentence: str, *, what: str) -> None:
        """Store the message, which names no flag, and what is missing."""
        super().__init__(sentence)
        self.what = what


class InputError(SameregError):
    """A file or an array is not what is needed."""

    exit_code = 3


class FileError(InputError):
    """A file is missing, unreadable, truncated or cannot be written."""


class GeometryError(InputError):
    """A grid, spacing, direction or extent is invalid."""


class NotCTError(InputError):
    """Intensities are not Hounsfield units of a CT."""


class TransformError(InputError):
    """A transform file or object is invalid, or unsuited to the requested operation."""


class DegeneratePointsError(InputError):
    """Too few points, or all of them coplanar."""


class WeightsError(SameregError):
    """Weights are missing, damaged or belong to another network."""

    exit_code = 4


class MemoryLimitError(SameregError):
    """The work does not fit into memory."""

    exit_code = 5


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy, torch, ITK or the operating system means out of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    text = str(error).lower()
    return any(words in text for words in _NO_MEMORY)


class QualityError(SameregError):
    """The computation finished, but its result failed a quality check."""

    exit_code = 10


class NoOverlapError(QualityError):
    """Too little common anatomy to register."""


class MirroredError(QualityError):
    """One scan is a mirror image of the other's anatomy."""
