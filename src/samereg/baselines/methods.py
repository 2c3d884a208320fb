"""Registry of baselines by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from samereg.baselines.ants import AntsSyN
from samereg.baselines.convex_adam import ConvexAdam
from samereg.baselines.deeds import Deeds
from samereg.baselines.deeds_original import DeedsOriginal
from samereg.baselines.elastix import FFD, ElastixAffine
from samereg.baselines.method import Method
from samereg.baselines.mind_affine import MindAffine
from samereg.baselines.simple import CentreOfMass, Identity

_MAKERS: tuple[Callable[[], Method], ...] = (
    Identity,
    CentreOfMass,
    ElastixAffine,
    MindAffine,
    FFD,
    AntsSyN,
    Deeds,
    DeedsOriginal,
    ConvexAdam,
)

METHODS: Mapping[str, Callable[[], Method]] = MappingProxyType({make().name: make for make in _MAKERS})
"""Constructors of the methods with default settings."""
