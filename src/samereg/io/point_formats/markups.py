"""Slicer markups (`.mrk.json`): control points in LPS or RAS mm, as declared by each markup."""

import copy
import json
from pathlib import Path
from typing import Any

from samereg.errors import InputError
from samereg.io.atomic import atomic_file
from samereg.io.point_formats.format import PointFormat, by_name
from samereg.io.point_formats.points import (
    OUTSIDE,
    MovedPoints,
    PointSet,
    between_lps_and,
    read_json,
    require_points,
)

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_FRAMES = {"LPS": "LPS", "RAS": "RAS", "0": "RAS", "1": "LPS"}
_MOVABLE = ("Fiducial", "Line", "Angle", "Curve", "ClosedCurve")
"""Markup types defined by their control points alone; a transformed box or plane would not remain one."""


def read_markups(path: Path) -> PointSet:
    """Reads the control points of all markups of a file with their labels; unplaced ones are skipped.

    Raises:
        FileError: missing, or not JSON.
        InputError: not markups, boxes and planes, an unknown frame or unit, or no points.
    """
    document = read_json(path)
    points, labels = [], []
    for markup in _markups(document, path):
        placed = _placed(markup, path)
        if placed:
            positions = require_points([[float(v) for v in point["position"]] for point in placed], path)
            points += between_lps_and(_frame(markup, path), positions).tolist()
            labels += [str(point.get("label", "")) for point in placed]
    return PointSet(points_mm=require_points(points, path), columns={"label": tuple(labels)})


def write_markups(moved: MovedPoints, path: Path, *, source: Path | None) -> None:
    """Writes control points; the rest of the source file is kept, except for its measurements.

    Args:
        moved: in the order of `read_markups`.
        path: output file.
        source: file of the original points; None writes a new list in LPS.
    """
    document = copy.deepcopy(read_json(source)) if source else _new_document(moved)
    rest = zip(moved.points_mm, moved.outside.tolist(), strict=True)
    for markup in _markups(document, path):
        frame = _frame(markup, path)
        for point in _placed(markup, path):
            position, outside = next(rest)
            point["position"] = between_lps_and(frame, position[None])[0].tolist()
            point[OUTSIDE] = bool(outside)
        # Old lengths and angles would be wrong; Slicer recomputes them.
        markup.pop("measurements", None)
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _markups(document: Any, path: Path) -> list[dict[str, Any]]:
    found = document.get("markups") if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(markup, dict) for markup in found):
        raise InputError(f"{path}: holds no markups; need a .mrk.json file of Slicer.")
    others = sorted({str(markup.get("type")) for markup in found} - set(_MOVABLE))
    if others:
        raise InputError(
            f"{path}: holds a markup of type {', '.join(others)}, unsupported; need {', '.join(_MOVABLE)}."
        )
    return found


def _placed(markup: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    controls = [point for point in markup.get("controlPoints", []) if point.get("positionStatus") != "undefined"]
    placed = [point for point in controls if point.get("position") is not None]
    for point in placed:
        position = point["position"]
        if not (
            isinstance(position, list) and len(position) == 3 and all(isinstance(v, int | float) for v in position)
        ):
            raise InputError(f"{path}: has a control point at {str(position)[:60]}; need three numbers.")
    return placed


def _frame(markup: dict[str, Any], path: Path) -> str:
    named = str(markup.get("coordinateSystem", "LPS"))
    unit = markup.get("coordinateUnits", "mm")
    unit = unit[0] if isinstance(unit, list) and unit else unit
    if named not in _FRAMES or unit != "mm":
        raise InputError(f"{path}: has points in {named}, {unit}; need LPS or RAS, mm.")
    return _FRAMES[named]


def _new_document(moved: MovedPoints) -> dict[str, Any]:
    names = next((moved.columns[name] for name in ("label", "name") if name in moved.columns), None)
    labels = names or tuple(f"P-{number + 1}" for number in range(len(moved.points_mm)))
    points = [
        {"id": str(number + 1), "label": label, "position": [0.0, 0.0, 0.0], "positionStatus": "defined"}
        for number, label in enumerate(labels)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    return {"@schema": _SCHEMA, "markups": [markup]}


MARKUPS = PointFormat(
    name="markups",
    suffixes=(".mrk.json",),
    recognise=by_name("markups", ".mrk.json"),
    read=lambda path, _: read_markups(path),
    write=lambda moved, path, source, _: write_markups(moved, path, source=source),
)
