"""Tables of the paper and additional ones, from the records of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from urllib.parse import quote

from samereg.bench.measured import MEASURED
from samereg.bench.methods import METHODS, OURS, TABLE_1, TABLE_2
from samereg.bench.record import CaseRecord, Timing, record_path
from samereg.bench.scores import mean_of
from samereg.bench.statistics import MIN_PAIRS, Comparison, compare
from samereg.bench.summary import Cell, Summary, dice_by_group
from samereg.bench.table import Entry, Table, emphasised, number

PAIRS_FILE = "tables/pairs.md"
"""File in which every number links to its record."""

_RUN = Path()
"""Links are relative to the folder of the run."""

_AFFINE_SPREAD = 1e-3
"""Rounding error of the Jacobian SD of affine maps, which is shown as a dash as in the paper."""

_TITLES = {method.name: method.title for method in METHODS}
_SHOWN = tuple((measure, value) for measure, value in MEASURED if measure.key != "lesion_volume")
"""Measures of every registration."""

_PAIR_KEYS = ("dice", "asd_mm", "hd95_mm", "jacobian_std", "folded_fraction")
_BY_PAIR = tuple((measure, value) for measure, value in MEASURED if measure.key in _PAIR_KEYS)
"""Measures in the tables of pairs."""

_COSTS: tuple[Callable[[Timing], float], ...] = ((lambda t: t.load), (lambda t: t.compute), (lambda t: t.write))

_VARIANTS = {"sa+vm": (False, False), "sa+sam-loss": (True, False), "sa+sam-corr": (False, True)}


def table_1(summary: Summary) -> Table:
    """Table 1 of the paper: mean Dice of each task, time, standard deviation of the Jacobian determinant."""
    header = ("Methods", *summary.tasks, "Inference time (s)", "std of |J|")
    rows = [
        (Entry(text=_TITLES[name]), *_dice(summary, name), *_time_and_spread(summary, name))
        for name in _with_extras(summary, TABLE_1)
    ]
    return Table(
        title="Table 1: comparison of registration methods, mean Dice (%)",
        header=header,
        rows=emphasised(rows, range(1, 1 + len(summary.tasks))),
        notes=_asd_note(summary),
    )


def table_2(summary: Summary) -> Table:
    """Table 2 of the paper: what the loss and the correlation of embeddings add, without SAM-coarse."""
    rows = []
    for name in TABLE_2:
        loss, correlation = _VARIANTS.get(name, (True, True))
        marks = [Entry(text="yes" if there else "no") for there in (loss, correlation)]
        title = "VM" if name == "sa+vm" else "SAM-VM"
        rows.append((Entry(text=title), *marks, *_dice(summary, name)))
    return Table(
        title="Table 2: SAM loss and SAM correlation feature, without SAM-coarse, mean Dice (%)",
        header=("Methods", "SAM loss", "SAM correlation feature", *summary.tasks),
        rows=emphasised(rows, range(3, 3 + len(summary.tasks))),
    )


def every_score(summary: Summary) -> Table:
    """All measures: one row per method and task."""
    rows = []
    for cell in _cells(summary):
        link = f"{PAIRS_FILE}#{cell.anchor}"
        measured = [number(cell.mean(value), measure.digits, link=link) for measure, value in _SHOWN]
        rows.append((Entry(text=cell.title), Entry(text=cell.task), *measured, *_costs(cell), _ended(cell)))
    names = [measure.heading for measure, _ in _SHOWN]
    costs = ("load (s)", "compute (s)", "write (s)", "peak (GB)")
    return Table(
        title="Every score",
        header=("Methods", "pairs", *names, *costs, "failed"),
        rows=tuple(rows),
        notes=(
            "Means over the pairs that did not fail; Dice, ASD and HD95 are first averaged over the labels of a pair.",
        ),
    )


def statistics_table(summary: Summary) -> Table:
    """Paired comparison of every method with SAME."""
    ours = summary.over_tasks(OURS).dice_by_pair() if OURS in summary.methods else {}
    others = {
        name: summary.over_tasks(name).dice_by_pair()
        for name in summary.methods
        if name != OURS and not summary.over_tasks(name).unavailable
    }
    rows = [_comparison(name, each) for name, each in compare(ours, others).items()]
    return Table(
        title=f"{_TITLES[OURS]} against each other method, Dice points by pair",
        header=("Methods", "pairs", "difference", "95 % interval", "paired t, p", "Wilcoxon, p", "won", "tied", "lost"),
        rows=tuple(rows),
        notes=(
            "Difference: SAME minus the other, if neither failed; a failure counts as a loss. "
            "Bootstrap intervals over pairs; p-values with Holm's correction. "
            f"Fewer than {MIN_PAIRS} pairs are not tested. Pairs share scans and are not independent.",
        ),
    )


def groups_table(summary: Summary) -> Table:
    """Median Dice of each group of structures over all tasks (the data of the paper's figure 2)."""
    found = {name: dice_by_group(summary.over_tasks(name)) for name in summary.methods}
    groups = tuple(dict.fromkeys(group for by_group in found.values() for group in by_group))
    rows = [
        (Entry(text=_TITLES[name]), *(number(_median_percent(by_group.get(group, [])), 1) for group in groups))
        for name, by_group in found.items()
        if by_group
    ]
    return Table(
        title="Median Dice (%) by group of structures",
        header=("Methods", *groups),
        rows=emphasised(rows, range(1, 1 + len(groups))),
    )


def dice_by_pair_table(summary: Summary) -> Table:
    """Mean Dice of each pair, one column per method; a dash if it failed or was not run."""
    shown = [name for name in summary.methods if any(cell.done for cell in summary.row(name))]
    found = {name: _dice_entries(summary.over_tasks(name)) for name in shown}
    pairs = tuple(dict.fromkeys(pair for entries in found.values() for pair in entries))
    dash = Entry(text="-")
    rows = tuple((Entry(text=pair), *(found[name].get(pair, dash) for name in shown)) for pair in pairs)
    return Table(title="Mean Dice (%) of every pair", header=("fixed <- moving", *shown), rows=rows)


def _dice_entries(cell: Cell) -> dict[str, Entry]:
    """By pair."""
    entries = {}
    for record in cell.records:
        dice = record.scores.dice if record.scores else None
        pair = f"{record.task}: {record.fixed} <- {record.moving}"
        entries[pair] = number(100 * dice if dice is not None else None, 1, link=_link(record))
    return entries


def pairs_tables(summary: Summary) -> list[tuple[str, Table]]:
    """For each method and task, an anchor and a table with one line per pair; each number links to its record."""
    return [(cell.anchor, _pairs(cell)) for cell in _cells(summary)]


def _pairs(cell: Cell) -> Table:
    rows = []
    for record in cell.records:
        link = _link(record)
        first = Entry(text=f"{record.fixed} <- {record.moving}", link=link)
        scores, timing = record.scores, record.timing
        if scores is None or timing is None:
            rows.append((first, Entry(text=f"{record.status}: {record.reason}", link=link), *[Entry(text="-")] * 5))
            continue
        values = [
            *(number(value(scores), measure.digits, link=link) for measure, value in _BY_PAIR),
            number(timing.compute, 1, link=link),
        ]
        rows.append((first, *values))
    header = ("fixed <- moving", *(measure.heading for measure, _ in _BY_PAIR), "compute (s)")
    return Table(title=f"{cell.title}, {cell.task}", header=header, rows=tuple(rows), notes=_label_notes(cell))


def _link(record: CaseRecord) -> str:
    """Link to its record, relative to the folder of the run."""
    path = record_path(_RUN, record.method, record.task, f"{record.fixed}__{record.moving}")
    return quote(path.as_posix())


def _label_notes(cell: Cell) -> tuple[str, ...]:
    """Numbers of labels that were not fully evaluated, by state."""
    states: dict[str, int] = {}
    for record in cell.done:
        for label in record.scores.labels if record.scores else ():
            if label.state != "scored":
                states[label.state] = states.get(label.state, 0) + 1
    return ("Labels: " + ", ".join(f"{count} {state}" for state, count in states.items()) + ".",) if states else ()


def _cells(summary: Summary) -> list[Cell]:
    return [cell for method in summary.methods for cell in summary.row(method)]


def _with_extras(summary: Summary, rows: Sequence[str]) -> list[str]:
    """The paper's rows in its order, followed by other methods."""
    return [*rows, *(name for name in summary.methods if name not in rows and name not in TABLE_2)]


def _dice(summary: Summary, name: str) -> list[Entry]:
    """Mean Dice of each task, linked to the list of its pairs, or the reason why there is none."""
    entries = []
    for task in summary.tasks:
        cell = summary.cells.get((name, task))
        if cell is None:
            entries.append(Entry(text="not run"))
        elif not cell.done:
            text = cell.unavailable.partition(":")[0] or f"failed on all {cell.failed}"
            entries.append(Entry(text=text, link=f"{PAIRS_FILE}#{cell.anchor}"))
        else:
            mean = cell.mean(lambda scores: scores.dice)
            percent = number(100 * mean if mean is not None else None, link=f"{PAIRS_FILE}#{cell.anchor}")
            entries.append(Entry(text=percent.text + _reservation(cell, summary), link=percent.link))
    return entries


def _reservation(cell: Cell, summary: Summary) -> str:
    """Note that a mean excludes pairs that failed or are not done yet."""
    pairs = max(len(other.records) for other in summary.cells.values() if other.task == cell.task)
    missing = [f"{cell.failed} failed"] if cell.failed else []
    if len(cell.records) < pairs:
        missing.append(f"{len(cell.records)} of {pairs} pairs")
    return f" ({', '.join(missing)})" if missing else ""


def _time_and_spread(summary: Summary, name: str) -> tuple[Entry, Entry]:
    if name not in summary.methods:
        return Entry(text="-"), Entry(text="-")
    cell = summary.over_tasks(name)
    spread = cell.mean(lambda scores: scores.field.jacobian_std)
    rigid = spread is not None and spread < _AFFINE_SPREAD
    return number(cell.seconds), number(None if rigid else spread)


def _asd_note(summary: Summary) -> tuple[str, ...]:
    """The paper's second footnote, with every method."""
    found = []
    for name in summary.methods:
        asd_mm = summary.row(name)[0].mean(lambda scores: scores.asd_mm)
        if asd_mm is not None:
            found.append(f"{_TITLES[name]} {asd_mm:.1f} mm")
    return (f"Average surface distance in {summary.tasks[0]}: {', '.join(found)}.",) if found else ()


def _costs(cell: Cell) -> list[Entry]:
    timings = [record.timing for record in cell.done if record.timing is not None]
    seconds = [number(mean_of([part(timing) for timing in timings])) for part in _COSTS]
    return [*seconds, number(mean_of([record.peak_gb for record in cell.done]))]


def _ended(cell: Cell) -> Entry:
    if cell.unavailable:
        return Entry(text=cell.unavailable.partition(":")[0])
    return Entry(text=f"{cell.failed} of {len(cell.records)}")


def _comparison(name: str, each: Comparison) -> tuple[Entry, ...]:
    interval = "-" if each.low is None or each.high is None else f"{100 * each.low:.2f} to {100 * each.high:.2f}"
    return (
        Entry(text=_TITLES[name]),
        Entry(text=f"{each.pairs}" + _failures(each)),
        number(100 * each.difference if each.pairs else None),
        Entry(text=interval),
        Entry(text="-" if each.t_p is None else f"{each.t_p:.2g}"),
        Entry(text="-" if each.wilcoxon_p is None else f"{each.wilcoxon_p:.2g}"),
        *(Entry(text=str(count)) for count in (each.wins, each.ties, each.losses)),
    )


def _failures(each: Comparison) -> str:
    counted = [f"{each.failed} failed"] if each.failed else []
    counted += [f"{each.own_failed} of SAME failed"] if each.own_failed else []
    return f" (+ {', '.join(counted)})" if counted else ""


def _median_percent(values: Sequence[float]) -> float | None:
    return 100 * median(values) if values else None
