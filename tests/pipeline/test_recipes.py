import pytest
import torch

from samereg.errors import UsageError
from samereg.estimate.deform import Deformer, DeformerRecord
from samereg.matching.filters import ThresholdFilter
from samereg.nets.build import build_deform
from samereg.pipeline.recipes import TABLE_1, TABLE_2, affine_only, fast, named_recipe, same, same_plus
from samereg.weights.deform import DeformHeader


def deformer(variant: str) -> Deformer:
    correlation = variant in ("sam-corr", "sam-vm")
    header = DeformHeader(network="vm-unet", correlation=correlation, form="velocity", embedding="")
    return Deformer(
        net=build_deform("vm-unet", correlation=correlation),
        device=torch.device("cpu"),
        dtype=torch.float32,
        record=DeformerRecord(name=variant, checksum="", header=header, precision="float32"),
    )


NETS = {(start, v): deformer(v) for start in ("affine", "fast") for v in ("vm", "sam-loss", "sam-corr", "sam-vm")}


def names(stages):
    return [stage.name for stage in stages]


def test_presets_build_on_each_other():
    net = NETS["fast", "sam-vm"]
    assert names(affine_only()) == ["affine"]
    assert names(fast()) == ["affine", "coarse"]
    assert names(same(net)) == ["affine", "coarse", "deform"]
    assert names(same_plus(net)) == ["affine", "coarse", "deform", "instance"]


@pytest.mark.parametrize("name", sorted({*TABLE_1, *TABLE_2}))
def test_every_row_of_the_papers_tables_has_its_stages(name):
    stages = named_recipe(name, NETS)
    words = {"SA": "affine", "SC": "coarse"}
    centred = ["centre"] if name == "SC" else []
    assert names(stages) == centred + [words.get(part, "deform") for part in name.replace("SAM-", "SAM_").split("+")]


@pytest.mark.parametrize(("name", "start"), [("SA+SC+VM", "fast"), ("SA+VM", "affine"), ("SA+SAM-loss", "affine")])
def test_rows_use_the_network_of_their_alignment(name, start):
    (*_, last) = named_recipe(name, NETS)
    assert last.deformer in [net for (of, _), net in NETS.items() if of == start]


def test_a_filter_is_that_of_every_matching_stage():
    assert all(s.filter == ThresholdFilter() for s in named_recipe("SA+SC", NETS, match_filter="threshold"))


def test_unknown_rows_and_missing_networks_are_refused():
    with pytest.raises(UsageError, match=r"need one of SA"):
        named_recipe("SB", NETS)
    with pytest.raises(UsageError, match="needs the network"):
        named_recipe("SA+VM", {})
