"""Organs of the chest and lower neck of the template, and the mediastinum between the lungs."""

from dataclasses import dataclass

from samereg.phantom import heart, vessels
from samereg.phantom.placing import Place, placing, vessel
from samereg.phantom.shapes import Curve, Point, Solid, ellipsoid, grown, tube
from samereg.phantom.spine import spine_curve
from samereg.phantom.variation import Variation

_CARINA: Point = (-2.0, 8.0, 35.0)
_TRACHEA = (
    (0.0, -13.0, 240.0), (0.0, -13.0, 180.0), (0.0, -13.0, 150.0), (-1.0, -8.0, 110.0), (-5.5, 1.0, 68.0),
    _CARINA,
)  # fmt: skip
_RIGHT_BRONCHUS = (_CARINA, (-14.0, 10.0, 21.0), (-28.0, 13.0, 9.0), (-38.0, 15.0, -4.0))
_LEFT_BRONCHUS = (_CARINA, (15.0, 10.0, 23.0), (30.0, 14.0, 12.0), (43.0, 18.0, 0.0))
_AIRWAY_WALL_MM = 1.8
_GULLET = (
    (2.0, -1.0, 240.0), (2.0, -1.0, 180.0), (4.0, 2.0, 150.0), (5.0, 10.0, 112.0), (5.0, 22.0, 75.0),
    (4.0, 27.0, 40.0), (4.0, 33.0, 10.0), (5.0, 34.0, -20.0), (7.0, 31.0, -50.0), (13.0, 20.0, -80.0),
    (22.0, 10.0, -102.0), (34.0, 6.0, -114.0),
)  # fmt: skip
_GULLET_GAS = ((5.0, 10.0, 112.0), (5.0, 17.0, 92.0), (5.0, 22.0, 75.0))
_THYROID_LOBE: Point = (17.0, -12.0, 148.0)
_ISTHMUS = ((-13.0, -21.0, 142.0), (0.0, -26.0, 141.0), (13.0, -21.0, 142.0))
_UPPER_MEDIASTINUM = ((0.0, -4.0, 240.0), (0.0, 0.0, 120.0), (2.0, 4.0, 60.0), (2.0, 8.0, 15.0))
_INLET = ((0.0, 22.0, 144.0), (38.0, 80.0, 26.0))
"""Ellipsoid that separates the lung apices: centre and radii."""
_FRONT_SEPTUM = ((3.0, -60.0, 70.0), (4.0, -68.0, 30.0), (6.0, -72.0, -20.0), (12.0, -76.0, -70.0))
_BACK_SEPTUM = ((0.0, 16.0, 30.0), (0.0, 22.0, -60.0))
_LINED = (
    "ascending_aorta", "aortic_arch", "descending_aorta", "superior_vena_cava", "inferior_vena_cava",
    "right_brachiocephalic_vein", "left_brachiocephalic_vein", "brachiocephalic_artery",
    "left_common_carotid_artery", "oesophagus", "trachea",
)  # fmt: skip
"""Structures separated from the lungs by a thin layer of fat."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chest:
    """Organs of one subject's chest.

    Attributes:
        solids: shape of each organ or tissue, by its name in the table of organs.
        mediastinum: region between the lungs, which they do not enter.
        hila: first and second point of the stem of each lung's arteries, veins and bronchi.
        points_mm: named points.
    """

    solids: dict[str, Solid]
    mediastinum: Solid
    hila: dict[str, Curve]
    points_mm: dict[str, Point]


def build_chest(variation: Variation) -> Chest:
    """Heart, vessels, airways, oesophagus and thyroid, joined to each other."""
    place = placing(variation)
    solids = (
        heart.heart_solids(variation, place)
        | vessels.arteries(variation, place)
        | vessels.veins(variation, place)
        | _airways(variation, place)
        | _neck(variation, place)
    )
    return Chest(
        solids=solids,
        mediastinum=_mediastinum(variation, place, solids),
        hila=_hila(place),
        points_mm=_points(place),
    )


def _airways(variation: Variation, place: Place) -> dict[str, Solid]:
    size = variation.size("airway")
    lumina = {
        "trachea": vessel(place, _TRACHEA, 8.2 * size, flatten=(1.0, 1.06, 1.0)),
        "right_main_bronchus": vessel(place, _RIGHT_BRONCHUS, 7.0 * size, 5.8 * size),
        "left_main_bronchus": vessel(place, _LEFT_BRONCHUS, 6.6 * size, 5.2 * size),
    }
    walls = tuple(part for solid in lumina.values() for part in grown(solid, _AIRWAY_WALL_MM))
    return lumina | {"organ_wall": walls}


def _neck(variation: Variation, place: Place) -> dict[str, Solid]:
    size = variation.size("thyroid")
    x, y, z = _THYROID_LOBE
    radii = (8.5 * size, 10.0 * size, 22.0 * size)
    lobes = tuple(ellipsoid(place([(side * x, y, z)])[0], radii) for side in (-1.0, 1.0))
    gullet = vessel(place, _GULLET, 6.4 * variation.size("oesophagus"), flatten=(0.8, 1.0, 1.0))
    return {
        "oesophagus": gullet,
        "gas": vessel(place, _GULLET_GAS, 1.5),
        "thyroid": (*lobes, *vessel(place, _ISTHMUS, 3.8 * size)),
    }


def _mediastinum(variation: Variation, place: Place, solids: dict[str, Solid]) -> Solid:
    chambers = solids["myocardium"] + solids["right_ventricle"] + solids["right_atrium"]
    lined = tuple(part for name in _LINED for part in solids[name])
    spine = spine_curve(-240.0, 160.0, across_mm=0.0, behind_mm=6.0)
    return (
        *heart.pericardium(variation, place),
        *grown(chambers, 4.0),
        *grown(solids["left_atrium"][:1], 1.0),
        *tube(spine, 19.0, flatten=(1.0, 0.78, 1.0)),
        *grown(lined, 2.0),
        *grown(vessels.pulmonary_trunk(variation, place), 1.0),
        *vessel(place, _UPPER_MEDIASTINUM, 17.0, flatten=(0.72, 0.70, 1.0)),
        ellipsoid(*_INLET),
        *vessel(place, _FRONT_SEPTUM, 2.8, flatten=(1.0, 0.10, 1.0)),
        *vessel(place, _BACK_SEPTUM, 5.0, flatten=(1.0, 0.40, 1.0)),
    )


def _hila(place: Place) -> dict[str, Curve]:
    stems = {
        "right_artery": vessels.RIGHT_PULMONARY[-2:],
        "left_artery": vessels.LEFT_PULMONARY[-2:],
        "right_bronchus": _RIGHT_BRONCHUS[-2:],
        "left_bronchus": _LEFT_BRONCHUS[-2:],
    }
    return {name: place(knots) for name, knots in (stems | heart.PULMONARY_VEINS).items()}


def _points(place: Place) -> dict[str, Point]:
    named = {
        "carina": _CARINA,
        "aortic_arch_middle": vessels.ARCH_MIDDLE,
        "aortic_root": vessels.AORTIC_ROOT,
        "pulmonary_bifurcation": vessels.BIFURCATION,
        "venous_confluence": vessels.CONFLUENCE,
        "cavoatrial_junction": vessels.CAVOATRIAL,
        "brachiocephalic_origin": vessels.INNOMINATE_ORIGIN,
        "left_subclavian_origin": vessels.SUBCLAVIAN_ORIGIN,
        "left_ventricle_centre": heart.LEFT_VENTRICLE,
        "left_atrium_centre": heart.LEFT_ATRIUM,
        "thyroid_isthmus": _ISTHMUS[1],
    }
    placed = place(list(named.values()))
    return {name: (float(x), float(y), float(z)) for name, (x, y, z) in zip(named, placed, strict=True)}
