"""Just-in-time compilation of loops by numba, on first call."""

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
"""Number of 64-bit words in the widest register."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function on first call, cached on disk if possible.

    It releases the GIL, so that threads run in parallel. Apply `no_type_check` below it, because
    type-checked functions cannot be compiled.

    Raises:
        MissingPackageError: on first call, if numba is not installed.
    """

    @cache
    def machine_code() -> Callable[P, R]:
        numba = _prepared()
        try:
            made: Callable[P, R] = numba.njit(nogil=True, fastmath=True, cache=True)(function)
        except RuntimeError:  # no writable cache: compiled in every process
            made = numba.njit(nogil=True, fastmath=True)(function)
        return made

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return machine_code()(*args, **kwargs)

    return call


def compiler_version(method: str) -> str:
    """Name and release of the compiler; errors as in `needed_package`."""
    return package_version("numba", "numba", method)


def add_differing_bits(sums: Words, one: Words, other: Words, places: tuple[int, int, int]) -> None:
    """Adds the number of differing bits of `LANES` words of two arrays to as many sums, with few instructions.

    Args:
        sums: flat, changed in place.
        one: flat.
        other: flat.
        places: offsets of the sums, of the first and of the second words.
    """
    at, first, second = places
    sums[at : at + LANES] += np.bitwise_count(one[first : first + LANES] ^ other[second : second + LANES])


@cache
@no_type_check
def _prepared() -> Any:
    """numba, with `add_differing_bits` registered."""
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
