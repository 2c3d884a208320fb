"""A session without networks: scans are read and checked as always, but never embedded, and registrations are known."""

from collections.abc import Callable
from dataclasses import make_dataclass

import pytest
import torch
from torch import Tensor

from samereg.app import session, store
from samereg.app.settings import RegisterSettings
from samereg.geometry.grid import Grid
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.matching.embed import EmbeddedVolume, EmbedderRecord
from samereg.matching.search import Candidates
from samereg.pipeline.pair import PreparedScan
from samereg.pipeline.register import Registration

EMBEDDING = EmbedderRecord(name="compact", checksum="0" * 64, network="compact", precision="float32")


class NoHeads:
    def project_local(self, rows: Tensor) -> Tensor:
        raise NotImplementedError

    def project_global(self, rows: Tensor) -> Tensor:
        raise NotImplementedError


class NoEmbedder:
    record = EMBEDDING

    def embed(self, model: Volume) -> EmbeddedVolume:
        raise NotImplementedError

    def restore(self, grid: Grid, local: Tensor, global_: Tensor) -> EmbeddedVolume:
        raise NotImplementedError


def prepared_without_networks(volume: Volume, _embedder: object = None) -> PreparedScan:
    """A scan made ready, with nothing in place of its embedding."""
    nothing = torch.zeros(1, 1, 1, 1)
    return PreparedScan(
        volume=volume,
        whole=volume.grid,
        model=volume,
        body=body_mask(volume),
        embedded=EmbeddedVolume(grid=volume.grid, local=nothing, global_=nothing, strides=(1, 1), heads=NoHeads()),
        places=Candidates(points_mm=torch.zeros(0, 3, dtype=torch.float64), embeddings=torch.zeros(0, 1)),
    )


def use_known_session(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Registration]) -> None:
    """Have every session give an answer, and load no networks."""
    monkeypatch.setattr(session, "load_embedder", lambda *_args, **_kwargs: NoEmbedder())
    monkeypatch.setattr(session.Session, "_deformer", lambda *_args: None)
    monkeypatch.setattr(session, "preset", lambda *_args, **choices: session_stages(**choices))
    monkeypatch.setattr(session, "register_pair", lambda *_args, **_kwargs: answer())
    monkeypatch.setattr(store, "prepare_scan", prepared_without_networks)


def session_stages(**choices: object) -> tuple[object, ...]:
    """The stages of `fast`, whatever was asked for: the others need a network."""
    return session_preset("fast", None, **choices)


session_preset = session.preset


def unchecked_settings() -> RegisterSettings:
    """Settings whose values are not looked at by the type checking of tests, which would refuse wrong ones first."""
    kind = make_dataclass("UncheckedSettings", [], bases=(RegisterSettings,), frozen=True, kw_only=True)
    return kind()


def use_known_confidence(monkeypatch: pytest.MonkeyPatch, error_mm: float) -> None:
    """Have every session expect the same error everywhere."""

    def everywhere(pair, *_rest: object) -> Volume:
        volume = pair.fixed.volume
        return Volume(data=torch.full_like(volume.data, error_mm), grid=volume.grid, stored_dtype="float32")

    monkeypatch.setattr(session, "confidence_of", everywhere)
