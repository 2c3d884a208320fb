"""What kind each entry of a run record is of that the report looks at; a damaged record is refused by its entry."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Check = Callable[[Any], str]
"""Where a value is not of its kind: its path below, `.` for itself; empty where it is."""

_ABSENT = object()


def wrong_entry(record: Mapping[str, Any]) -> str:
    """Path of the first entry that is not of its kind; empty for none.

    Example:
        >>> wrong_entry({"versions": 3})
        'versions'
    """
    return _RECORD(record).removeprefix(".").removesuffix(".")


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "."


def _number(value: Any) -> str:
    return "" if isinstance(value, int | float) and not isinstance(value, bool) else "."


def _truth(value: Any) -> str:
    return "" if isinstance(value, bool) else "."


def _optional(check: Check) -> Check:
    return lambda value: "" if value is None or value is _ABSENT else check(value)


def _nullable(check: Check) -> Check:
    return lambda value: "" if value is None else check(value)


def _absent_or(check: Check) -> Check:
    """Of entries that records of earlier versions lack; null is no more allowed than elsewhere."""
    return lambda value: "" if value is _ABSENT else check(value)


def _list(check: Check) -> Check:
    def look(value: Any) -> str:
        if not isinstance(value, Sequence) or isinstance(value, str):
            return "."
        return next((f".{place}{wrong}" for place, each in enumerate(value) if (wrong := check(each))), "")

    return look


def _mapping(check: Check) -> Check:
    def look(value: Any) -> str:
        if not isinstance(value, Mapping):
            return "."
        return next((f".{name}{wrong}" for name, each in value.items() if (wrong := check(each))), "")

    return look


def _object(**checks: Check) -> Check:
    """An object with these entries and any others; one that is missing is `_ABSENT`."""

    def look(value: Any) -> str:
        if not isinstance(value, Mapping):
            return "."
        found = ((name, check(value.get(name, _ABSENT))) for name, check in checks.items())
        return next((f".{name}{wrong}" for name, wrong in found if wrong), "")

    return look


def _anything(_value: Any) -> str:
    return ""


_SCAN = _object(
    path=_nullable(_text),
    sha256=_nullable(_text),
    shape=_list(_number),
    spacing_mm=_list(_number),
    series=_nullable(_text),
)
_STAGE = _object(
    name=_text,
    seconds=_number,
    outcome=_object(converged=_truth, message=_text, iterations=_number),
    matches=_optional(_number),
    used=_optional(_number),
)
_RECORD = _object(
    versions=_object(samereg=_text, python=_text, platform=_text, packages=_mapping(_text)),
    machine=_object(device=_text, name=_text, threads=_number),
    embedding=_optional(_mapping(_anything)),
    deform=_optional(_mapping(_anything)),
    settings=_mapping(_anything),
    fixed=_SCAN,
    moving=_SCAN,
    stages=_list(_STAGE),
    quality=_mapping(_optional(_number)),
    verdict=_absent_or(_object(notes=_absent_or(_list(_text)))),
    seconds=_number,
)
