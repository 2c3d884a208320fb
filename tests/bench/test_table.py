import csv
from io import StringIO

from samereg.bench.table import Entry, Table, emphasised, number, to_csv, to_html, to_latex, to_markdown

ROWS = (
    (Entry(text="first & only"), number(0.5, link="cases/a.json")),
    (Entry(text="second"), number(0.75)),
    (Entry(text="third"), number(None)),
)
TABLE = Table(title="A table", header=("Methods", "std of |J|"), rows=emphasised(ROWS, [1]), notes=("A note.",))


def test_the_largest_is_best_and_the_next_second():
    assert [row[1].emphasis for row in TABLE.rows] == ["second", "best", ""]


def test_markdown_links_each_number_to_its_source():
    text = to_markdown(TABLE, base="../")
    assert "| first & only | [*0.50*](../cases/a.json) |" in text
    assert "| Methods | std of \\|J\\| |" in text
    assert text.rstrip().endswith("A note.")


def test_latex_escapes_what_it_must():
    text = to_latex(TABLE)
    assert r"first \& only & \underline{0.50} \\" in text
    assert r"\textbf{0.75}" in text


def test_csv_keeps_sources_in_a_column_of_their_own():
    rows = list(csv.reader(StringIO(to_csv(TABLE))))
    assert rows[0] == ["Methods", "std of |J|", "source of std of |J|"]
    assert rows[1] == ["first & only", "0.50", "cases/a.json"]
    assert rows[3] == ["third", "-", ""]


def test_html_escapes_and_links():
    text = to_html(TABLE)
    assert '<td>first &amp; only</td><td class="second"><a href="cases/a.json">0.50</a></td>' in text
