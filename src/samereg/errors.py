"""Every error samereg raises on purpose.

    SameregError 1
    |- UsageError 2            the command or call is put together wrongly
    |  |- MissingPackageError  an optional package or program is not installed
    |  `- UntoldError         a format or an image has to be named; each caller has its own flag for it
    |- InputError 3            a file or an array is not what is needed
    |  |- FileError            missing, unreadable, truncated, not writable
    |  |- GeometryError        grid, spacing, direction or extent
    |  |- NotCTError           intensities are not Hounsfield units
    |  |- TransformError       a transform file that cannot be what it should be
    |  `- DegeneratePointsError  too few points, or all in one plane
    |- WeightsError 4          weights missing or damaged
    |- MemoryLimitError 5      the work does not fit into memory
    `- QualityError 10         finished, but the result fails its check
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
"""What libraries and the loader say, in lower case; a thread that cannot be started has no room for its stack."""


class SameregError(Exception):
    """Base of all errors raised on purpose; its text is one sentence for the user."""

    exit_code = 1


class UsageError(SameregError):
    """The command or call is put together wrongly."""

    exit_code = 2


class MissingPackageError(UsageError):
    """An optional package or program that was asked for is not installed."""


class UntoldError(UsageError):
    """Something has to be named that the files do not tell.

    Attributes:
        what: "format" of a file that is read, "target" format of one that is written, "fixed" or "moving" image,
            or the "image" of points, which is one of them.
    """

    def __init__(self, sentence: str, *, what: str) -> None:
        """Keep the sentence, which names no flag, and what is missing."""
        super().__init__(sentence)
        self.what = what


class InputError(SameregError):
    """A file or an array is not what is needed."""

    exit_code = 3


class FileError(InputError):
    """A file is missing, unreadable, truncated or cannot be written."""


class GeometryError(InputError):
    """A grid, spacing, direction or extent cannot be used."""


class NotCTError(InputError):
    """Intensities are not Hounsfield units of a CT."""


class TransformError(InputError):
    """A transform file or object cannot be used as asked."""


class DegeneratePointsError(InputError):
    """Too few points, or points that do not span space."""


class WeightsError(SameregError):
    """Weights are missing, damaged or of another network."""

    exit_code = 4


class MemoryLimitError(SameregError):
    """The work does not fit into memory."""

    exit_code = 5


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, numpy, torch, ITK or the system says that memory ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    text = str(error).lower()
    return any(words in text for words in _NO_MEMORY)


class QualityError(SameregError):
    """The computation finished, but its result fails a check."""

    exit_code = 10


class NoOverlapError(QualityError):
    """Too little common anatomy to register."""


class MirroredError(QualityError):
    """One scan is the mirror image of anatomy like that of the other."""
