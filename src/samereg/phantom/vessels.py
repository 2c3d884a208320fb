"""Great arteries and veins of the chest and neck."""

from samereg.phantom.placing import Place, vessel
from samereg.phantom.shapes import Point, Solid
from samereg.phantom.variation import Variation

_Knots = tuple[Point, ...]

AORTIC_ROOT: Point = (8.0, -20.0, -26.0)
ARCH_MIDDLE: Point = (18.0, -2.0, 67.0)
BIFURCATION: Point = (24.0, -24.0, 19.0)
CONFLUENCE: Point = (-27.0, -22.0, 70.0)
CAVOATRIAL: Point = (-29.0, -17.0, -12.0)
INNOMINATE_ORIGIN: Point = (3.0, -19.0, 70.0)
SUBCLAVIAN_ORIGIN: Point = (23.0, 8.0, 68.0)

RIGHT_PULMONARY: _Knots = (
    BIFURCATION, (10.0, -12.0, 18.0), (-10.0, -7.0, 15.0), (-30.0, -3.0, 11.0), (-46.0, 4.0, 4.0),
)  # fmt: skip
LEFT_PULMONARY: _Knots = (
    BIFURCATION, (32.0, -8.0, 25.0), (40.0, 8.0, 26.0), (47.0, 20.0, 16.0), (50.0, 26.0, 2.0),
)  # fmt: skip

_ARCH_START: Point = (-6.0, -26.0, 52.0)
_ARCH_END: Point = (29.0, 34.0, 48.0)
_ASCENDING: _Knots = (
    AORTIC_ROOT,
    (-2.0, -28.0, -6.0),
    (-10.0, -31.0, 16.0),
    (-10.0, -30.0, 36.0),
    _ARCH_START,
)
_ARCH: _Knots = (_ARCH_START, (5.0, -18.0, 63.0), ARCH_MIDDLE, (26.0, 16.0, 61.0), _ARCH_END)
_DESCENDING: _Knots = (
    _ARCH_END, (29.0, 41.0, 28.0), (27.0, 42.0, 0.0), (24.0, 41.0, -35.0), (18.0, 36.0, -75.0),
    (9.0, 27.0, -115.0), (4.0, 18.0, -150.0), (3.0, 9.0, -195.0), (3.0, 5.0, -240.0),
)  # fmt: skip
_TRUNK: _Knots = ((16.0, -48.0, -22.0), (20.0, -46.0, -6.0), (23.0, -38.0, 8.0), BIFURCATION)
_INNOMINATE_END: Point = (-22.0, -10.0, 109.0)
_INNOMINATE: _Knots = (INNOMINATE_ORIGIN, (-5.0, -18.0, 84.0), (-15.0, -13.0, 98.0), _INNOMINATE_END)
_RIGHT_CAROTID: _Knots = (
    _INNOMINATE_END, (-21.0, -6.0, 130.0), (-22.0, -2.0, 160.0), (-24.0, 0.0, 240.0),
)  # fmt: skip
_LEFT_CAROTID: _Knots = (
    (13.0, -9.0, 74.0), (15.0, -8.0, 92.0), (18.0, -4.0, 116.0), (21.0, -2.0, 145.0), (23.0, 0.0, 180.0),
    (24.0, 0.0, 240.0),
)  # fmt: skip
_LEFT_SUBCLAVIAN: _Knots = (
    SUBCLAVIAN_ORIGIN, (26.0, 10.0, 90.0), (32.0, 9.0, 110.0), (50.0, 6.0, 126.0), (76.0, -2.0, 128.0),
    (110.0, 2.0, 120.0), (140.0, 12.0, 100.0),
)  # fmt: skip
_RIGHT_SUBCLAVIAN: _Knots = (
    _INNOMINATE_END, (-34.0, -2.0, 118.0), (-54.0, 4.0, 126.0), (-80.0, -2.0, 127.0), (-112.0, 2.0, 119.0),
    (-140.0, 12.0, 100.0),
)  # fmt: skip

_SUPERIOR_CAVA: _Knots = (CONFLUENCE, (-28.0, -21.0, 45.0), (-29.0, -20.0, 15.0), CAVOATRIAL)
_INFERIOR_CAVA: _Knots = (
    (-27.0, -4.0, -58.0), (-25.0, 6.0, -78.0), (-22.0, 16.0, -100.0), (-20.0, 20.0, -130.0),
    (-19.0, 17.0, -165.0), (-18.0, 11.0, -240.0),
)  # fmt: skip
_LEFT_ANGLE: Point = (36.0, -26.0, 108.0)
_RIGHT_ANGLE: Point = (-36.0, -22.0, 110.0)
_LEFT_BRACHIOCEPHALIC: _Knots = (CONFLUENCE, (-10.0, -36.0, 80.0), (12.0, -38.0, 88.0), _LEFT_ANGLE)
_RIGHT_BRACHIOCEPHALIC: _Knots = (CONFLUENCE, (-30.0, -24.0, 88.0), _RIGHT_ANGLE)
_AZYGOS: _Knots = (
    (-26.0, -8.0, 46.0), (-22.0, 12.0, 50.0), (-10.0, 34.0, 38.0), (-7.0, 38.0, 10.0), (-7.0, 36.0, -60.0),
    (-6.0, 26.0, -120.0),
)  # fmt: skip
_LEFT_JUGULAR: _Knots = (_LEFT_ANGLE, (31.0, -14.0, 135.0), (31.0, -4.0, 180.0), (32.0, 0.0, 240.0))
_RIGHT_JUGULAR: _Knots = (_RIGHT_ANGLE, (-31.0, -14.0, 135.0), (-31.0, -4.0, 180.0), (-32.0, 0.0, 240.0))
_LEFT_ARM_VEIN: _Knots = (_LEFT_ANGLE, (60.0, -22.0, 116.0), (95.0, -10.0, 112.0), (132.0, 2.0, 92.0))
_RIGHT_ARM_VEIN: _Knots = (_RIGHT_ANGLE, (-60.0, -22.0, 116.0), (-95.0, -10.0, 112.0), (-132.0, 2.0, 92.0))


def arteries(variation: Variation, place: Place) -> dict[str, Solid]:
    """Aorta and its branches, pulmonary artery; ``other_artery`` holds the unlabelled ones."""
    aorta, branch, lung = (variation.size(name) for name in ("aorta", "branches", "pulmonary_artery"))
    return {
        "ascending_aorta": vessel(place, _ASCENDING, 15.5 * aorta, 14.5 * aorta),
        "aortic_arch": vessel(place, _ARCH, 14.5 * aorta, 12.8 * aorta),
        "descending_aorta": vessel(place, _DESCENDING, 12.8 * aorta, 10.0 * aorta),
        "pulmonary_artery": (
            *pulmonary_trunk(variation, place),
            *vessel(place, RIGHT_PULMONARY, 11.5 * lung, 8.0),
            *vessel(place, LEFT_PULMONARY, 11.5 * lung, 7.5),
        ),
        "brachiocephalic_artery": vessel(place, _INNOMINATE, 6.3 * branch),
        "left_common_carotid_artery": vessel(place, _LEFT_CAROTID, 4.3 * branch),
        "left_subclavian_artery": vessel(place, _LEFT_SUBCLAVIAN, 5.2 * branch),
        "other_artery": (
            *vessel(place, _RIGHT_CAROTID, 4.3 * branch),
            *vessel(place, _RIGHT_SUBCLAVIAN, 4.6 * branch),
        ),
    }


def pulmonary_trunk(variation: Variation, place: Place) -> Solid:
    """The pulmonary artery before it divides."""
    return vessel(place, _TRUNK, 13.0 * variation.size("pulmonary_artery"))


def veins(variation: Variation, place: Place) -> dict[str, Solid]:
    """Venae cavae and brachiocephalic veins; ``other_vein`` holds the unlabelled ones."""
    cava, vein = variation.size("cava"), variation.size("veins")
    others = (
        (_AZYGOS, 4.0), (_LEFT_JUGULAR, 5.5), (_RIGHT_JUGULAR, 6.0), (_LEFT_ARM_VEIN, 5.0),
        (_RIGHT_ARM_VEIN, 5.0),
    )  # fmt: skip
    return {
        "superior_vena_cava": vessel(place, _SUPERIOR_CAVA, 9.3 * cava),
        "inferior_vena_cava": vessel(place, _INFERIOR_CAVA, 11.5 * cava, flatten=(0.9, 1.0, 1.0)),
        "right_brachiocephalic_vein": vessel(place, _RIGHT_BRACHIOCEPHALIC, 7.0 * vein),
        "left_brachiocephalic_vein": vessel(place, _LEFT_BRACHIOCEPHALIC, 6.6 * vein),
        "other_vein": tuple(part for knots, radius in others for part in vessel(place, knots, radius * vein)),
    }
