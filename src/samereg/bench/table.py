"""Generic tables, as Markdown, LaTeX, CSV and HTML."""

import csv
import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Literal
from urllib.parse import unquote

Emphasis = Literal["", "best", "second"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A table cell.

    Attributes:
        text: displayed text.
        link: to its source, relative to the folder of the run; may be empty.
        emphasis: best or second best of its column, or none.
    """

    text: str
    link: str = ""
    emphasis: Emphasis = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: one line.
        notes: sentences below it.
        header: column titles; the first column has the row names.
        rows: with as many entries as the header.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = field(default_factory=tuple)


def number(value: float | None, digits: int = 2, *, link: str = "") -> Entry:
    """A number as an entry; a dash for None."""
    return Entry(text="-" if value is None else f"{value:.{digits}f}", link=link if value is not None else "")


def emphasised(rows: Sequence[Sequence[Entry]], columns: Sequence[int]) -> tuple[tuple[Entry, ...], ...]:
    """Rows with the largest and second largest number of the given columns marked."""
    marked = [list(row) for row in rows]
    for column in columns:
        values = {place: float(row[column].text) for place, row in enumerate(rows) if _is_number(row[column].text)}
        ranked = sorted(set(values.values()), reverse=True)
        emphases: tuple[Emphasis, ...] = ("best", "second")
        for value, emphasis in zip(ranked, emphases, strict=False):
            for place in (place for place, found in values.items() if found == value):
                entry = marked[place][column]
                marked[place][column] = Entry(text=entry.text, link=entry.link, emphasis=emphasis)
    return tuple(tuple(row) for row in marked)


def to_markdown(table: Table, *, base: str = "") -> str:
    """Markdown; best in bold, second best in italics.

    Args:
        table: to write.
        base: relative path from the file to the folder of the run, such as `../`.
    """
    lines = [f"## {_markdown_text(table.title)}", "", _piped(table.header), _piped(["---"] * len(table.header))]
    lines += [_piped([_markdown(entry, base) for entry in row]) for row in table.rows]
    return "\n".join([*lines, "", *map(_markdown_text, table.notes), ""])


def to_latex(table: Table) -> str:
    """A booktabs `tabular`; best in bold, second best underlined."""
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [f"% {table.title}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += [" & ".join(_escaped(name) for name in table.header) + r" \\", r"\midrule"]
    lines += [" & ".join(_latex(entry) for entry in row) + r" \\" for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in table.notes), ""])


def to_csv(table: Table) -> str:
    """CSV text, with an additional column `source of NAME` for each column with links."""
    linked = [place for place in range(len(table.header)) if any(row[place].link for row in table.rows)]
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.header, *(f"source of {table.header[place]}" for place in linked)])
    for row in table.rows:
        writer.writerow([*(entry.text for entry in row), *(unquote(row[place].link) for place in linked)])
    return stream.getvalue()


def to_html(table: Table) -> str:
    """A `table` element with its title and notes."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.header)
    body = "".join(f"<tr>{''.join(_html(entry) for entry in row)}</tr>\n" for row in table.rows)
    notes = "".join(f"<p class=note>{html.escape(note)}</p>" for note in table.notes)
    title = html.escape(table.title)
    return f"<h2>{title}</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n{notes}\n"


WRITERS: dict[str, Callable[[Table], str]] = {
    ".md": lambda table: to_markdown(table, base="../"),
    ".tex": to_latex,
    ".csv": to_csv,
}
"""Writers by file suffix, for the folder `tables` of a run."""


_LATEX = {
    **{character: "\\" + character for character in "&%#_{}$"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
}


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_markdown_text(cell).replace("|", "\\|") for cell in cells) + " |"


def _markdown_text(text: str) -> str:
    """Text on one line, with HTML escaped."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(text.split()))


def _markdown(entry: Entry, base: str) -> str:
    mark = {"": "", "best": "**", "second": "*"}[entry.emphasis]
    text = f"{mark}{entry.text}{mark}"
    return f"[{text}]({base}{entry.link})" if entry.link else text


def _latex(entry: Entry) -> str:
    command = {"": "", "best": r"\textbf", "second": r"\underline"}[entry.emphasis]
    return f"{command}{{{_escaped(entry.text)}}}" if command else _escaped(entry.text)


def _escaped(text: str) -> str:
    text = "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
    return text.replace("|J|", r"$|J_\phi|$")


def _html(entry: Entry) -> str:
    text = html.escape(entry.text)
    text = f'<a href="{html.escape(entry.link)}">{text}</a>' if entry.link else text
    return f'<td class="{entry.emphasis}">{text}</td>' if entry.emphasis else f"<td>{text}</td>"
