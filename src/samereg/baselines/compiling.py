"""Loops written in Python that run as machine code: numba, asked for when a loop is first called."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, no_type_check

from samereg.baselines.method import needed_package, package_version

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, compiled at its first call and kept on disk for the next process.

    It runs without the interpreter's lock, so that threads run side by side. Decorate with `no_type_check` below it:
    a checked function is no loop that can be compiled.

    Raises:
        MissingPackageError: at the first call, where numba is not installed.
    """

    @cache
    def machine_code() -> Callable[P, R]:
        numba = _prepared()
        made: Callable[P, R] = numba.njit(nogil=True, fastmath=True, cache=True)(function)
        return made

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return machine_code()(*args, **kwargs)

    return call


def compiler_version(method: str) -> str:
    """Name and release of the compiler; errors as of `needed_package`."""
    return package_version("numba", "numba", method)


def count_ones(word: Any) -> Any:
    """Bits that are set in a 64-bit word; one instruction in compiled loops."""
    return int(word).bit_count()


@cache
@no_type_check
def _prepared() -> Any:
    """numba, with `count_ones` made known to it."""
    numba = needed_package("numba", "numba", "deeds")
    extending = needed_package("numba.extending", "numba", "deeds")

    @extending.intrinsic
    def population(_, word):
        def generate(_context, builder, _signature, arguments):
            return builder.ctpop(arguments[0])

        return word(word), generate

    @extending.overload(count_ones)
    def counted(word):  # noqa: ARG001  numba asks for the names of what is replaced
        return lambda word: population(word)  # noqa: PLW0108

    return numba
