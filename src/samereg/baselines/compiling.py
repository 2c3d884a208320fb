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
    """The function, compiled at its first call and kept on disk for the next process, where that can be written.

    It runs without the interpreter's lock, so that threads run side by side. Decorate with `no_type_check` below it:
    a checked function is no loop that can be compiled.

    Raises:
        MissingPackageError: at the first call, where numba is not installed.
    """

    @cache
    def machine_code() -> Callable[P, R]:
        numba = _prepared()
        try:
            made: Callable[P, R] = numba.njit(nogil=True, fastmath=True, cache=True)(function)
        except RuntimeError:  # nowhere to write: compiled in every process
            made = numba.njit(nogil=True, fastmath=True)(function)
        return made

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return machine_code()(*args, **kwargs)

    return call


def compiler_version(method: str) -> str:
    """Name and release of the compiler; errors as of `needed_package`."""
    return package_version("numba", "numba", method)


def add_differing_bits(sums: Words, one: Words, other: Words, places: tuple[int, int, int]) -> None:
    """Add to `LANES` sums how many bits differ between as many words of two arrays; few instructions.

    Args:
        sums: flat, changed in place.
        one: flat.
        other: flat.
        places: where the sums, the words of the one and the words of the other begin.
    """
    at, first, second = places
    sums[at : at + LANES] += np.bitwise_count(one[first : first + LANES] ^ other[second : second + LANES])


@cache
@no_type_check
def _prepared() -> Any:
    """numba, with `add_differing_bits` made known to it."""
    numba = needed_package("numba", "deeds")
    extending = needed_package("numba.extending", "deeds")
    cgutils = needed_package("numba.core.cgutils", "deeds")
    ir = needed_package("llvmlite.ir", "deeds")
    vector = ir.VectorType(ir.IntType(64), LANES)

    @extending.intrinsic
    def vectorised(_, sums, one, other, places):
        def pointer(context, builder, signature, arguments, n):
            data = context.make_array(signature.args[n])(context, builder, arguments[n]).data
            index = builder.extract_value(arguments[3], n)
            return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())

        def generate(context, builder, signature, arguments):
            pointers = [pointer(context, builder, signature, arguments, n) for n in range(3)]
            total, *words = [builder.load(each, align=8) for each in pointers]
            counting = ir.FunctionType(vector, [vector])
            count = cgutils.get_or_insert_function(builder.module, counting, f"llvm.ctpop.v{LANES}i64")
            builder.store(builder.add(total, builder.call(count, [builder.xor(*words)])), pointers[0], align=8)
            return context.get_dummy_value()

        return numba.types.void(sums, one, other, places), generate

    @extending.overload(add_differing_bits)
    def added(sums, one, other, places):  # noqa: ARG001  numba asks for the names of what is replaced
        return lambda sums, one, other, places: vectorised(sums, one, other, places)  # noqa: PLW0108

    return numba
