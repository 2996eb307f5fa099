"""Is a difference between models real: tests on losses averaged over series at each cutoff.

Averaging over series first keeps what the series have in common; the cutoffs then are one time series of losses, in
which forecasts of h steps overlap. Horizons here are counted in cutoffs.

Read and measured before writing these. statsmodels 0.15 ``diebold_mariano_test`` is right to the last digit (Bartlett
weights, Harvey, Leybourne and Newbold 1997) and gives ``p_hln``; but at 40 cutoffs a true null is rejected at 5 % in
11 % of cases at h = 3, 13 % at h = 6 and 18 % at h = 12, because the long-run variance rests on so few independent
cutoffs. So ``p`` takes that variance from B ≤ T / 1.5 h cosine weights and Student's t with B degrees of freedom
(Lazarus, Lewis, Stock and Watson 2018; for forecasts Coroneo and Iacone 2020): 5, 7 and 6 %. With no overlap the two
are the same t-test. arch 8 has the model confidence set with a bootstrap only; ours follows the same paper, and the
bootstrap is kept as ``p_bootstrap``: it throws out a good model at 5 % in 11 to 37 % of cases where forecasts overlap,
against 5 to 10 % with cosine weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.tsa.stattools import diebold_mariano_test

from forecasting.errors import DataError
from forecasting.scores import SCALED_LOSSES, cell_scores, common_folds, group_keys, last_months, month_numbers
from forecasting.seeds import stream

MIN_ORIGINS = 6
"""With fewer cutoffs nothing is tested: the p-value is NaN and the note says so."""


@dataclass(frozen=True)
class Losses:
    """Mean loss over series by cutoff and model (T × k), and how many cutoffs a forecast reaches over."""

    keys: dict[str, object]
    table: pd.DataFrame
    horizon: int

    def objection(self) -> str:
        """Why these losses cannot be tested; nothing if they can."""
        origins = len(self.table)
        needed = max(MIN_ORIGINS, 3 * self.horizon if self.horizon > 1 else 0)
        if origins >= needed:
            return ""
        over = f" for forecasts that reach over {self.horizon}" if needed > MIN_ORIGINS else ""
        return f"{origins} cutoff{'s' if origins != 1 else ''}: {needed} are needed{over}"


def losses_by_cutoff(rows: pd.DataFrame, loss: str, by: Sequence[str] = ()) -> Iterator[Losses]:
    """Losses (T × k) on common folds for each kind and each value of ``by``; cells without a scale are left out."""
    if loss not in SCALED_LOSSES:
        raise DataError(f"{loss} cannot be compared over series: choose one of {', '.join(SCALED_LOSSES)}.")
    cells = cell_scores(common_folds(rows).rows).dropna(subset=[loss])
    keys = [one for one in group_keys(cells, by) if one != "model"]
    cells = cells.assign(reach=last_months(cells) - month_numbers(cells["cutoff"]))
    for values, group in cells.groupby(keys, observed=True):
        within = group.groupby(["cutoff", "series", "model"], observed=True)[loss].mean()
        table = within.groupby(["cutoff", "model"], observed=True).mean().unstack("model").sort_index()
        numbers = np.sort(month_numbers(table.index.to_series()))
        apart = float(np.median(np.diff(numbers))) if len(numbers) > 1 else 1.0
        yield Losses(dict(zip(keys, values, strict=True)), table, max(int(np.ceil(group["reach"].max() / apart)), 1))


# Pairs


@dataclass(frozen=True)
class Compared:
    """Student's t of a mean difference and its p-value, the p-value of Harvey, Leybourne and Newbold, and a note."""

    statistic: float
    p: float
    p_hln: float
    note: str = ""


def pairwise(rows: pd.DataFrame, by: Sequence[str] = ("step",), loss: str = "crps_scaled") -> pd.DataFrame:
    """Diebold–Mariano for each pair of models (columns: by, kind, model, other, cutoffs, horizon, difference, …).

    ``difference`` is the loss of model less that of other: negative is in favour of model. The p-values are two-sided
    and of one comparison each; for "which models are among the best" use ``best_models``.
    """
    found: list[dict[str, object]] = []
    keys: list[str] = list(dict.fromkeys([*by, "kind"]))
    for losses in losses_by_cutoff(rows, loss, by):
        for one, two in combinations(losses.table.columns, 2):
            difference = (losses.table[one] - losses.table[two]).to_numpy()
            result = compare(difference, losses.horizon, losses.objection())
            row = {"model": one, "other": two, "cutoffs": len(difference), "horizon": losses.horizon}
            found.append(losses.keys | row | {"difference": difference.mean()} | vars(result))
    columns = [*keys, "model", "other", "cutoffs", "horizon", "difference", "statistic", "p", "p_hln", "note"]
    return pd.DataFrame(found, columns=columns)


def compare(difference: np.ndarray, horizon: int, objection: str = "") -> Compared:
    """Is the mean of these loss differences (T) zero."""
    if objection:
        return Compared(np.nan, np.nan, np.nan, objection)
    if np.ptp(difference) <= 1e-12 * np.abs(difference).max():
        same = not difference.any()
        p = 1.0 if same else np.nan
        return Compared(np.nan, p, p, "the same losses" if same else "the same difference at every cutoff")
    hln, p_hln = _hln(difference, horizon)
    if horizon == 1:
        return Compared(hln, p_hln, p_hln)
    waves = _waves(len(difference), horizon)
    deviation = np.sqrt(np.mean((waves @ difference) ** 2))
    statistic = float(np.sqrt(len(difference)) * difference.mean() / deviation)
    return Compared(statistic, float(2 * stats.t.sf(abs(statistic), len(waves))), p_hln)


def _hln(difference: np.ndarray, horizon: int) -> tuple[float, float]:
    """Statistic and p-value by statsmodels, with the lags that overlapping forecasts need: horizon − 1."""
    nothing = np.zeros(len(difference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its regression warns that T is small; we say the number of cutoffs ourselves
        result = diebold_mariano_test(
            nothing, difference, nothing, lags=horizon - 1, horizon=horizon, harvey_adj=True, criterion=_as_is
        )
    return float(result.statistic), float(result.pvalue)


def _as_is(actual: np.ndarray, loss: np.ndarray) -> np.ndarray:
    return loss


def _waves(origins: int, horizon: int) -> np.ndarray:
    """Cosines (B × T) whose squared products with a series average to its long-run variance.

    Without overlap T − 1 of them would be the plain variance; 30 say nearly as much and also see slow swings.
    """
    count = min(origins - 1, 30)
    if horizon > 1:
        count = max(min(int(origins / (1.5 * horizon)), int(np.ceil(0.4 * origins ** (2 / 3)))), 1)
    turns = np.arange(1, count + 1)[:, None] * (np.arange(origins) + 0.5) / origins
    return np.sqrt(2.0 / origins) * np.cos(np.pi * turns)


# Many models


@dataclass(frozen=True)
class Null:
    """What mean losses would do if all models were equally good.

    ``means`` (R × k) are drawn mean losses, ``own`` (B × k) what the variance of the real ones is taken from, and
    ``spread`` (R or 1 × B × k) the same for the drawn ones.
    """

    means: np.ndarray
    own: np.ndarray
    spread: np.ndarray


def best_models(
    rows: pd.DataFrame, by: Sequence[str] = (), loss: str = "crps_scaled", seed: int = 0, draws: int = 2000
) -> pd.DataFrame:
    """Model confidence set (Hansen, Lunde and Nason 2011, Tmax): a p-value for each model to be among the best.

    Columns: by, kind, model, loss, rank, p, p_bootstrap, cutoffs, horizon, note. A model with p < 0.05 is not in the
    95 % set. The best has 1. ``loss`` is the mean over cutoffs of the mean over series, so its order may differ from
    the score table's where series begin at different cutoffs.
    """
    found: list[dict[str, object]] = []
    for losses in losses_by_cutoff(rows, loss, by):
        values, note = losses.table.to_numpy(), losses.objection()
        k = values.shape[1]
        p = boot = np.full(k, np.nan)
        if k == 1:
            note = "one model: nothing to compare"
        elif not note:
            p = confidence_set(values, smoothed(values, losses.horizon, draws, seed))
            boot = confidence_set(values, bootstrapped(values, losses.horizon, draws, seed))
        rank = stats.rankdata(values.mean(axis=0), method="min").astype(int)
        for at, model in enumerate(losses.table.columns):
            row = {"model": model, "loss": values[:, at].mean(), "rank": rank[at], "p": p[at], "p_bootstrap": boot[at]}
            found.append(losses.keys | row | {"cutoffs": len(values), "horizon": losses.horizon, "note": note})
    keys = list(dict.fromkeys([*by, "kind"]))
    columns = [*keys, "model", "loss", "rank", "p", "p_bootstrap", "cutoffs", "horizon", "note"]
    return pd.DataFrame(found, columns=columns)


def confidence_set(losses: np.ndarray, null: Null) -> np.ndarray:
    """P-value of each model (k) from losses (T × k): the worst is taken out again and again until one is left."""
    means = losses.mean(axis=0)
    p, left, highest = np.ones(losses.shape[1]), list(range(losses.shape[1])), 0.0
    while len(left) > 1:
        worse = _standard(_against(means[None], left), _against(null.own[None], left))[0]
        if not worse.any():  # the models left have the same losses
            break
        drawn = _standard(_against(null.means, left), _against(null.spread, left)).max(axis=1)
        highest = max(highest, float((drawn >= worse.max()).mean()))
        p[left.pop(int(worse.argmax()))] = highest
    return p


def _against(values: np.ndarray, left: list[int]) -> np.ndarray:
    """Values (… × k) of the models left, less their mean."""
    kept = values[..., left]
    return kept - kept.mean(axis=-1, keepdims=True)


def _standard(means: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Means (R × k) over the root mean square of spread (R or 1 × B × k); 0 where both are nothing."""
    deviation = np.sqrt(np.mean(spread**2, axis=-2))
    return means / np.where(deviation > 1e-12 * np.abs(deviation).max(), deviation, np.inf)


def smoothed(losses: np.ndarray, horizon: int, draws: int, seed: int) -> Null:
    """Normal means whose covariance, and its uncertainty, come from the cosine weights of losses (T × k)."""
    own = _waves(len(losses), horizon) @ losses / np.sqrt(len(losses))
    rng = stream(seed, "smoothed")
    drawn = rng.normal(size=(draws, len(own) + 1, len(own))) @ own / np.sqrt(len(own))
    return Null(drawn[:, 0], own, drawn[:, 1:])


def bootstrapped(losses: np.ndarray, horizon: int, draws: int, seed: int) -> Null:
    """Means of the stationary bootstrap (Politis and Romano 1994) in blocks of 2 h cutoffs on average.

    Widened by the factor of Harvey, Leybourne and Newbold for the block length, because blocks of a few cutoffs vary
    less among themselves than independent ones would; measured, it halves the excess of rejections.
    """
    t = len(losses)
    block = min(2 * horizon, t - 1) if horizon > 1 else 1
    chosen = stationary_blocks(t, block, draws, stream(seed, "bootstrap"))
    times = np.stack([np.bincount(one, minlength=t) for one in chosen])
    factor = np.sqrt(t / max(t + 1 - 2 * block + block * (block - 1) / t, 1.0))
    means = factor * (times / t - 1.0 / t) @ losses
    return Null(means, means, means[None])


def stationary_blocks(origins: int, block: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Positions (R × T) in blocks of random length, ``block`` on average, that go round from the end to the start."""
    start = rng.integers(origins, size=(draws, origins))
    new = rng.random((draws, origins)) < 1.0 / block
    new[:, 0] = True
    at = np.maximum.accumulate(np.where(new, np.arange(origins), 0), axis=1)
    return (np.take_along_axis(start, at, axis=1) + np.arange(origins) - at) % origins


# Over time


def fluctuation(
    rows: pd.DataFrame, base: str = "seasonal_naive", by: Sequence[str] = (), loss: str = "crps_scaled",
    share: float = 0.3, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Loss less that of base in a window that moves over the cutoffs (Giacomini and Rossi 2010), for every other model.

    Columns: by, kind, model, first, last (cutoffs of the window), difference, statistic, critical (5 %, two-sided),
    outside, note. One window outside says that the models were not equally good all the time. Their Table 1 holds for
    a known variance; here critical values are drawn for the T, window and variance estimate in hand.
    """
    found: list[dict[str, object]] = []
    for losses in losses_by_cutoff(rows, loss, by):
        if base not in losses.table:
            raise DataError(
                f"No forecast of {base} to compare with: found {', '.join(map(str, losses.table.columns))}."
            )
        for model in losses.table.columns.drop(base):
            difference = (losses.table[model] - losses.table[base]).to_numpy()
            for row in _windows(difference, losses, share, seed):
                found.append(losses.keys | {"model": model} | row)
    keys = list(dict.fromkeys([*by, "kind"]))
    columns = [*keys, "model", "first", "last", "difference", "statistic", "critical", "outside", "note"]
    return pd.DataFrame(found, columns=columns)


def _windows(difference: np.ndarray, losses: Losses, share: float, seed: int) -> Iterator[dict[str, object]]:
    t, note = len(difference), losses.objection()
    window = max(round(share * t), 1)
    means = np.lib.stride_tricks.sliding_window_view(difference, window).mean(axis=1)
    waves = _waves(t, losses.horizon)
    deviation = np.sqrt(np.mean((waves @ difference) ** 2)) if not note else np.nan
    if not note and deviation <= 1e-12 * np.abs(difference).max(initial=0.0):
        note, deviation = "the same difference at every cutoff", np.nan
    critical = np.nan if note else critical_value(t, window, losses.horizon, seed)
    for at, mean in enumerate(means):
        statistic = np.sqrt(window) * mean / deviation
        yield {
            "first": losses.table.index[at], "last": losses.table.index[at + window - 1], "difference": mean,
            "statistic": statistic, "critical": critical, "outside": bool(abs(statistic) > critical), "note": note,
        }  # fmt: skip


def critical_value(origins: int, window: int, horizon: int, seed: int, level: float = 0.05, draws: int = 4000) -> float:
    """The greatest statistic over all windows that equally good models exceed with probability ``level``."""
    noise = stream(seed, "fluctuation", origins, window, horizon).normal(size=(draws, origins))
    sums = np.cumsum(np.pad(noise, ((0, 0), (1, 0))), axis=1)
    rolled = np.abs(sums[:, window:] - sums[:, :-window]).max(axis=1) / np.sqrt(window)
    deviation = np.sqrt(np.mean((noise @ _waves(origins, horizon).T) ** 2, axis=1))
    return float(np.quantile(rolled / deviation, 1.0 - level))
