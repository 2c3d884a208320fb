"""Trains a deformation network on scans in files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Literal

import torch

from samereg.app.alignment import align_pairs, pair_set, prepare_scans
from samereg.app.embedding_training import claimed_run, launch, refuse_foreign_folder
from samereg.app.machine import prepare_machine
from samereg.app.plain import to_plain
from samereg.app.progress import OnProgress
from samereg.app.record import versions
from samereg.app.scans import find_scans
from samereg.app.settings import TrainingMachineSettings
from samereg.errors import UsageError
from samereg.io.atomic import atomic_file, contents, require_writable
from samereg.matching.embed import NetEmbedder, load_embedder
from samereg.nets.deform import DeformNet
from samereg.ops.ambient import own_torch
from samereg.pipeline.recipes import affine_only, fast
from samereg.pipeline.stage import Stage
from samereg.training.deform import DeformData, DeformTraining, PairSet, train_deform
from samereg.training.resume import step_generator
from samereg.weights.deform import DeformHeader, read_deform_weights, write_deform_weights

WEIGHTS_NAME = "deform.safetensors"
CARD_NAME = "deform.md"

CARD = """\
# Deformation network for CT

Network `{network}`, variant `{variant}`, predicting a {form}, of samereg {samereg}; trained without labels by
`samereg train deform` on {pairs} ordered pairs of the scans below, aligned by the stages {stages}.

- steps: {steps}, of {crops} crops
- seed: {seed}
- software: samereg {samereg}, torch {torch}
- embedding: `{embedding}`, SHA-256 {checksum}
- input: the fixed and the roughly aligned moving scan at 2 mm, HU window (-800, 400) mapped to (-1, 1)
- output: a field at every second voxel, 4 mm
- intended use: the stage `Deform` of samereg, with the same embedding; not for clinical use
- accuracy: not measured during training; evaluate on labelled pairs that are not listed below

## Scans ({count})

{listing}

Whether the weights may be redistributed depends on the licences of these scans.

## Settings

```json
{settings}
```
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeformSources:
    """Inputs of training a deformation network.

    Attributes:
        data: folder of scans, or text file with one path per line.
        validation: the same for scans used only for validation; None for none.
        embedding: shipped embedding by name, or path of a trained one.
        start: initial deformation weights, by name or path; None for random ones.
        pairs: number of ordered pairs to align and train on, drawn at random; 0 uses all.
        alignment: `fast` (SAM-affine and SAM-coarse) or `affine` (SAM-affine only).
        cache: folder of embeddings and alignments, which runs may share; by default beside the run.
    """

    data: Path
    validation: Path | None = None
    embedding: str = "compact"
    start: str | None = None
    pairs: int = 0
    alignment: Literal["fast", "affine"] = "fast"
    cache: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedDeform:
    """Result of a training run.

    Attributes:
        weights: file that `samereg register --deform` takes.
        scans: number of training scans.
        pairs: number of training pairs.
        steps: total number of optimiser steps, including resumed parts.
    """

    weights: Path
    scans: int
    pairs: int
    steps: int


@own_torch()
def train_deform_from_files(
    sources: DeformSources,
    run: Path,
    *,
    settings: DeformTraining,
    machine: TrainingMachineSettings | None = None,
    on_progress: OnProgress | None = None,
) -> TrainedDeform:
    """Trains a deformation network on unlabelled CT, or resumes a stopped run.

    Args:
        sources: scans, embedding, initial weights.
        run: folder of the run; if it holds a checkpoint, training resumes exactly from there.
        settings: of the training.
        machine: device and threads.
        on_progress: told about each step.

    Raises:
        UsageError: `run` is not a training run, or no two scans share anatomy.
        InputError: an invalid scan.
        WeightsError: embedding or initial weights are missing, damaged, or of another kind of network.
    """
    refuse_foreign_folder(run)
    machine = machine or TrainingMachineSettings()
    device = prepare_machine(machine, seed=settings.seed)
    fabric = launch(device, gpus=machine.gpus)
    cache = sources.cache or run.with_name(f"{run.name}-cache")
    if not (cache.is_dir() and contents(cache)):
        # A complete cache may be read-only.
        require_writable(cache)
    with claimed_run(run, fabric):
        aligner = _Aligner(
            embedder=load_embedder(sources.embedding, device=str(device)),
            stages=fast() if sources.alignment == "fast" else affine_only(),
            cache=cache,
            seed=settings.seed,
            on_progress=on_progress,
        )
        start = _first_weights(sources.start, settings)
        paths = find_scans(sources.data)
        train = aligner.pairs_of(paths, sources.pairs)
        validation = aligner.pairs_of(find_scans(sources.validation), 0) if sources.validation else None

        def report(step: int, steps: int, loss: float) -> None:
            if on_progress is not None:
                on_progress(f"training, loss {loss:.3f}", step, steps)

        data = DeformData(train=train, validation=validation, start=start)
        net = train_deform(data, settings, run, fabric=fabric, on_progress=report)
        if fabric.is_global_zero:
            _write_trained(net, run, settings=settings, aligner=aligner, scans=paths, pairs=len(train.pairs))
    return TrainedDeform(weights=run / WEIGHTS_NAME, scans=len(paths), pairs=len(train.pairs), steps=settings.steps)


def ordered_pairs(scans: int, count: int, *, seed: int) -> list[tuple[int, int]]:
    """Ordered pairs of different scans: all, or `count` drawn at random with a seed."""
    every = list(permutations(range(scans), 2))
    if not count or count >= len(every):
        return every
    order = torch.randperm(len(every), generator=step_generator(seed, 0, rank=-1)).tolist()
    return [every[number] for number in order[:count]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Aligner:
    """Reads, embeds and aligns scans with one embedding and one cache."""

    embedder: NetEmbedder
    stages: tuple[Stage, ...]
    cache: Path
    seed: int
    on_progress: OnProgress | None

    def pairs_of(self, paths: Sequence[Path], count: int) -> PairSet:
        scans = prepare_scans(paths, self.embedder, self.cache, on_progress=self.on_progress)
        wanted = ordered_pairs(len(scans), count, seed=self.seed)
        pairs = align_pairs(scans, wanted, self.embedder, self.stages, cache=self.cache, on_progress=self.on_progress)
        if not pairs:
            raise UsageError(f"none of {len(wanted)} pairs of {len(scans)} scans share enough anatomy to be aligned")
        return pair_set(scans, pairs)


def _write_trained(
    net: DeformNet,
    run: Path,
    *,
    settings: DeformTraining,
    aligner: _Aligner,
    scans: Sequence[Path],
    pairs: int,
) -> None:
    """Writes the weights and their model card to the folder of the run."""
    header = DeformHeader(
        network=settings.network,
        correlation=settings.correlation,
        form=settings.form,
        embedding=aligner.embedder.record.checksum,
    )
    write_deform_weights(net, run / WEIGHTS_NAME, header=header, notes={"settings": json.dumps(to_plain(settings))})
    software = versions()
    card = CARD.format(
        network=settings.network,
        variant=settings.variant,
        form=settings.form,
        samereg=software.samereg,
        torch=software.packages["torch"],
        pairs=pairs,
        stages=" and ".join(stage.name for stage in aligner.stages),
        steps=settings.steps,
        crops=settings.crops.pairs,
        seed=settings.seed,
        embedding=aligner.embedder.record.name,
        checksum=aligner.embedder.record.checksum,
        count=len(scans),
        listing="\n".join(f"- `{path.name}`" for path in scans),
        settings=json.dumps(to_plain(settings), indent=2),
    )
    with atomic_file(run / CARD_NAME) as path:
        path.write_text(card, encoding="utf-8", errors="backslashreplace")


def _first_weights(name: str | None, settings: DeformTraining) -> DeformNet | None:
    if name is None:
        return None
    found = read_deform_weights(name)
    wanted = (settings.network, settings.correlation, settings.form)
    if (found.header.network, found.header.correlation, found.header.form) != wanted:
        raise UsageError(
            f"{name}: holds a {found.header.network} with{'' if found.header.correlation else 'out'} correlation that "
            f"predicts a {found.header.form}, unlike the network to be trained"
        )
    return found.net
