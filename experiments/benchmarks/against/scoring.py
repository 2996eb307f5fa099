"""Scores of all forecasts on the same cells; every definition is in docs/benchmarks.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from against.data import Task, naive2
from forecasting import scores
from forecasting.forecast import COVERAGES, QUANTILE_COLUMNS
from forecasting.seeds import stream
from forecasting.significance import compare

KEYS = ["cutoff", "unique_id", "h"]
LOSSES = ("mase", "sql", "msis95")
DRAWS = 2000
SCORED = {"q025": 0.025, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q975": 0.975}
"""Quantiles of the scaled quantile loss: those in every forecast file (point, 80 and 95 %)."""


@dataclass(frozen=True)
class Truth:
    """Actual values by cutoff, series and step, and what they are scaled by."""

    cells: pd.DataFrame

    @classmethod
    def of(cls, task: Task, months: int = 1) -> Truth:
        """Of every step, or (``months`` 3) of totals that end at every step; not scaled by Naive2 then."""
        pieces = []
        for cutoff in task.cutoffs:
            if wanted := list(task.wanted(cutoff)):
                pieces.append(_truth(task, cutoff, wanted, months))
        return cls(pd.concat(pieces, ignore_index=True))


def _truth(task: Task, cutoff: pd.Period, wanted: list[str], months: int) -> pd.DataFrame:
    past = task.y.loc[:cutoff, wanted].to_numpy(dtype=float)
    ahead = task.y.loc[cutoff + 1 : cutoff + task.horizon, wanted].to_numpy(dtype=float)
    if months > 1:
        ahead = np.lib.stride_tricks.sliding_window_view(ahead, months, axis=0).sum(axis=-1)
    scale, _ = scores.seasonal_scale(past, months)
    steps, n = np.arange(months, task.horizon + 1), len(wanted)
    table = pd.DataFrame(
        {
            "cutoff": str(cutoff),
            "unique_id": np.tile(wanted, len(steps)),
            "h": np.repeat(steps, n),
            "month": np.repeat([cutoff.ordinal + step for step in steps], n),
            "actual": ahead.reshape(-1),
            "scale": np.tile(np.where(scale > 0, scale, np.nan), len(steps)),
            "positive": np.tile(np.nanmin(past, axis=0) > 0, len(steps)),
        }
    )
    if months == 1:
        reference = np.column_stack([naive2(past[:, at], task.horizon) for at in range(n)])
        table["naive2"] = reference.reshape(-1)
    return table


def cells(truth: Truth, rows: pd.DataFrame, models: int | None = None) -> pd.DataFrame:
    """Every forecast cell that all models have, so many or those in these rows, with its losses; maybe none."""
    models = models or rows["model"].nunique()
    joined = rows.dropna(subset=["point"]).merge(truth.cells, on=KEYS, how="inner", validate="many_to_one")
    common = joined.groupby(KEYS)["model"].transform("size") == models
    joined = joined[common & joined["scale"].notna() & joined["actual"].notna()].reset_index(drop=True)
    quantiles = np.sort(joined[list(QUANTILE_COLUMNS)].to_numpy(dtype=float), axis=1)
    actual, scale, point = (joined[one].to_numpy(dtype=float) for one in ("actual", "scale", "point"))
    low95, high95 = quantiles[:, 0], quantiles[:, -1]
    lost = {
        "smape": scores.smape(point, actual),
        "mase": np.abs(actual - point) / scale,
        "sql": quantile_loss(joined, actual) / scale,
        "msis95": scores.interval_score(low95, high95, actual, 95) / scale,
        "width80": (joined["q90"] - joined["q10"]).to_numpy() / scale,
        "no bounds": np.isnan(quantiles).any(axis=1),
        "negative": joined["positive"] & (point < 0),
        "negative bound": joined["positive"] & (low95 < 0),
    }
    for coverage, (low, high) in COVERAGES.items():
        inside = 100.0 * ((joined[low] <= actual) & (actual <= joined[high]))
        lost[f"cov{coverage}"] = inside.where(joined[[low, high]].notna().all(axis=1))
    if "naive2" in joined:
        reference = joined["naive2"].to_numpy(dtype=float)
        lost["smape2"] = scores.smape(reference, actual)
        lost["mase2"] = np.abs(actual - reference) / scale
    return joined.assign(**lost)


def quantile_loss(rows: pd.DataFrame, actual: np.ndarray) -> np.ndarray:
    """Twice the pinball loss, averaged over the five scored quantiles (rows)."""
    errors = {level: actual - rows[column].to_numpy(dtype=float) for column, level in SCORED.items()}
    return np.mean([2.0 * np.maximum(q * error, (q - 1.0) * error) for q, error in errors.items()], axis=0)


def table(scored: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """One row a model: means within each series first, then over series; the rest are counts of cells.

    ``negative``: point forecast, or lower bound, below zero though the series never was; ``no bounds``: left out of the
    scores of intervals.
    """
    kinds = [one for one in ("smape", "mase", "smape2", "mase2", "cov95", "cov80", "msis95", "sql") if one in scored]
    means = averaged(scored, kinds)
    if "mase2" in means:
        means["owa"] = 0.5 * (means["smape"] / means.pop("smape2") + means["mase"] / means.pop("mase2"))
    for step in dict.fromkeys((1, horizon)):
        here = averaged(scored[scored["h"] == step], ["cov95", "cov80"])
        means[[f"cov95 h{step}", f"cov80 h{step}"]] = here
    for kind in ("negative", "negative bound", "no bounds"):
        means[kind] = scored.groupby("model")[kind].sum()
    return means.sort_values("mase")


def averaged(scored: pd.DataFrame, kinds: list[str]) -> pd.DataFrame:
    """Means by model (over series of the means within each)."""
    within = scored.groupby(["model", "unique_id"], observed=True)[kinds].mean()
    return within.groupby("model").mean()


def bounds(scored: pd.DataFrame, horizon_in_cutoffs: int) -> pd.DataFrame:
    """Clopper–Pearson 95 % bounds of coverage by model: trials are cutoffs whose forecasts do not overlap, or series.

    With one cutoff series are taken for independent; with many the effective number of trials comes from the variance
    of the share covered per cutoff, as in forecasting.scores.
    """
    found = []
    for model, group in scored.groupby("model"):
        row: dict[str, object] = {"model": model}
        for coverage in (80, 95):
            share, trials = _trials(group, f"cov{coverage}", horizon_in_cutoffs)
            low, high = scores.clopper_pearson(share, trials)
            row |= {f"cov{coverage}": 100 * share, f"low{coverage}": 100 * low, f"high{coverage}": 100 * high}
            row[f"trials{coverage}"] = round(trials)
        found.append(row)
    return pd.DataFrame(found).set_index("model")


def _trials(group: pd.DataFrame, kind: str, overlap: int) -> tuple[float, float]:
    """Covered share and the independent trials it is worth: share (1 − share) / variance of the mean."""
    group = group.dropna(subset=[kind])
    if group.empty:
        return np.nan, 1.0
    unit = "cutoff" if group["cutoff"].nunique() > 1 else "unique_id"
    shares = group.groupby(unit)[kind].mean().to_numpy() / 100.0
    share, count = float(shares.mean()), len(shares) / overlap
    variance = float(shares.var(ddof=1)) / count if len(shares) > 1 else 0.0
    if variance < 1e-12 or share in (0.0, 1.0):
        return share, max(count, 1.0)
    return share, float(np.clip(share * (1 - share) / variance, 1.0, len(group)))


def differences(scored: pd.DataFrame, models: list[str], against: list[str], overlap: int, seed: int) -> pd.DataFrame:
    """Each of our models less each of these peers: mean difference, bootstrap 95 % bounds, Diebold–Mariano p.

    Bootstrap: series drawn with replacement and, where there are several cutoffs, circular blocks of cutoffs with them.
    Diebold–Mariano (1995): with several cutoffs on losses averaged over series (overlap counted in cutoffs),
    with one cutoff over series, taken for independent.
    """
    found = []
    for loss in LOSSES:
        cube = _cube(scored, loss)
        for one in models:
            for other in against:
                gap = cube[one] - cube[other]
                low, high = _bootstrap(gap, overlap, stream(seed, "bootstrap", loss))
                level = float(np.nanmean(np.nanmean(cube[other], axis=0)))
                mean = float(np.nanmean(np.nanmean(gap, axis=0)))
                row = {"loss": loss, "model": one, "less": other, "difference": mean, "low": low, "high": high}
                found.append(row | {"percent": 100 * mean / level, "dm_p": _diebold_mariano(gap, overlap)})
    return pd.DataFrame(found)


def _cube(scored: pd.DataFrame, loss: str) -> dict[str, np.ndarray]:
    """Losses by model (cutoffs × series), NaN where a series was not forecast."""
    whole = scored.pivot_table(index="cutoff", columns=["model", "unique_id"], values=loss, aggfunc="mean")
    return {str(model): whole[model].to_numpy() for model in whole.columns.unique(0)}


def _bootstrap(gap: np.ndarray, overlap: int, rng: np.random.Generator) -> tuple[float, float]:
    cutoffs, n = gap.shape
    means = np.empty(DRAWS)
    for draw in range(DRAWS):
        rows = np.zeros(1, dtype=int)
        if cutoffs > 1:
            starts = rng.integers(0, cutoffs, -(-cutoffs // overlap))
            rows = ((starts[:, None] + np.arange(overlap)) % cutoffs).reshape(-1)[:cutoffs]
        means[draw] = np.nanmean(gap[np.ix_(rows, rng.integers(0, n, n))])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _diebold_mariano(gap: np.ndarray, overlap: int) -> float:
    if len(gap) > 1:
        return float(compare(np.nanmean(gap, axis=1), overlap).p)
    known = gap[0][~np.isnan(gap[0])]
    return float(compare(known, 1).p) if len(known) > 1 else np.nan
