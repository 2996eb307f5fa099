"""Scores of backtests that no one machine holds as a whole: sums by partition, means over all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pandas as pd

from forecasting.scores import CELL, cell_scores

SUMS = ("mase", "crps_scaled", "sql", "msis80", "msis95", "cover80", "cover95")

Sums = Mapping[str, Mapping[str, float]]
"""By model and kind (a JSON list of the two): SUMS, how many cells were added, and how many of them have a scale."""


def sums(rows: pd.DataFrame) -> Sums:
    """Sums of scores by model and kind, over the cells that every model forecast."""
    if rows.empty:
        return {}
    models = rows["model"].nunique()
    common = rows[rows.groupby(list(CELL))["model"].transform("size") == models]
    cells = cell_scores(common)
    cells = cells.assign(scaled=1.0 * ~cells["no_scale"], cells=1.0)
    added = cells.groupby(["model", "kind"])[[*SUMS, "scaled", "cells"]].sum()
    return {json.dumps(key): {str(name): float(value) for name, value in row.items()} for key, row in added.iterrows()}


def means(partitions: Iterable[Sums]) -> pd.DataFrame:
    """Means by model and kind over all forecasts (rows × model, kind, cells and SUMS), best CRPS first."""
    added: dict[str, dict[str, float]] = {}
    for one in partitions:
        for key, found in one.items():
            mine = added.setdefault(key, {})
            for name, value in found.items():
                mine[name] = mine.get(name, 0.0) + value
    rows = []
    for key, total in added.items():
        model, kind = json.loads(key)
        scaled = max(total["scaled"], 1.0)
        shares = {one: total[one] / (max(total["cells"], 1.0) if "cover" in one else scaled) for one in SUMS}
        rows.append({"model": model, "kind": kind, "cells": int(total["cells"]), **shares})
    table = pd.DataFrame(rows, columns=["model", "kind", "cells", *SUMS])
    return table.sort_values(["kind", "crps_scaled", "model"], ignore_index=True)
