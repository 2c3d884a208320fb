"""Registration of CT scans by self-supervised anatomical embeddings (SAME).

The names below are the public API; each is imported on first access, so that `import samereg` is
quick.
"""

from typing import TYPE_CHECKING

from samereg import forks as forks  # records forks from here on
from samereg._version import __version__ as __version__

if TYPE_CHECKING:
    from samereg.app.api import PairTransform, RegisteredPair, register
    from samereg.app.session import Registered, Session
    from samereg.app.settings import MatchSettings, RegisterSettings
    from samereg.app.store import ScanStore
    from samereg.errors import SameregError
    from samereg.estimate.deform import load_deformer
    from samereg.geometry.affine import Affine
    from samereg.geometry.chain import Chain, chain
    from samereg.geometry.displacement import Displacement
    from samereg.geometry.grid import Grid
    from samereg.geometry.transform import Transform
    from samereg.geometry.velocity import Velocity
    from samereg.geometry.volume import LabelMap, Volume
    from samereg.image.resample import resample_labels, resample_volume
    from samereg.io.images import read_labels, read_volume, write_labels, write_volume
    from samereg.io.transforms import read_transform, write_transform
    from samereg.matching.embed import load_embedder
    from samereg.pipeline.recipes import affine_only, fast, same, same_plus
    from samereg.pipeline.register import Registration
    from samereg.pipeline.register import register as run_stages

_HOMES = {
    "Affine": "samereg.geometry.affine",
    "Chain": "samereg.geometry.chain",
    "Displacement": "samereg.geometry.displacement",
    "Grid": "samereg.geometry.grid",
    "LabelMap": "samereg.geometry.volume",
    "PairTransform": "samereg.app.api",
    "MatchSettings": "samereg.app.settings",
    "RegisterSettings": "samereg.app.settings",
    "Registered": "samereg.app.session",
    "RegisteredPair": "samereg.app.api",
    "ScanStore": "samereg.app.store",
    "Session": "samereg.app.session",
    "Registration": "samereg.pipeline.register",
    "SameregError": "samereg.errors",
    "Transform": "samereg.geometry.transform",
    "Velocity": "samereg.geometry.velocity",
    "Volume": "samereg.geometry.volume",
    "affine_only": "samereg.pipeline.recipes",
    "chain": "samereg.geometry.chain",
    "fast": "samereg.pipeline.recipes",
    "load_deformer": "samereg.estimate.deform",
    "load_embedder": "samereg.matching.embed",
    "read_labels": "samereg.io.images",
    "read_transform": "samereg.io.transforms",
    "read_volume": "samereg.io.images",
    "register": "samereg.app.api",
    "resample_labels": "samereg.image.resample",
    "resample_volume": "samereg.image.resample",
    "run_stages": "samereg.app.api",
    "same": "samereg.pipeline.recipes",
    "same_plus": "samereg.pipeline.recipes",
    "write_labels": "samereg.io.images",
    "write_transform": "samereg.io.transforms",
    "write_volume": "samereg.io.images",
}

__all__ = [
    "Affine",
    "Chain",
    "Displacement",
    "Grid",
    "LabelMap",
    "MatchSettings",
    "PairTransform",
    "RegisterSettings",
    "Registered",
    "RegisteredPair",
    "Registration",
    "SameregError",
    "ScanStore",
    "Session",
    "Transform",
    "Velocity",
    "Volume",
    "__version__",
    "affine_only",
    "chain",
    "fast",
    "load_deformer",
    "load_embedder",
    "read_labels",
    "read_transform",
    "read_volume",
    "register",
    "resample_labels",
    "resample_volume",
    "run_stages",
    "same",
    "same_plus",
    "write_labels",
    "write_transform",
    "write_volume",
]


def __getattr__(name: str) -> object:
    """Imports a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'samereg' has no attribute '{name}'")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
