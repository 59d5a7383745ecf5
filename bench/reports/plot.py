"""Quality against budget as a figure: a panel a scorer, a line an allocator, bands for 95% intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ... import UserError
from ...db.comparable import Row, Setting
from ...db.database import Database
from ...db.labels import allocator_label, method_name, oracle_suffix, scorer_label
from ...db.score_tables import read_score_table
from ...db.statistics.intervals import score_intervals
from ..errors import printable

if TYPE_CHECKING:
    import altair

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D31", "#000000")
"""Okabe and Ito's, which the colour-blind tell apart; the yellow is darker, to be legible on white."""

_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
"""A line's style changes where the colours begin again."""


def quality_frame(db: Database, rows: Sequence[Row]) -> tuple[pd.DataFrame, str]:
    """(points, caption): columns allocator, scorer, kept (percent of the cache), score, low, high and is_full.

    Seeds are pooled: the samples of every seed are one more task, and the caption says how many there are. A
    configuration counts where it is complete on every task and seed.

    Raises:
        UserError: rows of several models or protocols, or no method with a budget.
    """
    settings = {Setting.of(row)._replace(seed=0) for row in rows}
    if len(settings) > 1:
        titles = "; ".join(sorted(setting.title.split(", seed")[0] for setting in settings))
        raise UserError(
            f"a figure shows one model, dtype, protocol and version, and these are of several: {titles}; "
            "narrow --task, or keep them in databases of their own."
        )
    rows = [row for row in rows if row["keep_tokens"] is None]
    table, incomplete = read_score_table(db, rows, _pooled, lambda row: f"{row['task']}, seed {row['seed']}")
    low, high = score_intervals(table)
    by_name = {_pooled(row): row for row in rows}
    first = [by_name[name] for name in table.configurations]
    points = pd.DataFrame(
        {
            "allocator": [printable(allocator_label(row) + oracle_suffix(row)) for row in first],
            "scorer": [printable(scorer_label(row)) for row in first],
            "kept": [100 * (1 - (row["ratio"] or 0.0)) for row in first],
            "score": table.means(),
            "low": low,
            "high": high,
            "is_full": [row["allocator"] == "full" for row in first],
        }
    )
    if points.empty or points["is_full"].all():
        raise UserError("there is no complete configuration with a ratio to draw; `lukv-bench run` makes some.")
    return points, _caption(rows, table.task, len(incomplete))


def _pooled(row: Row) -> str:
    """What a configuration is but for its seed."""
    return f"{method_name(row)}, {row['ratio']}, sink {row['sink']}, window {row['window']}"


def _caption(rows: Sequence[Row], task: Any, n_incomplete: int) -> str:
    setting, seeds = Setting.of(rows[0]), sorted({row["seed"] for row in rows})
    tasks = list(dict.fromkeys(f"{row['task']} {row['length'] or ''}".strip() for row in rows))
    pooled = f"seeds {', '.join(map(str, seeds))} pooled" if len(seeds) > 1 else f"seed {seeds[0]}"
    has_full = any(row["allocator"] == "full" for row in rows)
    parts = [
        f"{setting.model} ({setting.model_revision[:8]}), {setting.dtype}, {setting.protocol}, {pooled}",
        f"mean over {', '.join(tasks)}, {len(task)} samples in all",
        "bands: 95% intervals" + ", dashed: the full cache" * has_full,
    ]
    if n_incomplete:
        parts.append(f"{n_incomplete} incomplete configurations left out")
    return printable("; ".join(parts))


def figure(points: pd.DataFrame, caption: str) -> "altair.FacetChart":
    """Score against the share of the cache kept; the full cache is the level line."""
    import altair

    full = points.loc[points["is_full"], "score"]
    lines = points[~points["is_full"]].assign(full=full.iloc[0] if len(full) else None)
    allocators = sorted(lines["allocator"].unique())
    numbers = range(len(allocators))
    colours = altair.Scale(domain=allocators, range=[COLOURS[i % len(COLOURS)] for i in numbers])
    dashes = altair.Scale(domain=allocators, range=[_DASHES[i // len(COLOURS) % len(_DASHES)] for i in numbers])
    legend = altair.Legend(title="allocator", labelLimit=300, symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3)
    colour = altair.Color("allocator:N", scale=colours, legend=legend)
    dash = altair.StrokeDash("allocator:N", scale=dashes, legend=None)
    x = altair.X("kept:Q", title="cache kept, %", scale=altair.Scale(domain=[0, 100]))
    y = altair.Y("score:Q", title="score, 0 to 100", scale=altair.Scale(domain=[0, 100]))
    base = altair.Chart(lines)
    tooltip = ["allocator", "scorer", "kept", "score", "low", "high"]
    layers = [
        base.mark_area(opacity=0.1).encode(x=x, y=altair.Y("low:Q"), y2="high:Q", color=colour),
        base.mark_line(point=True).encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=tooltip),
    ]
    if len(full):
        layers.append(base.mark_rule(strokeDash=[4, 4], color="#555555").encode(y="mean(full):Q"))
    panels = altair.layer(*layers).properties(width=360, height=260)
    heading = altair.Header(title=None, labelFontSize=12, labelLimit=360)
    title = altair.TitleParams("Quality against budget", subtitle=caption.split("; "), anchor="start")
    chart: altair.FacetChart = panels.facet(altair.Facet("scorer:N", header=heading), columns=2, title=title)
    return chart


def write_figure(points: pd.DataFrame, caption: str, path: Path) -> None:
    """Write the figure in the format that the file's name ends with; a page holds all that it needs."""
    import altair

    with altair.data_transformers.enable("default", max_rows=None):
        chart = figure(points, caption)
        if path.suffix.lower() == ".html":
            chart.save(str(path), format="html", inline=True)
        else:
            chart.save(str(path), format="png" if path.suffix.lower() == ".png" else "svg", scale_factor=2)
