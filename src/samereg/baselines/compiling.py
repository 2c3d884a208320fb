"""Loops written in Python that run as machine code: numba, asked for when a loop is first called."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, no_type_check

import numpy as np
from numpy.typing import NDArray

from samereg.baselines.method import needed_package, package_version

P = ParamSpec("P")
R = TypeVar("R")

Words = NDArray[np.uint64]

LANES = 8
"""64-bit words of the widest register."""


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


def add_differing_bits(sums: Words, at: int, one: Words, first: int, other: Words, second: int) -> None:
    """Add to `LANES` sums from `at` how many bits differ between as many words of two arrays; few instructions.

    Args:
        sums: flat, changed in place.
        at: where the sums begin.
        one: flat.
        first: where its words begin.
        other: flat.
        second: where its words begin.
    """
    differing = one[first : first + LANES] ^ other[second : second + LANES]
    sums[at : at + LANES] += np.bitwise_count(differing)


@cache
@no_type_check
def _prepared() -> Any:
    """numba, with `add_differing_bits` made known to it."""
    numba = needed_package("numba", "numba", "deeds")
    extending = needed_package("numba.extending", "numba", "deeds")
    cgutils = needed_package("numba.core.cgutils", "numba", "deeds")
    ir = needed_package("llvmlite.ir", "numba", "deeds")
    vector = ir.VectorType(ir.IntType(64), LANES)

    @extending.intrinsic
    def vectorised(_, sums, at, one, first, other, second):
        def pointer(context, builder, kind, array, index):
            data = context.make_array(kind)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())

        def generate(context, builder, signature, arguments):
            places = [pointer(context, builder, signature.args[n], arguments[n], arguments[n + 1]) for n in (0, 2, 4)]
            total, *words = [builder.load(place, align=8) for place in places]
            count = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector]), f"llvm.ctpop.v{LANES}i64"
            )
            builder.store(builder.add(total, builder.call(count, [builder.xor(*words)])), places[0], align=8)
            return context.get_dummy_value()

        index = numba.types.intp
        return numba.types.void(sums, index, one, index, other, index), generate

    @extending.overload(add_differing_bits)
    def added(sums, at, one, first, other, second):  # noqa: ARG001  numba asks for the names of what is replaced
        return lambda sums, at, one, first, other, second: vectorised(sums, at, one, first, other, second)  # noqa: PLW0108

    return numba
