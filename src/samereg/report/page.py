"""Assembly of the report as one self-contained HTML file."""

import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from samereg._version import __version__
from samereg.app.overwriting import claimed_outputs
from samereg.app.run_folder import RunFolder
from samereg.app.session import Registered
from samereg.app.verdict import Verdict, VerdictLimits, judge
from samereg.geometry.grid import bounding_grid, voxel_centres_mm
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.io.atomic import atomic_file
from samereg.report.colours import BALANCE, OUTLINES, WINDOW_HU, WINDOWS_HU
from samereg.report.match_pictures import matches_section
from samereg.report.measures import (
    Maps,
    OrganScore,
    Similarity,
    describe_affine,
    measure_maps,
    measure_similarity,
    score_organs,
)
from samereg.report.pictures import (
    DIFFERENCE_HU,
    PLANES,
    Scene,
    difference_scale,
    make_scene,
    shown_grid,
    still_pictures,
)
from samereg.report.sections import (
    colourbar,
    facts_table,
    findings_table,
    organs_section,
    provenance,
    reasons,
    stages_table,
    stills,
)
from samereg.report.shown_maps import ShownMap, map_pictures, shown_maps
from samereg.report.sources import ReportPaths, Sources, read_sources, sources_of
from samereg.report.volumes import MIN_MM, shown_spacing_mm, viewer_volumes


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRecord:
    """Record of the output.

    Attributes:
        output: the page.
        size_bytes: its size.
        verdict: on the registration.
    """

    output: Path
    size_bytes: int
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Contents:
    """Contents of the page.

    Attributes:
        sources: inputs.
        maps: measured maps.
        shown: maps with their colours.
        scene: scans and labels on the display grid.
        similarity: before and after registration.
        scores: of structures; empty without labels.
        verdict: on the measures.
    """

    sources: Sources
    maps: Maps
    shown: tuple[ShownMap, ...]
    scene: Scene
    similarity: Similarity
    scores: tuple[OrganScore, ...]
    verdict: Verdict


def write_report(
    folder: Path,
    *,
    found: Registered | None = None,
    output: Path | None = None,
    paths: ReportPaths | None = None,
    limits: VerdictLimits | None = None,
    overwrite: bool = False,
) -> ReportRecord:
    """Writes the report of a registration.

    Args:
        folder: output folder of `register`.
        found: the registration, if it is in memory; then the folder is not read.
        output: output page; by default `report.html` in the folder.
        paths: labels, and scans that have been moved.
        limits: bounds of the verdict.
        overwrite: replace an existing page.

    Raises:
        UsageError: the page exists, or labels of one scan only.
        FileError: something of the registration is missing or damaged.
        InputError: a scan differs from the registered one.
    """
    target = output or RunFolder(folder).report
    with claimed_outputs(target, overwrite=overwrite):
        named = paths or ReportPaths()
        sources = read_sources(RunFolder(folder), named) if found is None else sources_of(found, named)
        contents = measure_contents(sources, limits or VerdictLimits())
        # File names need not be Unicode.
        content = page(contents).encode("utf-8", errors="backslashreplace")
        with atomic_file(target) as temporary:
            temporary.write_bytes(content)
    return ReportRecord(output=target, size_bytes=len(content), verdict=contents.verdict)


def measure_contents(sources: Sources, limits: VerdictLimits) -> Contents:
    """Computes the contents of the page.

    Raises:
        InputError: the fixed scan shows no body.
    """
    maps = measure_maps(sources.fixed, sources.transform)
    similarity = measure_similarity(sources.fixed, sources.moving, sources.transform)
    spacing_mm = shown_spacing_mm(bounding_grid(sources.fixed.grid, spacing_mm=MIN_MM).size)
    shown_labels: tuple[LabelMap, LabelMap] | None = None
    scores: tuple[OrganScore, ...] = ()
    if sources.labels is not None:
        fixed, moving = sources.labels
        moved = resample_labels(moving, sources.transform, fixed.grid)
        shown_labels, scores = (fixed, moved), score_organs(fixed, moving, moved)
    scene = make_scene(
        sources.fixed,
        sources.moved,
        shown_labels,
        grid=shown_grid(maps, sources.fixed.grid, spacing_mm=spacing_mm),
        centre_mm=voxel_centres_mm(maps.grid)[maps.body].mean(dim=0),
    )
    return Contents(
        sources=sources,
        maps=maps,
        shown=shown_maps(maps, sources.confidence),
        scene=scene,
        similarity=similarity,
        scores=scores,
        verdict=judge(sources.record.quality, limits, sources.record.verdict.notes),
    )


def page(contents: Contents) -> str:
    """The page as HTML."""
    sources, record = contents.sources, contents.sources.record
    scans = {"fixed": record.fixed, "moving": record.moving}
    names = {name: escape(str(scan.path or "from memory")) for name, scan in scans.items()}
    return Template(_part("template.html")).substitute(
        version=__version__,
        title=f"{names['moving']} on {names['fixed']}",
        **names,
        style=_part("style.css"),
        level=contents.verdict.level,
        headline=escape(contents.verdict.headline),
        reasons=reasons(contents.verdict),
        map_buttons="".join(_button(shown) for shown in contents.shown),
        outline_boxes=_outline_boxes() if sources.labels else "",
        row_shape=_row_shape(contents.scene),
        windows="".join(f'<option value="{low:g} {high:g}">{name}</option>' for name, (low, high) in WINDOWS_HU),
        stills="".join(_stills(contents.scene)),
        findings=findings_table(contents.verdict.findings, contents.similarity),
        affine=facts_table(describe_affine(contents.maps)),
        maps="".join(_map_stills(shown, contents) for shown in contents.shown),
        matches=matches_section(sources.matches, sources.transform, sources.inverse, contents.scene),
        organs=organs_section(contents.scores, sources.label_names),
        stages=stages_table(record.stages, record.seconds),
        provenance=provenance(record),
        niivue_licence=escape(_part("niivue.md")),
        volumes=_viewer_data(contents),
        niivue=_script("niivue.umd.js"),
        script=_script("viewer.js"),
    )


def _stills(scene: Scene) -> list[str]:
    end = f"{DIFFERENCE_HU:.0f} HU"
    scale = colourbar(difference_scale().gradient(), f"-{end}", end, "difference: fixed minus moved")
    pictures = [
        stills([(f"{name}, {plane}", picture) for name, picture in still_pictures(scene, plane).items()])
        for plane in PLANES
    ]
    return [*pictures, scale]


def _map_stills(shown: ShownMap, contents: Contents) -> str:
    pictures = [
        (f"{shown.title}, {plane}", map_pictures(shown, contents.scene, contents.maps, plane)) for plane in PLANES
    ]
    return stills(pictures) + colourbar(shown.scale.gradient(), *shown.ends, shown.note)


def _viewer_data(contents: Contents) -> str:
    """Facts and volumes for the viewers, as inert script elements."""
    facts = {
        "windowHu": WINDOW_HU,
        "balance": BALANCE,
        "differenceHu": DIFFERENCE_HU,
        "outlines": OUTLINES,
        "maps": {
            shown.key: {
                "title": shown.title,
                "low": shown.scale.low,
                "high": shown.scale.high,
                "anchors": shown.scale.anchors,
            }
            for shown in contents.shown
        },
    }
    elements = [f'<script type="application/json" id="facts">{json.dumps(facts, allow_nan=False)}</script>']
    elements += [
        f'<script type="text/plain" id="volume-{name}">{content}</script>'
        for name, content in viewer_volumes(contents.scene, contents.shown).items()
    ]
    return "\n".join(elements)


def _button(shown: ShownMap) -> str:
    return f'<button type="button" data-mode="{shown.key}" aria-pressed="false">{escape(shown.title)}</button>'


def _row_shape(scene: Scene) -> str:
    """CSS aspect ratio of the three planes side by side."""
    depth, height, width = scene.grid.shape
    return f"{2 * width + height} / {max(depth, height)}"


def _outline_boxes() -> str:
    return "".join(
        f'<label class="check"><input type="checkbox" data-outline="{side}"{checked}> {side} outlines</label>'
        for side, checked in (("fixed", " checked"), ("moved", ""))
    )


def _part(name: str) -> str:
    return files("samereg.report").joinpath("page", name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    # The only text that must not occur in a script element.
    return _part(name).replace("</script", "<\\/script")
