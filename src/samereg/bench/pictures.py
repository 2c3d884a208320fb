"""The paper's figures 2 and 3, and Dice against time, with matplotlib (extra `pictures`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from samereg.bench.summary import Summary, dice_by_group
from samereg.io.atomic import atomic_file
from samereg.metrics.measures import MEASURES
from samereg.optional import optional_package

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
DPI = 160
COLOURS = "tab20"
MARKS = "osD^v"
"""Marker shapes, to distinguish similar colours."""

WINDOW_HU = (-160.0, 240.0)
"""Soft-tissue window, HU."""

Image = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Panel:
    """One image of figure 3.

    Attributes:
        title: below the image.
        image: HU of a slice, first row at the top.
        arrow: row and column of an arrow tip, or None.
    """

    title: str
    image: Image
    arrow: tuple[int, int] | None = None


def draw_boxes(summary: Summary, task: str, titles: dict[str, str]) -> "Figure":
    """Figure 2: Dice of each group of structures, one box per method.

    Args:
        summary: records of a run.
        task: set of pairs.
        titles: methods to show and their titles, in order.
    """
    figure, axes = _axes((14.0, 4.6))
    by_method = {name: dice_by_group(summary.cells[name, task]) for name in titles if (name, task) in summary.cells}
    shown = {name: groups for name, groups in by_method.items() if groups}
    groups = tuple(dict.fromkeys(group for found in shown.values() for group in found))
    width = 0.8 / max(1, len(shown))
    for place, (name, found) in enumerate(shown.items()):
        centres = [index - 0.4 + width * (place + 0.5) for index in range(len(groups))]
        axes.boxplot(
            [[100 * value for value in found.get(group, [])] for group in groups],
            positions=centres,
            widths=0.85 * width,
            patch_artist=True,
            showfliers=False,
            boxprops={"facecolor": _colour(place), "linewidth": 0.6},
            medianprops={"color": "black", "linewidth": 1.0},
            whiskerprops={"linewidth": 0.6},
            capprops={"linewidth": 0.6},
            label=_plain(titles[name]),
        )
    axes.set_xticks(range(len(groups)), [_plain(group) for group in groups], rotation=20, ha="right")
    axes.set_ylabel(MEASURES["dice"].heading)
    axes.set_ylim(0, 100)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_title(_plain(task))
    axes.grid(axis="y", linewidth=0.3)
    if shown:
        axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_dice_against_time(summary: Summary, titles: dict[str, str]) -> "Figure":
    """Mean Dice of all pairs against mean computing time, one marker per method."""
    figure, axes = _axes((8.5, 4.6))
    for place, (name, title) in enumerate(titles.items()):
        if name not in summary.methods:
            continue
        cell = summary.over_tasks(name)
        dice, seconds = cell.mean(lambda scores: scores.dice), cell.seconds
        if dice is None or seconds is None:
            continue
        at = max(seconds, 0.01), 100 * dice
        mark = MARKS[place % len(MARKS)]
        axes.scatter(*at, color=_colour(place), marker=mark, s=60, edgecolor="black", linewidth=0.5, label=title)
    axes.set_xscale("log")
    axes.set_xlabel("computing time (s)")
    axes.set_ylabel("mean Dice (%)")
    axes.set_ylim(0, 100)
    axes.grid(linewidth=0.3)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_panels(panels: Sequence[Panel], contours: Labels) -> "Figure":
    """Figure 3: one slice as each method carries it, with the fixed scan's structures outlined.

    Args:
        panels: images from left to right, of equal shape.
        contours: labels of the fixed scan on the same slice.
    """
    plt = _pyplot()
    height, width = contours.shape
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    size = 3.2
    shape = (size * across, size * height / width * down + 0.35 * down)
    drawn = plt.subplots(down, across, figsize=shape)
    figure: Figure = drawn[0]
    places = np.atleast_1d(drawn[1]).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, panel in zip(places, panels, strict=False):
        axes.imshow(panel.image, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], interpolation="nearest")
        for place, value in enumerate(int(v) for v in np.unique(contours) if v):
            axes.contour(contours == value, levels=[0.5], colors=[_colour(place)], linewidths=0.8)
        axes.set_title(_plain(panel.title), fontsize="small")
        if panel.arrow is not None:
            row, column = panel.arrow
            style = {"arrowstyle": "-|>", "color": "yellow", "linewidth": 1.6}
            axes.annotate("", (column, row), xytext=(column - 0.12 * width, row - 0.12 * height), arrowprops=style)
    figure.tight_layout(pad=0.4)
    return figure


def save(figure: "Figure", path: Path) -> tuple[Path, ...]:
    """Writes a figure as PNG and SVG and closes it.

    Args:
        figure: to write.
        path: without suffix.
    """
    written = []
    for kind in FORMATS:
        target = path.with_name(f"{path.name}.{kind}")
        with atomic_file(target) as temporary:
            figure.savefig(temporary, dpi=DPI, bbox_inches="tight", metadata={"Date": None} if kind == "svg" else None)
        written.append(target)
    _pyplot().close(figure)
    return tuple(written)


def require_matplotlib() -> None:
    """Checks that figures can be drawn.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    _pyplot()


def _axes(size: tuple[float, float]) -> tuple["Figure", Any]:
    figure, axes = _pyplot().subplots(figsize=size)
    return figure, axes


def _colour(place: int) -> tuple[float, float, float, float]:
    colours = _pyplot().get_cmap(COLOURS)
    found: tuple[float, float, float, float] = colours(place % colours.N)
    return found


def _plain(text: str) -> str:
    """Text with escaped dollar signs, which matplotlib would read as formulas."""
    return text.replace("$", r"\$")


def _pyplot() -> Any:
    """Pyplot with a non-interactive backend."""
    optional_package("matplotlib", purpose="drawing figures").use("Agg")
    return optional_package("matplotlib.pyplot", purpose="drawing figures")
