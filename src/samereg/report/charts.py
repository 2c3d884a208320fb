"""Charts as SVG and HTML: histogram of match distances, match vectors, and stage times."""

from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float
from numpy import ndarray

BINS = 30
"""Number of histogram bins."""

CHART_PX = (560, 200)
AXIS_PX = 22


def histogram(series: Sequence[tuple[str, str, Float[ndarray, " n"]]], *, unit: str) -> str:
    """Histogram of several series on one axis from 0 to the 99th percentile.

    Args:
        series: name, CSS class and values of each series; values beyond the axis are counted in the last bin.
        unit: of the values.
    """
    every = np.concatenate([values for _, _, values in series])
    if len(every) == 0:
        return "<p>No data.</p>"
    end = max(1.0, float(np.quantile(every, 0.99)))
    edges = np.linspace(0.0, end, BINS + 1)
    counts = [np.histogram(np.clip(values, 0.0, end), edges)[0] for _, _, values in series]
    top = max(1, *(int(count.max()) for count in counts))
    width, height = CHART_PX
    bars = "".join(_bars(count / top, name) for count, (_, name, _) in zip(counts, series, strict=True))
    ticks = "".join(_tick(share, end * share) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    label = ", ".join(escape(title) for title, _, _ in series)
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height + AXIS_PX}" role="img" aria-label="Histogram: {label}">'
        f"{bars}<line x1='0' x2='{width}' y1='{height}' y2='{height}' class='axis'/>{ticks}</svg>"
        f'<p class="legend">{_legend(series, unit)}</p>'
    )


def vectors(starts: Float[ndarray, "n 2"], ends: Float[ndarray, "n 2"], size_px: tuple[int, int]) -> str:
    """Lines between corresponding points with a dot at each start, as an overlay of a given size."""
    lines = "".join(
        f'<path d="M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}"/><circle cx="{a[0]:.1f}" cy="{a[1]:.1f}" r="1.1"/>'
        for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    )
    return f'<svg class="vectors" viewBox="0 0 {size_px[0]} {size_px[1]}" aria-hidden="true">{lines}</svg>'


def stage_bars(stages: Sequence[tuple[str, float, str]]) -> str:
    """Bar chart of stage times: name, seconds and a note."""
    longest = max([seconds for _, seconds, _ in stages], default=1.0) or 1.0
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td class='bar'><i style='width:{100 * seconds / longest:.1f}%'></i></td>"
        f"<td class='number'>{seconds:.2f} s</td><td>{escape(note)}</td></tr>"
        for name, seconds, note in stages
    )
    return f'<table class="stages">{rows}</table>'


def _bars(heights: Float[ndarray, " b"], name: str) -> str:
    width, height = CHART_PX
    step = width / len(heights)
    rectangles = "".join(
        f'<rect x="{index * step:.1f}" y="{height * (1 - share):.1f}" width="{step - 1:.1f}" '
        f'height="{height * share:.1f}"/>'
        for index, share in enumerate(heights.tolist())
        if share > 0
    )
    return f'<g class="{name}">{rectangles}</g>'


def _tick(share: float, value: float) -> str:
    width, height = CHART_PX
    anchor = "start" if share == 0 else "end" if share == 1 else "middle"
    return f'<text x="{share * width:.0f}" y="{height + 16}" text-anchor="{anchor}">{value:.0f}</text>'


def _legend(series: Sequence[tuple[str, str, Float[ndarray, " n"]]], unit: str) -> str:
    return " ".join(
        f'<span class="key {name}">{escape(title)}: median {np.median(values):.1f} {escape(unit)}</span>'
        for title, name, values in series
        if len(values)
    )
