"""Sections of the page as HTML; all user input is escaped here."""

import json
from collections.abc import Mapping, Sequence
from html import escape

from jaxtyping import UInt8
from numpy import ndarray

from samereg.app.plain import to_plain
from samereg.app.record import InputRecord, RunRecord
from samereg.app.verdict import Finding, Verdict
from samereg.estimate.deform import DeformerRecord
from samereg.matching.embed import EmbedderRecord
from samereg.pipeline.register import StageReport
from samereg.report.charts import stage_bars
from samereg.report.colours import OUTLINES
from samereg.report.measures import OrganScore, Similarity
from samereg.report.png import png_address

Picture = UInt8[ndarray, "_ _"] | UInt8[ndarray, "_ _ 3"]
"""Gray or colour image of any size."""

SHOWN_SETTINGS = ("preset", "filter", "affine_model", "filler", "embedding", "deform", "seed")
"""Settings listed on the page; the others are in the complete record below."""


def reasons(verdict: Verdict) -> str:
    """Reasons of the verdict: findings that are not good, and notes on the scans."""
    if verdict.level == "good":
        return (
            "<p>All measures are within their bounds. They can show that a registration failed, not that it is correct "
            "everywhere: check the regions that matter to you.</p>"
        )
    items = [
        f"<li><b>{escape(finding.name)}: {escape(finding.value)}</b> ({escape(finding.bounds)}). "
        f"{escape(finding.meaning)}</li>"
        for finding in verdict.reasons
    ]
    items += [f"<li>{escape(note[:1].upper() + note[1:])}.</li>" for note in verdict.notes]
    return f"<ul>{''.join(items)}</ul>"


def findings_table(findings: Sequence[Finding], similarity: Similarity) -> str:
    """Table of all measures with value, meaning and bounds."""
    rows = "".join(
        f"<tr><th><span class='lamp {finding.level}'></span>{escape(finding.name)}</th>"
        f"<td class='number'>{escape(finding.value)}</td><td>{escape(finding.meaning)}</td>"
        f"<td class='quiet'>{escape(finding.bounds)}</td></tr>"
        for finding in findings
    )
    before = (
        "Before registration, the scans do not overlap in world coordinates."
        if similarity.before != similarity.before
        else f"Before registration, in world coordinates, the local similarity is {similarity.before:.2f}."
    )
    head = "<thead><tr><th>Measure</th><th class='number'>Value</th><th>Meaning</th><th>Bounds</th></tr></thead>"
    return f"<div class='wide'><table>{head}<tbody>{rows}</tbody></table></div><p class='hint'>{before}</p>"


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts)
    return f"<table class='facts'>{rows}</table>"


def stills(pictures: Sequence[tuple[str, Picture]], *, overlay: Sequence[str] = ()) -> str:
    """Images side by side at one scale, with captions.

    Args:
        pictures: caption and image.
        overlay: SVG drawn on top of the image of the same index.
    """
    drawn = list(overlay) or [""] * len(pictures)
    figures = "".join(
        f"<figure><img src='{png_address(picture)}' alt='{escape(caption)}'>{extra}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for (caption, picture), extra in zip(pictures, drawn, strict=True)
    )
    columns = " ".join(f"{picture.shape[1]}fr" for _, picture in pictures)
    return f'<div class="stills" style="grid-template-columns:{columns}">{figures}</div>'


def colourbar(gradient: str, low: str, high: str, note: str) -> str:
    """A colour bar with labels of its ends."""
    return (
        f'<p class="colourbar"><span>{escape(low)}</span><i style="background:{gradient}"></i>'
        f"<span>{escape(high)}</span><span>{escape(note)}</span></p>"
    )


def organs_section(scores: Sequence[OrganScore], names: Mapping[int, str]) -> str:
    """Section with overlap and volume of every structure; empty without scores."""
    if not scores:
        return ""
    rows = "".join(_organ_row(score, names) for score in scores)
    mean_before = sum(score.dice_before for score in scores) / len(scores)
    mean_after = sum(score.dice_after for score in scores) / len(scores)
    head = "".join(
        f"<th class='{'number' if index else ''}'>{name}</th>"
        for index, name in enumerate(
            ("Structure", "Dice before", "Dice after", "Fixed volume", "Moving volume", "Moved volume")
        )
    )
    return (
        "<section><h2>Structures</h2><p>Overlap (Dice) of the fixed and moving labels, in world coordinates "
        f"and after registration: mean {100 * mean_before:.1f} % before, {100 * mean_after:.1f} % after, over "
        f"{len(scores)} structures in both label maps.</p><div class='wide'><table><thead><tr>{head}</tr>"
        f"</thead><tbody>{rows}</tbody></table></div></section>"
    )


def stages_table(stages: Sequence[StageReport], seconds: float) -> str:
    """Time and outcome of each stage."""
    rows = [(each.name, each.seconds, _stage_note(each)) for each in stages]
    return stage_bars(rows) + f"<p class='hint'>{seconds:.1f} s in total, without reading and writing files.</p>"


def provenance(record: RunRecord) -> str:
    """Provenance: scans, software, hardware, settings, and the complete record."""
    whole = escape(json.dumps(to_plain(record), indent=2, allow_nan=False))
    tables = "".join(
        f"<h3>{title}</h3>{facts_table(facts)}"
        for title, facts in (
            ("Fixed scan", _scan_facts(record.fixed)),
            ("Moving scan", _scan_facts(record.moving)),
            ("Software and hardware", _machine_facts(record)),
            ("Settings", [(name, str(getattr(record.settings, name))) for name in SHOWN_SETTINGS]),
        )
    )
    return f"{tables}<details><summary>Complete run record</summary><pre>{whole}</pre></details>"


def _organ_row(score: OrganScore, names: Mapping[int, str]) -> str:
    red, green, blue = OUTLINES[(score.value - 1) % len(OUTLINES)]
    name = names.get(score.value, f"label {score.value}")
    volumes = "".join(
        f"<td class='number'>{volume:.1f} ml</td>" for volume in (score.fixed_ml, score.moving_ml, score.moved_ml)
    )
    return (
        f"<tr><th><span class='swatch' style='background:rgb({red},{green},{blue})'></span>{escape(name)}</th>"
        f"<td class='number'>{100 * score.dice_before:.1f} %</td>"
        f"<td class='number'><b>{100 * score.dice_after:.1f} %</b></td>{volumes}</tr>"
    )


def _stage_note(stage: StageReport) -> str:
    message = stage.outcome.message
    return f"{message}; {stage.used} of {stage.matches} matches used" if stage.matches else message


def _scan_facts(scan: InputRecord) -> list[tuple[str, str]]:
    facts = [
        ("File", str(scan.path or "from memory")),
        ("SHA-256", str(scan.sha256 or "not of a file")),
        ("Voxels", " x ".join(map(str, scan.shape))),
        ("Spacing", " x ".join(f"{step:g}" for step in scan.spacing_mm) + " mm (slices, rows, columns)"),
    ]
    return facts + ([("DICOM series", scan.series)] if scan.series else [])


def _machine_facts(record: RunRecord) -> list[tuple[str, str]]:
    versions, machine = record.versions, record.machine
    facts = [
        ("samereg", f"{versions.samereg} on Python {versions.python}, {versions.platform}"),
        ("Packages", ", ".join(f"{name} {version}" for name, version in versions.packages.items())),
        ("Device", f"{machine.device}: {machine.name}, {machine.threads} threads"),
        ("Embedding", _network(record.embedding)),
    ]
    return facts + ([("Deformation network", _network(record.deform))] if record.deform else [])


def _network(network: EmbedderRecord | DeformerRecord) -> str:
    return f"{network.name} ({network.precision}), SHA-256 {network.checksum}"
