"""Tables, figures and index page of a run, from its records."""

import html
from pathlib import Path
from urllib.parse import quote

from samereg.bench.dataset import Case, Dataset
from samereg.bench.methods import METHODS, OURS
from samereg.bench.paper_tables import (
    PAIRS_FILE,
    dice_by_pair_table,
    every_score,
    groups_table,
    pairs_tables,
    statistics_table,
    table_1,
    table_2,
)
from samereg.bench.pictures import draw_boxes, draw_dice_against_time, draw_panels, save
from samereg.bench.record import CaseRecord, transform_path
from samereg.bench.slices import slices_of
from samereg.bench.summary import Summary, summarise
from samereg.bench.table import WRITERS, Table, to_html, to_markdown
from samereg.io.atomic import atomic_file

FIGURE_2 = ("elastix-affine", "sa+vm", "ffd", "ants-syn", "deeds", OURS)
"""Methods of the paper's figure 2."""

FIGURE_3 = ("ants-syn", "deeds", "sa+vm", OURS)
"""Methods of the paper's figure 3."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
h1 { font-weight: 650; } h2 { margin-top: 2.5rem; font-weight: 600; font-size: 1.15rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th { text-align: left; border-bottom: 2px solid #1b1f24; } th, td { padding: 0.25rem 0.8rem; }
tbody tr { border-bottom: 1px solid #e2e5e9; } td a { color: inherit; text-decoration-color: #b6bec8; }
.best { font-weight: 700; } .second { background: #edf0f3; } .note { color: #57606a; font-size: 0.85rem; }
img { max-width: 100%; } figure { margin: 1.5rem 0; } figcaption { color: #57606a; font-size: 0.85rem; }
"""


def write_results(dataset: Dataset, records: list[CaseRecord], run: Path) -> tuple[Path, ...]:
    """Writes `tables/`, `figures/` and `index.html`.

    Args:
        dataset: of the run.
        records: of every method and pair.
        run: folder of the run.

    Returns:
        The files.

    Raises:
        MissingPackageError: figures need matplotlib.
    """
    summary = summarise(records)
    tables = {
        "table-1": table_1(summary),
        "table-2": table_2(summary),
        "scores": every_score(summary),
        "statistics": statistics_table(summary),
        "groups": groups_table(summary),
        "dice-by-pair": dice_by_pair_table(summary),
    }
    written = [
        _write(run / "tables" / f"{name}{suffix}", writer(table))
        for name, table in tables.items()
        for suffix, writer in WRITERS.items()
    ]
    pairs = pairs_tables(summary)
    text = "\n".join(f'<a id="{anchor}"></a>\n\n{to_markdown(table, base="../")}' for anchor, table in pairs)
    written.append(_write(run / PAIRS_FILE, f"# Every pair\n\n{text}"))
    figures = write_figures(dataset, records, summary, run)
    written.append(_write(run / "index.html", index_page(dataset, list(tables.values()), figures, pairs)))
    return (*written, *(path for paths in figures.values() for path in paths))


def write_figures(
    dataset: Dataset, records: list[CaseRecord], summary: Summary, run: Path
) -> dict[str, tuple[Path, ...]]:
    """Writes the figures; returns the files by caption."""
    titles = {method.name: method.title for method in METHODS if method.name in summary.methods}
    folder = run / "figures"
    figures: dict[str, tuple[Path, ...]] = {}
    for task in summary.tasks:
        shown = {name: title for name, title in titles.items() if name in FIGURE_2} or titles
        figure = draw_boxes(summary, task, shown)
        figures[f"Figure 2, {task}: Dice by group of structures"] = save(figure, folder / f"figure-2-{task}")
    pair = pair_to_show(dataset, records, run)
    if pair is not None:
        case, chosen = pair
        slices = slices_of(case, chosen, run, ours=OURS)
        drawn = draw_panels(slices.panels, slices.contours)
        caption = f"Figure 3, {case.name} of {case.task}: outlines of the fixed scan; arrows where Dice differs most"
        figures[caption] = save(drawn, folder / "figure-3")
    figures["Dice against time"] = save(draw_dice_against_time(summary, titles), folder / "dice-against-time")
    return figures


def pair_to_show(dataset: Dataset, records: list[CaseRecord], run: Path) -> tuple[Case, list[CaseRecord]] | None:
    """The first labelled pair with results of most methods of figure 3, and their records.

    Only records whose transform still exists are considered.
    """
    best: tuple[Case, list[CaseRecord]] | None = None
    for case in dataset.cases:
        if case.fixed.labels is None or case.moving.labels is None:
            continue
        done = [
            record
            for record in records
            if record.status == "done"
            and (record.task, record.fixed, record.moving) == (case.task, case.fixed.name, case.moving.name)
            and transform_path(run, record.method, record.task, case.name).is_file()
        ]
        chosen = [record for name in FIGURE_3 for record in done if record.method == name] or done[:4]
        if chosen and (best is None or len(chosen) > len(best[1])):
            best = case, chosen
    return best


def index_page(
    dataset: Dataset,
    tables: list[Table],
    figures: dict[str, tuple[Path, ...]],
    pairs: list[tuple[str, Table]],
) -> str:
    """Page with all tables and figures, with relative links."""
    title = html.escape(f"{dataset.name}: {len(dataset.cases)} pairs")
    shown = "".join(
        f'<figure><img src="{html.escape(quote(f"figures/{paths[0].name}"))}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>\n"
        for caption, paths in figures.items()
    )
    listed = "".join(f'<section id="{anchor}">{to_html(table)}</section>\n' for anchor, table in pairs)
    body = "".join(to_html(table) for table in tables).replace(f'href="{PAIRS_FILE}#', 'href="#')
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{body}{shown}<h1>Every pair</h1>\n{listed}"
        "</body>\n</html>\n"
    )


def _write(path: Path, text: str) -> Path:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path
