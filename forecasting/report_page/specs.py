"""Charts as the lists of points that charts.js draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from forecasting.report import Card, Judged
from forecasting.units import Scale

SHOWN_MONTHS = 60
MODELS = 7
"""Colours there are for models in one chart."""
MARKS = {
    "provisional": ("provisional", "circle"),
    "nine_digit": ("provisional", "circle"),
    "implied": ("implied", "diamond"),
    "reconstructed": ("reconstructed", "square"),
    "published_in_press": ("from the press", "triangle"),
}
DASHES = ("", " dash", " dot")
Point = list[float | int | None]


def rounded(value: float) -> float | None:
    """Six digits, as many as a picture can show; None where nothing is known."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def fan(card: Card, scale: Scale) -> dict[str, Any]:
    """Published months with their stages marked, and the forecast's median and intervals."""
    months = card.forecast[card.forecast["kind"] == "month"]
    history = card.history.iloc[-SHOWN_MONTHS:]
    line = [[month.ordinal, rounded(value * scale.factor)] for month, value in _months(history)]
    ends = [pd.Period(one, "M").ordinal for one in months["period"]]

    def of(name: str) -> list[float | None]:
        return [rounded(value * scale.factor) for value in months[name]]

    bands = [
        {
            "name": f"{name} %",
            "cls": f"c0 f{name}",
            "points": [list(row) for row in zip(ends, of(low), of(high), strict=True)],
        }
        for name, low, high in (("95", "q025", "q975"), ("80", "q10", "q90"), ("50", "q25", "q75"))
    ]
    median = [list(row) for row in zip(ends, of("q50"), strict=True)]
    spec = {
        "title": card.entry.title,
        "x": "month",
        "unit": scale.label,
        "bands": bands if ends else [],
        "lines": [
            {"name": "published", "cls": "ink", "points": _with_gaps(line)},
            {"name": "median", "cls": "c0", "points": [*line[-1:], *median]},
        ],
        "dots": _stage_dots(card, history, scale),
    }
    return {**spec, "cut": line[-1][0]} if line else spec


def _months(history: pd.Series) -> list[tuple[pd.Period, float]]:
    return list(zip(pd.PeriodIndex(history.index), history.astype(float), strict=True))


def _with_gaps(line: list[Point]) -> list[Point]:
    """The line with a break where months are missing."""
    found: list[Point] = []
    for point in line:
        if found and point[0] != (found[-1][0] or 0) + 1:
            found.append([(found[-1][0] or 0) + 1, None])
        found.append(point)
    return found


def _stage_dots(card: Card, history: pd.Series, scale: Scale) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for month, value in _months(history):
        name, shape = MARKS.get(str(card.stages.get(month, "")), ("", ""))
        if name:
            one = found.setdefault(name, {"name": name, "cls": "ink", "shape": shape, "points": []})
            one["points"].append([month.ordinal, rounded(value * scale.factor)])
    return list(found.values())


def past(card: Card, scale: Scale) -> dict[str, Any]:
    """Last forecasts with their 80 % interval beside what came."""
    at = [pd.Period(one, "M").ordinal for one in card.past["period"]]

    def of(name: str) -> Iterable[float | None]:
        return (rounded(value * scale.factor) for value in card.past[name])

    return {
        "title": f"{card.entry.title}: last forecasts and what came",
        "x": "month",
        "unit": scale.label,
        "height": 230,
        "whiskers": [
            {
                "name": "80 % interval",
                "cls": "c0",
                "points": [list(r) for r in zip(at, of("q10"), of("q90"), strict=True)],
            }
        ],
        "dots": [
            {
                "name": "forecast",
                "cls": "c0",
                "shape": "circle",
                "points": [list(r) for r in zip(at, of("q50"), strict=True)],
            },
            {
                "name": "came",
                "cls": "c1 solid",
                "shape": "diamond",
                "points": [list(r) for r in zip(at, of("actual"), strict=True)],
            },
        ],
    }


def changes(headline: pd.DataFrame) -> dict[str, Any]:
    """Change on a year earlier with its 80 % interval, one row a series."""
    known = headline[headline["change"].notna()]
    rows = [
        {
            "name": row["title"],
            "low": rounded(row["change_q10"]),
            "middle": rounded(row["change"]),
            "high": rounded(row["change_q90"]),
        }
        for row in known.to_dict("records")
    ]
    return {
        "type": "ranges",
        "title": "Change on a year earlier",
        "unit": "% on a year earlier, with 80 % interval",
        "rows": rows,
    }


def skill_by_step(judged: Judged, models: Sequence[str]) -> dict[str, Any]:
    """Skill against the seasonal naive model by months ahead."""
    lines, dots = [], []
    shapes = ("circle", "square", "diamond", "triangle")
    for at, model in enumerate(models[:MODELS]):
        rows = judged.by_step[judged.by_step["model"] == model].sort_values("step")
        points = [[int(s), rounded(100 * v)] for s, v in zip(rows["step"], rows["skill"], strict=True)]
        points = [[x - 1, y] for x, y in points if x is not None]
        lines.append({"name": "", "cls": f"c{at}{DASHES[at % 3]}", "points": points})
        dots.append({"name": model, "cls": f"c{at}", "shape": shapes[at % 4], "points": points})
    steps = sorted(int(one) for one in judged.by_step["step"].unique())
    return {
        "title": "Skill by months ahead",
        "x": "label",
        "labels": [str(one) for one in steps],
        "unit": "% better than seasonal naive (CRPS), by months ahead",
        "lines": lines,
        "dots": dots,
    }


def coverage(judged: Judged, model: str) -> dict[str, Any]:
    """Share of outcomes inside each interval with its uncertainty, beside what it should be."""
    rows = judged.coverage[judged.coverage["model"] == model].sort_values("coverage")
    at = range(len(rows))
    return {
        "title": f"Do the intervals of {model} hold what they promise",
        "x": "label",
        "labels": [f"{int(one)} %" for one in rows["coverage"]],
        "unit": "% of outcomes inside",
        "least": 0,
        "most": 100,
        "height": 250,
        "whiskers": [
            {
                "name": "held, 95 % certain",
                "cls": "c0",
                "points": [
                    [x, rounded(100 * low), rounded(100 * high)]
                    for x, low, high in zip(at, rows["low"], rows["high"], strict=True)
                ],
            }
        ],
        "dots": [
            {
                "name": "promised",
                "cls": "c1",
                "shape": "square",
                "points": [[x, float(v)] for x, v in zip(at, rows["coverage"], strict=True)],
            },
            {
                "name": "held",
                "cls": "c0 solid",
                "shape": "circle",
                "points": [[x, rounded(100 * v)] for x, v in zip(at, rows["covered"], strict=True)],
            },
        ],
    }


def pit(judged: Judged, model: str) -> dict[str, Any]:
    """Where outcomes fell in the forecasts: tenths of equal height if these are honest."""
    row = judged.pit[judged.pit["model"] == model].iloc[0]
    bins = [name for name in judged.pit.columns if name.startswith("bin")]
    return {
        "title": f"Where outcomes fell in the forecasts of {model}",
        "x": "label",
        "height": 250,
        "labels": [f"{10 * at}–{10 * at + 10}" for at in range(len(bins))],
        "unit": "% of outcomes in each tenth",
        "least": 0,
        "bars": [
            {"name": "outcomes", "cls": "c0", "points": [[at, rounded(100 * row[one])] for at, one in enumerate(bins)]}
        ],
        "lines": [
            {"name": "if honest", "cls": "c1 dash", "points": [[at, 100 / len(bins)] for at in range(len(bins))]}
        ],
    }
