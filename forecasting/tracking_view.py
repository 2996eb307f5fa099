"""MLflow's page for a backtest or for scenarios: the saved table and charts, and the links that open them.

Without a saved view the page of 3.17 shows no metric column, and without the link it opens on pages about
language models. The form of a saved view is undocumented: it was read from the page of 3.17 and is written for
that version only; with any other the page merely looks as MLflow makes it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

KNOWN_VERSIONS = ("3.17.",)
VIEW_TAG = "mlflow.sharedViewState."
LATEST = "tags.latest = 'yes' and attributes.status = 'FINISHED'"
COLUMNS = (
    ("metrics", "skill", 90), ("metrics", "cov80", 85), ("metrics", "cov95", 85), ("tags", "verdict", 220),
    ("tags", "intervals", 170), ("metrics", "mase", 85), ("metrics", "crps", 85), ("metrics", "bias_pct", 95),
    ("metrics", "fit_s", 80), ("params", "cutoffs", 190), ("params", "n_series", 90), ("params", "vintage", 95),
)  # fmt: skip


SERIES_COLUMNS = (
    ("params", "model", 130), ("params", "series", 300), ("metrics", "skill", 90), ("metrics", "cov80", 85),
    ("metrics", "cov95", 85), ("metrics", "mase", 85), ("metrics", "crps", 85), ("metrics", "bias_pct", 95),
)  # fmt: skip


def view_tags(has_skill: bool, version: str, of_series: bool = False) -> dict[str, str]:
    """Tags of the experiment that hold the saved views; none for a version whose page is not known."""
    if not version.startswith(KNOWN_VERSIONS):
        return {}
    columns = SERIES_COLUMNS if of_series else COLUMNS
    views = {"leaderboard": ("Leaderboard", _leaderboard(has_skill, columns))}
    if not of_series:
        views["charts"] = ("Charts", _charts(has_skill))
    return {f"{VIEW_TAG}{key}": _packed(title, state) for key, (title, state) in views.items()}


def scenario_view_tags(series: Sequence[str], version: str) -> dict[str, str]:
    """Tags of the experiment of scenarios that hold its saved views; ``series`` (names of metrics) get columns.

    The views have the keys of a leaderboard's, so that the same links open them. Sorted by a metric, the page lists
    runs flat; by date it would fold the scenarios away under their forecast.
    """
    if not version.startswith(KNOWN_VERSIONS):
        return {}
    columns = (
        ("tags", "effect", 370), ("metrics", "probability_pct", 120),
        *(("metrics", f"quarter_pct/{one}", 190) for one in series),
        ("metrics", "assumptions", 110), ("params", "period", 90), ("params", "model", 100), ("params", "vintage", 95),
    )  # fmt: skip
    table = _table(columns, f"metrics.`quarter_pct/{series[0]}`", ascending=True)
    sections = (
        ("month", "Difference from the forecast, by month", [_line(f"month/{one}") for one in series]),
        ("level", "Mean, by month; the forecast too", [_line(f"level/{one}") for one in series]),
        ("quarter", "Change in percent, last whole quarter", [_bar(f"quarter_pct/{one}") for one in series]),
    )
    views = {"leaderboard": ("Scenarios", table), "charts": ("Charts", table | _cards(sections))}
    return {f"{VIEW_TAG}{key}": _packed(title, state) for key, (title, state) in views.items()}


def links(base: str, experiment_id: str, of_series: bool = False) -> dict[str, str]:
    """Addresses that open the saved views."""
    start = f"{base.rstrip('/')}/#/experiments/{quote(experiment_id)}/runs?workflowType=machine_learning"
    board = {"leaderboard": f"{start}&viewStateShareKey=leaderboard"}
    return board if of_series else board | {"charts": f"{start}&viewStateShareKey=charts&compareRunsMode=CHART"}


def _leaderboard(has_skill: bool, columns: Sequence[tuple[str, str, int]] = COLUMNS) -> dict[str, Any]:
    shown = [one for one in columns if has_skill or one[1] != "skill"]
    return _table(shown, "metrics.`skill`" if has_skill else "metrics.`crps`", ascending=not has_skill)


def _table(columns: Sequence[tuple[str, str, int]], order: str, ascending: bool) -> dict[str, Any]:
    ids = [f"{kind}.`{name}`" for kind, name, _ in columns]
    return {
        "searchFilter": LATEST,
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": ids,
        "columnOrder": ids,
        "columnWidths": {one: width for one, (_, _, width) in zip(ids, columns, strict=True)},
        "runsHiddenMode": "FIRST_20_RUNS",
        "groupBy": None,
        "autoRefreshEnabled": False,
    }


def _charts(has_skill: bool) -> dict[str, Any]:
    score = "skill" if has_skill else "crps"
    sections = (
        ("whole", "The whole backtest", [_bar(score), _bar("cov80"), _bar("cov95")]),
        ("step", "By months ahead", [_line(f"step/{one}") for one in (score, "cov80", "cov95")]),
        ("cutoff", "Over time, by cutoff", [_line(f"cutoff/{one}", "time") for one in (score, "cov80", "mase")]),
    )
    return _leaderboard(has_skill) | _cards(sections)


def _cards(sections: Sequence[tuple[str, str, Sequence[dict[str, Any]]]]) -> dict[str, Any]:
    """Charts in sections: key, title and cards of each."""
    cards = [card | {"metricSectionId": key} for key, _, found in sections for card in found]
    return {
        "compareRunCharts": [card | {"uuid": f"card{at}"} for at, card in enumerate(cards)],
        "compareRunSections": [
            {"uuid": key, "name": title, "display": True, "isReordered": True, "deleted": False, "isGenerated": False}
            for key, title, _ in sections
        ],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _card(kind: str, metric: str) -> dict[str, Any]:
    return {
        "type": kind, "metricKey": metric, "displayName": metric, "deleted": False, "isGenerated": False,
        "runsCountToCompare": 20,
    }  # fmt: skip


def _bar(metric: str) -> dict[str, Any]:
    return _card("BAR", metric)


def _line(metric: str, axis: str = "step") -> dict[str, Any]:
    return _card("LINE", metric) | {
        "selectedMetricKeys": [metric], "lineSmoothness": 0, "xAxisScaleType": "linear", "scaleType": "linear",
        "range": {}, "xAxisKey": axis, "selectedXAxisMetricKey": "", "displayPoints": axis == "step",
        "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False, "useGlobalXaxisKey": axis == "step",
        "useGlobalLineSmoothing": True,
    }  # fmt: skip


def _packed(title: str, state: Mapping[str, Any]) -> str:
    text = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    # Fixed times: writing the same view again changes nothing.
    return json.dumps({"name": title, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{text}"})
