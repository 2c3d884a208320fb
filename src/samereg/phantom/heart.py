"""Chambers of the heart and the myocardium."""

from samereg.phantom.placing import Place, axes_along, vessel
from samereg.phantom.shapes import Part, Point, Solid, cut, ellipsoid, grown, outside
from samereg.phantom.variation import Variation

LEFT_VENTRICLE: Point = (38.0, -24.0, -50.0)
LEFT_ATRIUM: Point = (8.0, 8.0, -22.0)

PULMONARY_VEINS: dict[str, tuple[Point, Point]] = {
    "right_upper_vein": ((-12.0, 10.0, -16.0), (-34.0, 10.0, -8.0)),
    "right_lower_vein": ((-12.0, 12.0, -28.0), (-32.0, 18.0, -34.0)),
    "left_upper_vein": ((26.0, 12.0, -16.0), (44.0, 12.0, -8.0)),
    "left_lower_vein": ((26.0, 14.0, -28.0), (42.0, 22.0, -32.0)),
}

_LEFT_RADII = (43.0, 23.5, 23.5)
_WALL_MM = 10.0
_RIGHT_WALL_MM = 3.5
_LONG_AXIS = (0.66, -0.50, -0.56)
"""From the base to the apex: left, forward and down."""


def heart_solids(variation: Variation, place: Place) -> dict[str, Solid]:
    """Chambers, myocardium (which includes the left ventricle's cavity; paint that later), right wall."""
    wall = _WALL_MM * variation.size("wall")
    epicardium = _left_ventricle(variation, place, wall)
    around = outside(epicardium.distance)
    right, atrium, back = (
        cut(part, around, blend_mm=3.0)
        for part in (
            _right_ventricle(variation, place),
            _chamber(variation, place, (-31.0, -20.0, -38.0), "right_atrium", (24.0, 30.0, 36.0)),
            _chamber(variation, place, LEFT_ATRIUM, "left_atrium", (36.0, 20.0, 25.0)),
        )
    )
    veins = tuple(part for knots in PULMONARY_VEINS.values() for part in vessel(place, knots, 6.5))
    return {
        "left_ventricle": (_left_ventricle(variation, place, 0.0),),
        "myocardium": (epicardium,),
        "right_ventricle": (right,),
        "heart_wall": grown((right,), _RIGHT_WALL_MM),
        "right_atrium": (atrium,),
        "left_atrium": (back, *veins),
    }


def pericardium(variation: Variation, place: Place) -> Solid:
    """The sac with the fat around the heart, and its foot on the diaphragm."""
    size = variation.heart
    sac = ellipsoid(
        place([(14.0, -22.0, -44.0)])[0],
        [74.0 * size, 52.0 * size, 52.0 * size],
        axes=variation.heart_turn @ axes_along((0.80, -0.40, -0.38)),
    )
    foot = ellipsoid(place([(16.0, -32.0, -74.0)])[0], [66.0 * size, 48.0 * size, 34.0])
    return (sac, foot)


def _left_ventricle(variation: Variation, place: Place, wall_mm: float) -> Part:
    size = variation.heart * variation.size("left_ventricle")
    radii = [size * radius + wall_mm for radius in _LEFT_RADII]
    return ellipsoid(place([LEFT_VENTRICLE])[0], radii, axes=variation.heart_turn @ axes_along(_LONG_AXIS))


def _right_ventricle(variation: Variation, place: Place) -> Part:
    size = variation.heart * variation.size("right_ventricle")
    axes = variation.heart_turn @ axes_along((0.75, -0.12, -0.60))
    return ellipsoid(place([(12.0, -48.0, -52.0)])[0], [size * 51.0, size * 36.0, size * 27.0], axes=axes)


def _chamber(variation: Variation, place: Place, centre: Point, name: str, radii_mm: Point) -> Part:
    size = variation.heart * variation.size(name)
    return ellipsoid(place([centre])[0], [size * radius for radius in radii_mm])
