"""Registry of methods by name: SAME's recipes and the baselines."""

from dataclasses import dataclass
from pathlib import Path

from samereg.baselines.method import Method as Baseline
from samereg.baselines.methods import METHODS as BASELINES
from samereg.errors import UsageError
from samereg.pipeline.recipes import Deformers, named_recipe, same_plus
from samereg.pipeline.stage import Stage

NetworkName = tuple[str, str]
"""Alignment in training (`affine` or `fast`) and variant of a deformation network."""

SHIPPED_NETWORK: NetworkName = ("fast", "sam-vm")

BEST = "SAME++"
"""The recipe that is not a row of the paper."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeMethod:
    """A recipe of SAME.

    Attributes:
        name: in commands, folders and records.
        title: in tables.
        row: row of the paper's tables, or `BEST`.
        network: required deformation network, or None.
    """

    name: str
    title: str
    row: str
    network: NetworkName | None = None

    def stages(self, deformers: Deformers) -> tuple[Stage, ...]:
        """Its stages, in order.

        Args:
            deformers: at least the required network.
        """
        if self.row == BEST:
            return same_plus(deformers[SHIPPED_NETWORK])
        return named_recipe(self.row, deformers)

    def weights(self, networks: Path | None) -> str | None:
        """Name or path of the weights of its network; None if it needs none, or if they are missing.

        Args:
            networks: folder of ALIGNMENT-VARIANT/deform.safetensors, as written by `recipes/deform.py`.
        """
        if self.network is None:
            return None
        path = networks / "-".join(self.network) / "deform.safetensors" if networks else None
        if path is not None and path.is_file():
            return str(path)
        return "sam-vm" if self.network == SHIPPED_NETWORK else None


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineMethod:
    """A baseline method.

    Attributes:
        name: in commands, folders and records; one of `samereg.baselines.methods`.
        title: in tables.
        alone: whether each registration runs in a separate process, as for external libraries.
    """

    name: str
    title: str
    alone: bool = True

    def load(self) -> Baseline:
        """The method with its default settings."""
        return BASELINES[self.name]()


BenchMethod = RecipeMethod | BaselineMethod

OURS = "sa+sc+sam-vm"
"""The reference method of comparisons."""

METHODS: tuple[BenchMethod, ...] = (
    BaselineMethod(name="identity", title="no registration", alone=False),
    BaselineMethod(name="centre-of-mass", title="centre of mass", alone=False),
    BaselineMethod(name="elastix-affine", title="Elastix-affine"),
    BaselineMethod(name="mind-affine", title="MIND-affine"),
    RecipeMethod(name="sa", title="SAM-affine (SA)", row="SA"),
    RecipeMethod(name="sc", title="SAM-coarse (SC)", row="SC"),
    RecipeMethod(name="sa+sc", title="SA + SC", row="SA+SC"),
    RecipeMethod(name="sa+vm", title="SA + VM", row="SA+VM", network=("affine", "vm")),
    RecipeMethod(
        name="sa+sam-loss", title="SA + SAM-VM, loss alone", row="SA+SAM-loss", network=("affine", "sam-loss")
    ),
    RecipeMethod(
        name="sa+sam-corr", title="SA + SAM-VM, correlation alone", row="SA+SAM-corr", network=("affine", "sam-corr")
    ),
    RecipeMethod(name="sa+sam-vm", title="SA + SAM-VM", row="SA+SAM-VM", network=("affine", "sam-vm")),
    RecipeMethod(name="sa+sc+vm", title="SA + SC + VM", row="SA+SC+VM", network=("fast", "vm")),
    RecipeMethod(name=OURS, title="SA + SC + SAM-VM (SAME)", row="SA+SC+SAM-VM", network=SHIPPED_NETWORK),
    RecipeMethod(name="same++", title="SAME++ (best)", row=BEST, network=SHIPPED_NETWORK),
    BaselineMethod(name="ants-syn", title="SyN"),
    BaselineMethod(name="ffd", title="FFD"),
    BaselineMethod(name="deeds", title="DEEDS"),
    BaselineMethod(name="deeds-original", title="DEEDS (original)"),
    BaselineMethod(name="convex-adam", title="ConvexAdam"),
)

TABLE_1 = (
    "elastix-affine",
    "mind-affine",
    "sa",
    "sc",
    "sa+sc",
    "sa+vm",
    "sa+sam-vm",
    "sa+sc+vm",
    OURS,
    "ants-syn",
    "ffd",
    "deeds",
)
"""The twelve rows of the paper's table 1, in its order."""

TABLE_2 = ("sa+vm", "sa+sam-loss", "sa+sam-corr", "sa+sam-vm")
"""The four rows of the paper's table 2."""


def find_methods(names: tuple[str, ...]) -> tuple[BenchMethod, ...]:
    """Methods by name, in the order of tables; all for `all`.

    Raises:
        UsageError: an unknown name.
    """
    known = {method.name: method for method in METHODS}
    unknown = [name for name in names if name != "all" and name not in known]
    if unknown:
        raise UsageError(f"Got the method '{unknown[0]}'; need all, or some of {', '.join(known)}.")
    return tuple(method for method in METHODS if "all" in names or method.name in names)
