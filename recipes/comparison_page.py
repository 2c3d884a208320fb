"""Makes a page of docs/results from a finished run of `samereg bench`: its tables without links, and its figures.

    python recipes/comparison_page.py --run RUN --title TITLE --page docs/results/NAME.md [--without-scans]

Figures go beside the page, into NAME/. What the page says about the tables is written by hand, between the title and
the first table, and is kept when the page is made again. Methods that were not run at all are left out.
"""

import argparse
import re
import shutil
from pathlib import Path

TABLES = ("table-1", "table-2", "statistics", "groups", "dice-by-pair", "scores")
FIGURES = "figures"
SHOWS_SCANS = "figure-3"
FIRST_TABLE = "\n## "
HEADING_LINES = 2


def main() -> None:
    """Read the run, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--title", required=True)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument(
        "--without-scans", action="store_true", help="leave figure 3 out: it shows the scans themselves"
    )
    options = parser.parse_args()
    texts = [unlinked((options.run / "tables" / f"{name}.md").read_text(encoding="utf-8")) for name in TABLES]
    tables = [text for text in map(without_rows_not_run, texts) if has_rows(text)]
    chosen = [
        path
        for path in sorted((options.run / FIGURES).glob("*.png"))
        if not (options.without_scans and path.stem == SHOWS_SCANS)
    ]
    pictures = copy_figures(chosen, options.page.with_suffix(""))
    shown = [f"![{path.stem}]({options.page.stem}/{path.name})" for path in pictures]
    text = "\n".join([heading(options.page, options.title), *tables, *shown])
    options.page.write_text(text.rstrip() + "\n", encoding="utf-8")


def heading(page: Path, title: str) -> str:
    """The title and what was written under it by hand."""
    if not page.is_file():
        return f"# {title}\n"
    before = page.read_text(encoding="utf-8").split(FIRST_TABLE)[0]
    return before.rstrip() + "\n"


def unlinked(markdown: str) -> str:
    """Text of Markdown links instead of the links, which lead into the run's folder."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)


def without_rows_not_run(markdown: str) -> str:
    """A table without the methods that were run on no set of pairs; the page says which ones it compares."""
    return "".join(line for line in markdown.splitlines(keepends=True) if "| not run " not in line or has_number(line))


def has_rows(markdown: str) -> bool:
    """Whether a table holds more than its two lines of heading."""
    return sum(line.startswith("|") for line in markdown.splitlines()) > HEADING_LINES


def has_number(row: str) -> bool:
    """Whether a cell of a row is a number, marked as best or not."""
    return any(cell.strip(" *").replace(".", "", 1).isdigit() for cell in row.split("|"))


def copy_figures(figures: list[Path], folder: Path) -> list[Path]:
    """Figures of a run, in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(path, folder / path.name)) for path in figures]


if __name__ == "__main__":
    main()
