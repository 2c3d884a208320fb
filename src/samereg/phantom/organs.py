"""The 35 labelled organs of the phantom: label value, name, group and HU in both phases.

Nine groups, after SAME (Liu et al., MICCAI 2021, Fig. 2). Tissues that are drawn without a label of their
own (fat, skin, unnamed muscle and vessels, kidneys, cartilage) are in ``TISSUES``.
"""

from dataclasses import dataclass

PHASES = ("NC", "CE")
"""Non-contrast and contrast-enhanced."""

GROUPS = ("lung", "heart", "airway", "oesophagus", "artery", "vein", "bone", "muscle", "other")


@dataclass(frozen=True, kw_only=True, slots=True)
class Organ:
    """An organ or tissue with its mean HU in each phase.

    ``value`` is its label: 1 to 35 for organs, 0 for a tissue that is background, ``None`` for a tissue
    inside an organ, which leaves the organ's label as it is.
    """

    value: int | None
    name: str
    group: str
    nc_hu: float
    ce_hu: float


_ORGANS = (
    ("right_lung", "lung", -855.0, -850.0),
    ("left_lung", "lung", -855.0, -850.0),
    ("left_atrium", "heart", 42.0, 230.0),
    ("left_ventricle", "heart", 42.0, 225.0),
    ("right_atrium", "heart", 42.0, 205.0),
    ("right_ventricle", "heart", 42.0, 215.0),
    ("myocardium", "heart", 47.0, 112.0),
    ("trachea", "airway", -985.0, -985.0),
    ("right_main_bronchus", "airway", -970.0, -970.0),
    ("left_main_bronchus", "airway", -970.0, -970.0),
    ("oesophagus", "oesophagus", 32.0, 62.0),
    ("ascending_aorta", "artery", 42.0, 240.0),
    ("aortic_arch", "artery", 42.0, 240.0),
    ("descending_aorta", "artery", 42.0, 232.0),
    ("pulmonary_artery", "artery", 42.0, 245.0),
    ("brachiocephalic_artery", "artery", 42.0, 232.0),
    ("left_common_carotid_artery", "artery", 42.0, 228.0),
    ("left_subclavian_artery", "artery", 42.0, 228.0),
    ("superior_vena_cava", "vein", 42.0, 255.0),
    ("inferior_vena_cava", "vein", 42.0, 122.0),
    ("right_brachiocephalic_vein", "vein", 42.0, 170.0),
    ("left_brachiocephalic_vein", "vein", 42.0, 265.0),
    ("vertebrae", "bone", 185.0, 200.0),
    ("ribs", "bone", 210.0, 215.0),
    ("sternum", "bone", 150.0, 160.0),
    ("right_clavicle", "bone", 230.0, 235.0),
    ("left_clavicle", "bone", 230.0, 235.0),
    ("scapulae", "bone", 230.0, 235.0),
    ("pectoral_muscles", "muscle", 52.0, 64.0),
    ("back_muscles", "muscle", 52.0, 64.0),
    ("spinal_cord", "other", 36.0, 44.0),
    ("thyroid", "other", 110.0, 175.0),
    ("liver", "other", 58.0, 104.0),
    ("spleen", "other", 50.0, 122.0),
    ("stomach", "other", 12.0, 14.0),
)

_TISSUES = (
    ("air", None, -1000.0, -1000.0),
    ("table", None, -120.0, -120.0),
    ("foam", None, -930.0, -930.0),
    ("skin", None, 5.0, 15.0),
    ("fat", None, -102.0, -98.0),
    ("gland", None, 15.0, 40.0),
    ("muscle", None, 50.0, 60.0),
    ("bowel", None, 28.0, 70.0),
    ("kidney", 0, 32.0, 175.0),
    ("gas", None, -960.0, -960.0),
    ("organ_wall", 0, 35.0, 60.0),
    ("heart_wall", 0, 47.0, 112.0),
    ("other_artery", 0, 42.0, 228.0),
    ("other_vein", 0, 42.0, 160.0),
    ("liver_vein", None, 42.0, 150.0),
    ("lung_artery", None, 42.0, 235.0),
    ("lung_vein", None, 42.0, 215.0),
    ("lung_airway_wall", None, 10.0, 20.0),
    ("fissure", None, -640.0, -640.0),
    ("cartilage", 0, 95.0, 100.0),
    ("disc", 0, 75.0, 85.0),
    ("canal_fluid", 0, 8.0, 8.0),
    ("other_bone", 0, 230.0, 235.0),
)

ORGANS = tuple(
    Organ(value=value, name=name, group=group, nc_hu=nc_hu, ce_hu=ce_hu)
    for value, (name, group, nc_hu, ce_hu) in enumerate(_ORGANS, start=1)
)

TISSUES = tuple(
    Organ(value=value, name=name, group="tissue", nc_hu=nc_hu, ce_hu=ce_hu) for name, value, nc_hu, ce_hu in _TISSUES
)

ORGAN_NAMES = {value: organ.name for value, organ in enumerate(ORGANS, start=1)}
"""Name of each label value."""

_BY_NAME = {organ.name: organ for organ in (*ORGANS, *TISSUES)}


def find_organ(name: str) -> Organ:
    """Organ or tissue of this name; ``KeyError`` where there is none.

    >>> find_organ("liver").value
    33
    """
    return _BY_NAME[name]
