"""Who wins a backtest, by how much, and whether that is more than noise: tables and sentences for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forecasting.backtest_files import Result
from forecasting.errors import DataError
from forecasting.forecast import KINDS
from forecasting.scores import OTHER, coverage_table, month_numbers, score_table, skill, with_regime
from forecasting.significance import best_models

BASE = "seasonal_naive"
LEVEL = 0.05
SHOWN_COVERAGES = (80, 95)
BY = ("series", "step", "regime", "kind")
OF_KIND = {"month": "months", "quarter": "whole quarters ahead", "fiscal_year": "whole fiscal years ahead"}
HIGHER_IS_BETTER = ("skill",)
NEAREST_TO = {
    "cover50": 0.5,
    "cover80": 0.8,
    "cover90": 0.9,
    "cover95": 0.95,
    "pit": 0.5,
    "bias": 0.0,
    "bias_percent": 0.0,
}


@dataclass(frozen=True)
class Board:
    """One row a model, best first.

    Columns: model, skill, mase, crps_scaled, for 80 and 95 cover, low and high, p (to be among the best), fit_seconds,
    failed (series × cutoffs), cells. ``note`` says why nothing was tested, if so; ``origins`` counts cutoffs tested.
    """

    table: pd.DataFrame
    kind: str
    origins: int
    note: str
    rows: pd.DataFrame = field(repr=False)

    @property
    def best(self) -> str:
        return str(self.table["model"].iloc[0])


def judged(result: Result, kind: str, series: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of one kind; of quarters and years only those that lay wholly ahead: known months flatter all models.

    ``series`` keeps only these (none: all).
    """
    rows = result.rows[result.rows["kind"] == kind]
    rows = rows[(rows["kind"] == "month") | (rows["observed_months"] == 0)]
    rows = rows[rows["series"].isin(series)] if series else rows
    if rows.empty:
        there = ", ".join(one for one in KINDS if (result.rows["kind"] == one).any())
        raise DataError(f"{result.name} has no {OF_KIND[kind]} to judge: choose --kind from {there}, or other series.")
    return rows


def board(result: Result, kind: str = "", series: Sequence[str] = ()) -> Board:
    """The leaderboard of one kind, by the experiment's own metrics."""
    kind = kind or str(result.about["kind"])
    rows = judged(result, kind, series)
    scored = _with_skill(score_table(rows), base_of(result))
    covered = coverage_table(rows)
    for coverage in SHOWN_COVERAGES:
        of = covered[covered["coverage"] == coverage].set_index("model")[["covered", "low", "high"]]
        scored = scored.join(of.add_suffix(str(coverage)), on="model")
    tested = best_models(evenly(rows))
    scored = scored.join(tested.set_index("model")["p"], on="model")
    failed = pd.Series([one["model"] for one in result.about["failures"]], dtype=object).value_counts()
    scored = scored.assign(failed=scored["model"].map(failed).fillna(0).astype(int))
    note = str(tested["note"].iloc[0]) if len(tested) else "nothing in common"
    origins = int(tested["cutoffs"].iloc[0]) if len(tested) else 0
    ranked = _ranked(scored, list(result.about["sort_by"]))
    columns = ["model", "skill", "mase", "crps_scaled"]
    columns += [f"{one}{at}" for at in SHOWN_COVERAGES for one in ("covered", "low", "high")]
    return Board(ranked[[*columns, "p", "fit_seconds", "failed", "cells"]], kind, origins, note, rows)


def base_of(result: Result) -> str:
    """The label of the seasonal naive model without settings of its own; empty where there is none."""
    models = result.about["models"]
    return next((str(name) for name, one in models.items() if one["model"] == BASE), "")


def _with_skill(scored: pd.DataFrame, base: str) -> pd.DataFrame:
    return skill(scored, base) if base in set(scored["model"]) else scored.assign(skill=np.nan)


def _ranked(scored: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Best first; where the first metric is not known of anyone, by the scaled CRPS."""
    badness = {}
    for metric in (*metrics, "crps_scaled"):
        values = scored[metric] if metric in scored else pd.Series(np.nan, index=scored.index)
        if metric in NEAREST_TO:
            values = (values - NEAREST_TO[metric]).abs()
        badness[metric] = -values if metric.startswith(HIGHER_IS_BETTER) else values
    order = pd.DataFrame(badness).assign(model=scored["model"])
    return scored.loc[order.sort_values([*badness, "model"], kind="stable").index].reset_index(drop=True)


def evenly(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of cutoffs the same number of months apart, for a test that counts overlap in cutoffs.

    Where some series have more cutoffs than others, the widest distance is kept.
    """
    numbers = month_numbers(rows["cutoff"])
    different = np.unique(numbers)
    if len(different) < 3:
        return rows
    apart = int(np.median(np.diff(different))) if len(different) < 6 else int(np.diff(different).max())
    on_grid = (numbers - different[0]) % apart == 0
    return rows[on_grid] if len(np.unique(numbers[on_grid])) >= len(different) / 4 else rows


def split(result: Result, by: str, kind: str = "", series: Sequence[str] = ()) -> pd.DataFrame:
    """Skill (or scaled CRPS where there is no base) by group and model.

    Columns: group, model, value, p, cells. Groups are series, steps, regimes or kinds, in their own order.
    """
    base = base_of(result)
    if by == "kind":
        there = [one for one in KINDS if _has(result, one, series)]
        rows = pd.concat([judged(result, one, series) for one in there], ignore_index=True)
        keys: list[str] = []
    else:
        rows = judged(result, kind or str(result.about["kind"]), series)
        keys = [by]
    if by == "regime":
        spans = {name: (span[0], span[1]) for name, span in result.about["regimes"].items()}
        rows = with_regime(rows, spans)
    scored = score_table(rows, ["model", *keys])
    scored = _with_skill(scored, base)
    tested = best_models(evenly(rows), keys)[[by, "model", "p"]]
    table = scored.merge(tested, on=[by, "model"], how="left")
    table = table.assign(value=table["skill" if base else "crps_scaled"], group=table[by])
    order = {
        "regime": [*result.about["regimes"], OTHER],
        "kind": list(KINDS),
        "series": list(result.about["series"]),
    }.get(by)
    rank = table["group"].map(order.index) if order else table["group"]
    return table.loc[rank.sort_values(kind="stable").index, ["group", "model", "value", "p", "cells"]]


def _has(result: Result, kind: str, series: Sequence[str]) -> bool:
    try:
        return not judged(result, kind, series).empty
    except DataError:
        return False


# --- In words --------------------------------------------------------------------------------------------


def what_was_run(result: Result, of: Board) -> str:
    """How many series, cutoffs and models, how far ahead, on what data."""
    about, rows = result.about, of.rows
    cutoffs = sorted(rows["cutoff"].unique())
    reach = int(result.rows.loc[result.rows["kind"] == "month", "step"].max())
    chain = "calibrated and reconciled" if about["calibrate"] else "as the models give them"
    return (
        f"{result.name}: {_count(rows['series'].nunique(), 'series', 'series')} from"
        f" {_count(len(cutoffs), 'cutoff', 'cutoffs')}, {cutoffs[0]} to {cutoffs[-1]}, 1 to {reach} months ahead, by"
        f" {_count(len(of.table), 'model', 'models')}, {chain}; figures as of {about['data']['vintage']}."
        f" Judged: {OF_KIND[of.kind]}."
    )


def who_wins(of: Board) -> str:
    """The best model, those that may be as good, and whether any of it is beyond noise."""
    table, best = of.table, of.table.iloc[0]
    if len(table) == 1:
        return f"{of.best} is the only model, so that nothing is compared."
    gain = f"{of.best} comes first" + _against_base(best["skill"])
    if of.note or table["p"].isna().all():
        return f"{gain}. Whether that is more than luck cannot be said: {of.note or 'no test was possible'}."
    rivals = [str(one) for one in table["model"][1:][table["p"][1:] >= LEVEL]]
    worse = [str(one) for one in table["model"][1:][table["p"][1:] < LEVEL]]
    if best["p"] < LEVEL:
        return f"{gain}, but by average loss at the tested cutoffs another is better: read the p column."
    if not rivals:
        return f"{gain}, and beyond noise: every other model is significantly worse (p < {LEVEL})."
    said = f"{gain}; {_listed(rivals)} {'is' if len(rivals) == 1 else 'are'} within noise of it"
    return f"{said}, {_listed(worse)} significantly worse (p < {LEVEL})." if worse else f"{said}: no clear winner."


def _against_base(gain: Any) -> str:
    if pd.isna(gain) or gain == 0:
        return ""
    return f", {abs(100 * gain):.0f} % {'better' if gain > 0 else 'worse'} than seasonal naive (CRPS)"


def do_intervals_cover(of: Board) -> str:
    """What share the best model's intervals held, and whether chance explains the difference."""
    said = []
    for coverage in SHOWN_COVERAGES:
        held, low, high = (float(of.table[f"{one}{coverage}"].iloc[0]) for one in ("covered", "low", "high"))
        verdict = "too wide" if low > coverage / 100 else "too narrow" if high < coverage / 100 else "as they should"
        said.append(f"{coverage} % ones held {100 * held:.0f} % ({verdict})")
    return f"Of its intervals, the {' and the '.join(said)}."


def _count(many: int, one: str, more: str) -> str:
    return f"{many} {one if many == 1 else more}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
