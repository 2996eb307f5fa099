"""Scores of forecasts against what came: of one cell, of a table, with the coverage bounds and the skill.

Read from their source before writing these: scoringrules 0.10 (1.7 MB; CRPS, interval and quantile score all correct,
and compared in the tests where it is installed; left because it would spare four lines and, where numba happens to be
installed, costs 2 to 3 s of compiling at import in every worker); utilsforecast (wants a column per model and the
training data again; where sMAPE or MASE are not defined it says 0, which flatters; its one-quantile loss lost the sign
of the error in the version read; no CRPS of paths, no interval score); properscoring (one release, 0.1).
So these are ours, few lines each, and each has a slow oracle in the tests.

The median is judged where the loss is absolute (MAE, MASE, sMAPE), the mean where it is squared or signed (RMSSE,
bias): each is the point forecast that its loss asks for (Gneiting 2011). Bias = forecast − actual: above 0 is too high.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.errors import DataError
from forecasting.forecast import COVERAGES, QUANTILE_COLUMNS, QUANTILES

CELL = ("series", "cutoff", "kind", "period")
ROW_COLUMNS = (
    *CELL, "model", "step", "mean", *QUANTILE_COLUMNS, "crps", "pit", "actual", "scale", "scale_sq", "fit_seconds",
)  # fmt: skip
MSIS_COVERAGES = (80, 95)
SCALED_LOSSES = ("mase", "crps_scaled", "sql", "msis80", "msis95")
"""Losses of a cell that are free of units: they may be averaged over series and compared in a test."""
COUNTS = ("series_count", "cutoffs", "cells", "no_scale")
SCORES = (
    "mae", "bias", "bias_percent", "smape", "mase", "rmsse", "crps", "crps_scaled", "wql", "sql", "is80", "is95",
    "msis80", "msis95", "cover50", "cover80", "cover90", "cover95", "pit", "fit_seconds",
)  # fmt: skip
SKILLS = ("mase", "rmsse", "crps_scaled", "wql", "sql", "msis80", "msis95")
REGIMES: Mapping[str, tuple[str | None, str | None]] = {
    "before 2020": (None, "2019-12"),
    "pandemic": ("2020-01", "2022-01"),  # ends when the next begins, so that no month is in neither
    "shock": ("2022-02", "2023-12"),
    "after": ("2024-01", None),
}
OTHER = "other"
STEP_WORDS = {"month": "months ahead", "quarter": "quarters ahead", "fiscal_year": "fiscal years ahead"}


# Scorers of cells: arrays in, arrays out


def crps_of_paths(paths: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Fair CRPS of paths (P × …) at actual (…): E|X − y| − ½ E|X − X′| over pairs of different paths, in P log P.

    Fair (Ferro 2014; the PWM form), because how many paths are drawn is a choice of computing, not of the forecast.
    Never negative; one path scores its absolute error.
    """
    ordered = np.sort(np.asarray(paths, dtype=float) - actual, axis=0)
    count = len(ordered)
    weight = (2.0 * np.arange(count) - count + 1.0) / (count * max(count - 1, 1))
    spread = (weight.reshape(-1, *[1] * (ordered.ndim - 1)) * ordered).sum(axis=0)
    return np.maximum(np.abs(ordered).mean(axis=0) - spread, 0.0)  # a spread of equal paths can round to −1e-17


def pit_of_paths(paths: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Share of paths (P × …) below actual (…), ties counted half; NaN where actual is."""
    below = (paths < actual).mean(axis=0) + 0.5 * (paths == actual).mean(axis=0)
    return np.where(np.isnan(actual), np.nan, below)


def seasonal_scale(history: np.ndarray, months: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute and mean squared change on a year earlier of history (T × n), each (n).

    The denominators of MASE (Hyndman and Koehler 2006, lag 12) and RMSSE. For totals of 3 or 12 ``months`` every
    window of so many months counts, not only those of the calendar. NaN where no pair a year apart is known.
    """
    if len(history) < months + 12:
        return np.full(history.shape[1], np.nan), np.full(history.shape[1], np.nan)
    totals = np.lib.stride_tricks.sliding_window_view(history, months, axis=0).sum(axis=-1)
    change = totals[12:] - totals[:-12]
    known = (~np.isnan(change)).sum(axis=0)
    divide = np.where(known > 0, known, np.nan)
    return np.nansum(np.abs(change), axis=0) / divide, np.nansum(change**2, axis=0) / divide


def interval_score(low: np.ndarray, high: np.ndarray, actual: np.ndarray, coverage: float) -> np.ndarray:
    """Width plus 2 / α times the distance outside (Gneiting and Raftery 2007); α = 1 − coverage (percent)."""
    alpha = 1.0 - coverage / 100.0
    outside = np.maximum(low - actual, 0.0) + np.maximum(actual - high, 0.0)
    return high - low + 2.0 / alpha * outside


def quantile_loss(quantiles: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Twice the pinball loss of the nine quantiles (… × 9), averaged (…)."""
    error = actual[..., None] - quantiles
    levels = np.array(QUANTILES)
    return 2.0 * np.maximum(levels * error, (levels - 1.0) * error).mean(axis=-1)


def smape(forecast: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """200 |actual − forecast| / (|actual| + |forecast|), between 0 and 200 percent; 0 where both are 0."""
    size = np.abs(actual) + np.abs(forecast)
    return np.where(size == 0, 0.0 * size, 200.0 * np.abs(actual - forecast) / np.where(size == 0, 1.0, size))


# Tables


@dataclass(frozen=True)
class Common:
    """Rows of the cells that every model forecast; and by kind and model what that left out.

    ``dropped`` has columns model, kind, forecasts (cells the model forecast), common, dropped (forecast, but not by
    all), missing (forecast by another model, not by this one).
    """

    rows: pd.DataFrame
    dropped: pd.DataFrame


def common_folds(rows: pd.DataFrame) -> Common:
    """Only the cells (series, cutoff, kind, period) whose actual is known and that all models of that kind forecast.

    A row with a missing number is not a forecast. A model without any forecast of a kind does not empty it for others.
    """
    _check(rows)
    rows = rows.sort_values(["model", *CELL], kind="stable", ignore_index=True)  # sums do not depend on row order
    known = rows["actual"].notna().to_numpy()
    whole = rows[["mean", *QUANTILE_COLUMNS, "crps"]].notna().all(axis=1).to_numpy()
    made = rows[known & whole]
    models = made.groupby("kind", observed=True)["model"].nunique()
    seen = made.groupby(list(CELL), observed=True)["model"].transform("size")
    kept = made[(seen == made["kind"].map(models).astype(float)).to_numpy()]
    return Common(kept.reset_index(drop=True), _dropped(rows[known], made, kept))


def _dropped(rows: pd.DataFrame, made: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    everything = made.drop_duplicates(list(CELL)).groupby("kind", observed=True).size()
    pairs = rows[["model", "kind"]].drop_duplicates().sort_values(["model", "kind"], ignore_index=True)
    index = pd.MultiIndex.from_frame(pairs)
    forecasts = made.groupby(["model", "kind"], observed=True).size().reindex(index, fill_value=0).to_numpy()
    common = kept.groupby(["model", "kind"], observed=True).size().reindex(index, fill_value=0).to_numpy()
    wanted = pairs["kind"].map(everything).fillna(0).astype(int).to_numpy()
    return pairs.assign(forecasts=forecasts, common=common, dropped=forecasts - common, missing=wanted - forecasts)


def _check(rows: pd.DataFrame) -> None:
    absent = [one for one in ROW_COLUMNS if one not in rows]
    if absent:
        raise DataError(f"A backtest table needs {', '.join(absent)}; found {', '.join(map(str, rows.columns))}.")
    twice = rows.duplicated(["model", *CELL])
    if twice.any():
        one = rows[twice].iloc[0]
        raise DataError(
            f"{one['model']} has two forecasts of {one['series']} for {one['period']} from {one['cutoff']}: "
            "score one experiment at a time."
        )


def cell_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with every score of a cell beside them. A scale of 0 or NaN gives NaN in what is divided by it."""
    actual = rows["actual"].to_numpy(dtype=float)
    quantiles = rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
    median = rows["q50"].to_numpy(dtype=float)
    scale = _positive(rows["scale"])
    miss = rows["mean"].to_numpy(dtype=float) - actual
    scored = {
        "mae": np.abs(actual - median),
        "bias": miss,
        "smape": smape(median, actual),
        "quantile_loss": quantile_loss(quantiles, actual),
        "size": np.abs(actual),
        "squared_scaled": miss**2 / _positive(rows["scale_sq"]),
    }
    for coverage, (low, high) in COVERAGES.items():
        bounds = rows[low].to_numpy(dtype=float), rows[high].to_numpy(dtype=float)
        scored[f"cover{coverage}"] = ((bounds[0] <= actual) & (actual <= bounds[1])).astype(float)
        if coverage in MSIS_COVERAGES:
            scored[f"is{coverage}"] = interval_score(*bounds, actual, coverage)
            scored[f"msis{coverage}"] = scored[f"is{coverage}"] / scale
    scored["mase"] = scored["mae"] / scale
    scored["crps_scaled"] = rows["crps"].to_numpy(dtype=float) / scale
    scored["sql"] = scored["quantile_loss"] / scale
    return rows.assign(**scored, no_scale=np.isnan(scale))


def _positive(scale: pd.Series) -> np.ndarray:
    values = scale.to_numpy(dtype=float)
    return np.where(values > 0, values, np.nan)


def score_table(rows: pd.DataFrame, by: Sequence[str] = ("model",)) -> pd.DataFrame:
    """Scores on common folds by model, series, step, kind, cutoff or regime (columns: by, counts, scores).

    Averaged within each series first, then over series, so that a series with more cells weighs no more. ``kind`` is
    always a key: a month is never averaged with a year. mae, bias, crps and is80/95 are in the series' own units:
    over several series they mean something only where those agree. ``no_scale`` cells (a constant series has a scale
    of 0) stand in no scaled score.
    """
    cells = cell_scores(common_folds(rows).rows)
    keys = group_keys(cells, by)
    within = _within_series(cells.groupby(list(dict.fromkeys([*keys, "series"])), observed=True))
    table = within.groupby(keys, observed=True)[list(SCORES)].mean()
    groups = cells.groupby(keys, observed=True)
    counts = pd.DataFrame(
        {
            "series_count": groups["series"].nunique(),
            "cutoffs": groups["cutoff"].nunique(),
            "cells": groups.size(),
            "no_scale": groups["no_scale"].sum().astype(int),
        }
    )
    return counts.join(table).reset_index()


def _within_series(groups: pd.api.typing.DataFrameGroupBy) -> pd.DataFrame:
    plain = [one for one in SCORES if one not in ("bias_percent", "rmsse", "wql")]
    table = groups[plain].mean()
    sums = groups[["bias", "quantile_loss", "size"]].sum()
    size = sums["size"].where(sums["size"] > 0)
    return table.assign(
        bias_percent=100.0 * sums["bias"] / size,
        wql=sums["quantile_loss"] / size,
        rmsse=np.sqrt(groups["squared_scaled"].mean()),
    )


def group_keys(rows: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """The keys asked for, with ``kind`` among them."""
    absent = [one for one in by if one not in rows]
    if absent:
        hint = " (with_regime adds it)" if "regime" in absent else ""
        raise DataError(f"Cannot group by {', '.join(absent)}{hint}: found {', '.join(map(str, rows.columns))}.")
    return list(dict.fromkeys([*by, "kind"]))


def skill(scored: pd.DataFrame, base: str = "seasonal_naive") -> pd.DataFrame:
    """The score table with 1 − loss / loss of base beside it, group by group; ``skill`` is that of the scaled CRPS.

    A ratio of means over series. The geometric mean of ratios was left: a banned good has a loss of 0, for which it is
    not defined, and the tests of significance are about differences of means. NaN where the base loses nothing.
    """
    keys = [one for one in scored.columns if one not in (*COUNTS, *SCORES)]
    models = set(scored["model"])
    if base not in models:
        raise DataError(
            f"Skill is measured against {base}, which is not among {', '.join(sorted(models))}: "
            "add it to the experiment or name another base."
        )
    others = [one for one in keys if one != "model"]
    bases = scored.loc[scored["model"] == base, [*others, *SKILLS]]
    paired = scored[others].merge(bases, on=others, how="left", validate="many_to_one")
    shown = {}
    for loss in SKILLS:
        against = paired[loss].where(paired[loss] > 0).to_numpy()
        shown[f"skill_{loss}"] = 1.0 - scored[loss].to_numpy() / against
    return scored.assign(skill=shown["skill_crps_scaled"], **shown)


def pit_table(rows: pd.DataFrame, by: Sequence[str] = ("model",), bins: int = 10) -> pd.DataFrame:
    """Share of cells whose PIT lies in each of ``bins`` equal parts of 0…1: all alike if the forecasts are honest."""
    cells = common_folds(rows).rows
    keys = group_keys(cells, by)
    at = np.minimum((cells["pit"] * bins).fillna(-1).astype(int), bins - 1)
    counts = cells.assign(bin=at)[at >= 0].groupby([*keys, "bin"], observed=True).size().unstack("bin", fill_value=0)
    counts = counts.reindex(columns=range(bins), fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0).rename(columns=lambda one: f"bin{one + 1}")
    return shares.reset_index().rename_axis(columns=None)


# Coverage


def coverage_table(rows: pd.DataFrame, by: Sequence[str] = ("model",), confidence: float = 0.95) -> pd.DataFrame:
    """Covered share of the 50, 80, 90 and 95 % intervals with Clopper–Pearson bounds on common folds.

    Columns: by, coverage (percent), covered, low, high, effective, origins, cells. ``origins`` counts cutoffs whose
    horizons do not overlap (each at least the reach of its forecasts after the one before). ``effective`` is the
    number of independent forecasts that would be as uncertain: covered (1 − covered) / variance, the variance being
    that of the share covered per cutoff, over ``origins``: so series that miss together count as few, and cutoffs that
    share months as one. It is lowered for the variance being estimated (Korn and Graubard 1998), is ``origins`` where
    nothing or everything was covered, and does not rise with the coverage, because few misses cannot show that they
    come together. Measured on simulated overlapping, correlated errors: the bounds hold the truth in 94 to 100 %.
    """
    cells = cell_scores(common_folds(rows).rows)
    keys = group_keys(cells, by)
    cells = cells.assign(
        origin=month_numbers(cells["cutoff"]), reach=last_months(cells) - month_numbers(cells["cutoff"])
    )
    found = []
    for values, group in cells.groupby(keys, observed=True):
        found += [dict(zip(keys, values, strict=True)) | row for row in _covered(group, confidence)]
    columns = [*keys, "coverage", "covered", "low", "high", "effective", "origins", "cells"]
    return pd.DataFrame(found, columns=columns)


def _covered(group: pd.DataFrame, confidence: float) -> list[dict[str, float]]:
    """One row a coverage, narrowest first."""
    origins = independent_origins(group["origin"].to_numpy(), int(group["reach"].max()))
    effective = np.inf
    found = []
    for coverage in sorted(COVERAGES):
        share, own = _effective(group, group[f"cover{coverage}"], origins, confidence)
        effective = min(effective, own)
        low, high = clopper_pearson(share, effective, confidence)
        row = {"coverage": coverage, "covered": share, "low": low, "high": high, "effective": effective}
        found.append(row | {"origins": origins, "cells": len(group)})
    return found


def _effective(group: pd.DataFrame, covered: pd.Series, origins: int, confidence: float) -> tuple[float, float]:
    """Covered share, the mean over series, and the number of independent forecasts that it is worth."""
    by_series = covered.groupby(group["series"], observed=True)
    own, count = by_series.transform("mean"), by_series.transform("size")
    weight = 1.0 / (count * group["series"].nunique())
    share = float((weight * covered).sum())
    parts = (weight * (covered - own)).groupby(group["origin"]).sum().to_numpy()
    n = len(parts)
    variance = n**2 / (n - 1) * float(parts @ parts) / origins if n > 1 else 0.0
    if share in (0.0, 1.0) or variance < 1e-12:
        return share, float(origins)
    tail = 0.5 + confidence / 2
    lowered = (stats.norm.ppf(tail) / stats.t.ppf(tail, n - 1)) ** 2
    return share, float(max(min(share * (1 - share) / variance, len(group)) * lowered, 1.0))


def independent_origins(origins: np.ndarray, reach: int) -> int:
    """How many of these month numbers can be taken with at least ``reach`` months between one and the next."""
    count, last = 0, -np.inf
    for origin in np.unique(origins):
        if origin - last >= reach:
            count, last = count + 1, origin
    return count


def clopper_pearson(share: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact bounds of a share seen in n trials (Clopper and Pearson 1934); n need not be whole."""
    alpha, hits = 1.0 - confidence, share * n
    low = stats.beta.ppf(alpha / 2, hits, n - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(1 - alpha / 2, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


# Time


def with_regime(rows: pd.DataFrame, regimes: Mapping[str, tuple[str | None, str | None]] = REGIMES) -> pd.DataFrame:
    """The rows with a column ``regime``, by the (last) month of the period that was forecast; None is an open end.

    Months in no regime are ``other``. Regimes may not overlap.
    """
    months = last_months(rows)
    regime = np.full(len(rows), OTHER, dtype=object)
    spans = sorted((*_span(name, first, last), name) for name, (first, last) in regimes.items())
    for (_, end, one), (start, _, two) in pairwise(spans):
        if start <= end:
            raise DataError(f"Regimes {one} and {two} overlap: let {two} begin after {one} ends.")
    for start, end, name in spans:
        regime[(months >= start) & (months <= end)] = name
    return rows.assign(regime=regime)


def _span(name: str, first: str | None, last: str | None) -> tuple[float, float]:
    start = -np.inf if first is None else float(_month_number(first))
    end = np.inf if last is None else float(_month_number(last))
    if start > end:
        raise DataError(f"Regime {name} ends in {last}, before it begins in {first}: swap them.")
    return start, end


def month_numbers(months: pd.Series) -> np.ndarray:
    """Months counted from year 0, so that a difference is in months (rows)."""
    return months.map({one: _month_number(one) for one in months.unique()}).to_numpy(dtype=int)


def last_months(rows: pd.DataFrame) -> np.ndarray:
    """Number of the last month of each row's period (rows)."""
    numbers = rows["period"].map({one: _last_month(str(one)) for one in rows["period"].unique()})
    return numbers.to_numpy(dtype=int)


def _month_number(month: object) -> int:
    try:
        year, number = str(month).split("-")
        return int(year) * 12 + int(number) - 1
    except ValueError as error:
        raise DataError(f"{month} is not a month: write it like 2026-09.") from error


def _last_month(period: str) -> int:
    """Of ``2026-09``, ``2026Q4`` or ``FY2026`` (which ends in March 2027)."""
    if period.startswith("FY"):
        return _month_number(f"{int(period[2:]) + 1}-03")
    year, _, quarter = period.partition("Q")
    return _month_number(f"{year}-{3 * int(quarter)}" if quarter else period)
