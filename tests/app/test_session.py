"""One session answers every question, and computes nothing twice."""

from dataclasses import fields, make_dataclass
from pathlib import Path

import pytest
import torch

from known_session import EMBEDDING, NoEmbedder, prepared_without_networks, use_known_session
from samereg.app import scans, session, store
from samereg.app.registration import register_files
from samereg.app.session import Session, require_same_embedding
from samereg.app.settings import RegisterSettings
from samereg.app.store import ScanStore, content_of, scan_key
from samereg.errors import UsageError, WeightsError
from samereg.estimate.deform import Deformer, DeformerRecord
from samereg.geometry.affine import Affine
from samereg.geometry.volume import Volume
from samereg.io import images
from samereg.io.images import read_volume, write_volume
from samereg.io.transform_files import write_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.matching.matches import no_matches
from samereg.nets.build import build_deform
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.coarse import CoarseStage
from samereg.pipeline.deform import DeformStage
from samereg.pipeline.instance import InstanceStage
from samereg.pipeline.pair import PreparedScan
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import Registration
from samereg.report.page import write_report
from samereg.weights.deform import DeformHeader

TURN = Affine.from_parts(
    torch.tensor([[1.0, 0.1, 0.0], [0.0, 1.1, 0.0], [0.0, 0.0, 0.9]], dtype=torch.float64),
    torch.tensor([3.0, 4.0, 5.0], dtype=torch.float64),
)


def known_answer() -> Registration:
    quality = Quality(**{each.name: 1 if each.name == "match_count" else 0.5 for each in fields(Quality)})
    return Registration(transform=TURN, inverse=TURN.inverse(), matches=no_matches(), stages=(), quality=quality)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(session, "load_embedder", lambda *_args, **_kwargs: NoEmbedder())
    monkeypatch.setattr(session, "load_deformer", lambda *_args, **_kwargs: deformer("0" * 64))
    return Session(device="cpu")


def deformer(embedding: str) -> Deformer:
    header = DeformHeader(network="vm-unet", correlation=True, form="velocity", embedding=embedding)
    return Deformer(
        net=build_deform("vm-unet", correlation=True),
        device=torch.device("cpu"),
        dtype=torch.float32,
        record=DeformerRecord(name="mine", checksum="", header=header, precision="float32"),
    )


def test_presets_are_recipes(opened: Session) -> None:
    names = ("affine", "fast", "default", "best")
    stages = {name: [type(stage) for stage in opened.stages(RegisterSettings(preset=name))] for name in names}
    assert stages["affine"] == [AffineStage]
    assert stages["fast"] == [AffineStage, CoarseStage]
    assert stages["default"] == [AffineStage, CoarseStage, DeformStage]
    assert stages["best"] == [AffineStage, CoarseStage, DeformStage, InstanceStage]


def test_presets_without_a_network_load_none(opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "load_deformer", lambda *_args, **_kwargs: pytest.fail("loaded"))
    for preset in ("fast", "affine"):
        opened.stages(RegisterSettings(preset=preset))


def test_a_network_of_another_embedding_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"was trained with the embedding 1111.*train deform --embedding"):
        require_same_embedding(deformer("1" * 64), NoEmbedder())


def test_settings_reach_the_stages(opened: Session) -> None:
    settings = RegisterSettings(preset="fast", filter="threshold", affine_model="rigid", filler="linear", seed=3)
    affine, coarse = opened.stages(settings)
    assert isinstance(affine, AffineStage)
    assert isinstance(coarse, CoarseStage)
    assert (affine.model, affine.seed, coarse.filler) == ("rigid", 3, "linear")
    assert type(affine.filter).__name__ == type(coarse.filter).__name__ == "ThresholdFilter"


def test_a_given_start_takes_the_place_of_the_affine_stage(
    opened: Session, small_ct: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "theirs.mat"
    write_transform_file(TURN, path, format="greedy", spaces=Spaces())
    begun_with = []
    monkeypatch.setattr(session, "register_pair", lambda *_args, **more: begun_with.append(more) or known_answer())
    scan = prepared_without_networks(small_ct)
    opened.register(scan, scan, RegisterSettings(preset="fast", init=path, init_format="greedy"))
    (given,) = begun_with
    assert [type(stage) for stage in given["stages"]] == [CoarseStage]
    torch.testing.assert_close(given["start"].matrix, TURN.matrix)
    with pytest.raises(UsageError, match="--preset affine"):
        opened.stages(RegisterSettings(preset="affine", init=path))


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[object]:
    """Calls of a function from now on, by first argument."""
    calls: list[object] = []
    original = getattr(module, name)

    def counting(*arguments: object, **more: object) -> object:
        calls.append(arguments[0])
        return original(*arguments, **more)

    monkeypatch.setattr(module, name, counting)
    return calls


def test_a_command_reads_hashes_and_prepares_each_scan_once(
    small_ct: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz"]
    for path in paths:
        write_volume(small_ct, path)
    use_known_session(monkeypatch, known_answer)
    monkeypatch.setattr(session, "confidence_of", lambda pair, *_rest: pair.fixed.volume)
    calls = {
        name: counted(monkeypatch, module, name)
        for module, name in ((scans, "sha256_of"), (images, "_read"), (store, "prepare_scan"))
    }
    found = register_files(*paths, tmp_path / "out", settings=RegisterSettings(confidence=True))
    write_report(tmp_path / "out", found=found)
    assert calls["sha256_of"] == paths
    assert [path for path in calls["_read"] if path in paths] == paths
    assert [volume.source.path for volume in calls["prepare_scan"]] == paths


def test_a_store_keeps_the_last_scans_and_tells_them_apart_by_content(
    small_ct: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = []

    def counting(volume: Volume, _embedder: object) -> PreparedScan:
        prepared.append(volume)
        return prepared_without_networks(volume)

    monkeypatch.setattr(store, "prepare_scan", counting)
    kept, embedder = ScanStore(scans=1), NoEmbedder()
    other = Volume(data=small_ct.data + 1, grid=small_ct.grid)
    same = Volume(data=small_ct.data.clone(), grid=small_ct.grid)
    for volume in (small_ct, same, other, other, small_ct):
        kept.prepare(volume, embedder)
    assert len(prepared) == 3
    ScanStore().prepare(small_ct, embedder)
    ScanStore().prepare(small_ct, embedder)
    assert len(prepared) == 5


def test_the_key_of_a_scan_names_content_weights_and_number_format(small_ct: Volume, tmp_path: Path) -> None:
    class Other(NoEmbedder):
        record = type(EMBEDDING)(name="compact", checksum="1" * 64, network="compact", precision="float32")

    write_volume(small_ct, tmp_path / "scan.nii.gz")
    read = scans.read_scan(tmp_path / "scan.nii.gz")
    keys = {scan_key(volume, embedder) for volume in (small_ct, read) for embedder in (NoEmbedder(), Other())}
    assert len(keys) == 4
    assert scan_key(read, NoEmbedder()) == scan_key(scans.read_scan(tmp_path / "scan.nii.gz"), NoEmbedder())
    assert content_of(read_volume(tmp_path / "scan.nii.gz")) == content_of(read_volume(tmp_path / "scan.nii.gz"))


def test_a_scan_that_is_not_to_be_kept_takes_no_place(small_ct: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    use_known_session(monkeypatch, known_answer)
    opened = Session(device="cpu", store=ScanStore(scans=1))
    kept = opened.prepare(small_ct)
    opened.prepare(small_ct, keep=False)
    assert opened.prepare(small_ct) is kept
    assert opened.prepare(small_ct, keep=False) is not kept


def test_a_setting_is_one_field_everywhere() -> None:
    """A field added to the settings is a flag, a name that Python takes, and an entry of the record."""
    import tyro  # noqa: PLC0415

    from samereg.app.plain import to_plain  # noqa: PLC0415
    from samereg.validation import changed, names_of  # noqa: PLC0415

    longer = make_dataclass("Longer", [("patience", int, 3)], bases=(RegisterSettings,), frozen=True, kw_only=True)
    settings = changed(longer(), {"patience": 5, "device": "cpu"})
    assert "patience" in names_of(settings)
    assert to_plain(settings)["patience"] == 5
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    assert tyro.cli(longer, args=["--patience", "7", "--threads", "2"], config=config).patience == 7
