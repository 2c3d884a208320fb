from pathlib import Path

import pytest

from samereg.bench.methods import METHODS, SHIPPED_NETWORK, TABLE_1, TABLE_2, RecipeMethod, find_methods
from samereg.errors import UsageError
from samereg.weights.deform import read_deform_weights
from samereg.weights.registry import read_weights

NETWORKS = Path(__file__).parents[2] / "recipes" / "networks"
WITH_NETWORK = [method for method in METHODS if isinstance(method, RecipeMethod) and method.network]


@pytest.mark.parametrize("method", WITH_NETWORK, ids=lambda method: method.name)
def test_the_repository_holds_the_network_of_every_row(method):
    weights = read_deform_weights(method.weights(NETWORKS))
    # the loss of a variant leaves no trace in its architecture; its correlation feature does
    assert weights.header.correlation == (method.network[1] in ("sam-corr", "sam-vm"))
    assert weights.header.form == "velocity"
    assert weights.header.embedding == read_weights("compact").checksum


@pytest.mark.parametrize("folder", sorted(NETWORKS.glob("*/")), ids=lambda folder: folder.name)
def test_every_network_has_a_model_card_of_its_own_variant(folder):
    alignment, _, variant = folder.name.partition("-")
    card = (folder / "deform.md").read_text(encoding="utf-8")
    assert f"variant `{variant}`" in card
    assert ("coarse" in card.split("## Scans")[0]) == (alignment == "fast")
    assert "- steps: " in card
    assert "- seed: " in card


def test_the_networks_of_table_2_had_equal_budgets():
    cards = [(NETWORKS / "-".join(method.network) / "deform.md").read_text() for method in find_methods(TABLE_2)]
    steps = {line for card in cards for line in card.splitlines() if line.startswith("- steps: ")}
    assert len(cards) == 4
    assert len(steps) == 1


def test_without_the_folder_only_the_shipped_network_is_there():
    for method in WITH_NETWORK:
        assert (method.weights(None) is not None) == (method.network == SHIPPED_NETWORK)


def test_every_row_of_the_tables_is_a_method():
    names = {method.name for method in METHODS}
    assert len(TABLE_1) == 12
    assert {*TABLE_1, *TABLE_2} <= names


def test_an_unknown_method_is_named_beside_the_known_ones():
    with pytest.raises(UsageError, match=r"'demons'; need all, or some of identity, .*deeds"):
        find_methods(("sa", "demons"))
