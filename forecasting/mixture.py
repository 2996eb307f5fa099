"""Scenarios weighed by their probability: the mixture, what each adds to it, and the weights as months land."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.special import gammaln, logsumexp

from forecasting.errors import DataError
from forecasting.forecast import Forecast
from forecasting.seeds import stream
from forecasting.transform import Transform, choose_transform

BASELINE = "baseline"
MIXTURE = "mixture"
_PUBLISHED = 1e-3  # a tenth of a percent of a series' usual size: nothing is foretold or published more finely
_SLACK = 1e-9


# Probabilities


def weights(given: Mapping[str, float | None]) -> dict[str, float]:
    """Probability of every scenario, in the order given and the baseline last, which takes what the others leave.

    A probability given for the baseline must be just that. DataError: none given, one missing or outside 0 to 1, or a
    sum above 1.
    """
    named = {one: value for one, value in given.items() if one != BASELINE}
    if all(value is None for value in named.values()):
        raise DataError("No scenario has a probability: add a line such as `probability = 0.3` to each file.")
    stated: dict[str, float] = {}
    for one, value in named.items():
        if value is None:
            raise DataError(f"Scenario {one} has no probability: add a line such as `probability = 0.1` to its file.")
        stated[one] = _probability(one, value)
    total = math.fsum(stated.values())
    if total > 1.0 + _SLACK:
        parts = " + ".join(f"{value:g}" for value in stated.values())
        raise DataError(f"The probabilities sum to {total:.6g} ({parts}), more than 1: lower one of them.")
    rest = max(1.0 - total, 0.0)
    rest = 0.0 if rest < _SLACK else rest
    own = given.get(BASELINE)
    if own is not None and abs(_probability(BASELINE, own) - rest) > _SLACK:
        raise DataError(f"The baseline is given {own:g}, but the others leave {rest:g}: leave its probability out.")
    return {**stated, BASELINE: rest}


def _probability(scenario: str, value: float) -> float:
    if isinstance(value, bool) or not 0.0 <= value <= 1.0:
        raise DataError(f"Scenario {scenario} has probability {value}: give a number from 0 to 1.")
    return float(value)


def _check(forecasts: Mapping[str, Forecast], weights: Mapping[str, float]) -> Forecast:
    """The baseline among forecasts of the same cells and number of paths that have one weight each, in sum 1."""
    if set(forecasts) != set(weights):
        odd = sorted(set(forecasts) ^ set(weights))[0]
        raise DataError(f"Scenario {odd} lacks its {'forecast' if odd in weights else 'weight'}: give both for each.")
    if BASELINE not in forecasts:
        raise DataError(f"No baseline among {', '.join(forecasts)}: forecast it with them, with weight 0 if need be.")
    base = forecasts[BASELINE]
    for one, value in weights.items():
        _probability(one, value)
        other = forecasts[one]
        cells = (other.series, other.cutoff, other.paths.shape)
        if cells != (base.series, base.cutoff, base.paths.shape) or not other.months.equals(base.months):
            raise DataError(f"Scenario {one} has other months, series or paths than the baseline: forecast them alike.")
    if abs(math.fsum(weights.values()) - 1.0) > _SLACK:
        raise DataError(f"The weights sum to {math.fsum(weights.values()):.6g}, not to 1: see mixture.weights.")
    return base


# The mixture


def mix(forecasts: Mapping[str, Forecast], weights: Mapping[str, float], seed: int = 0) -> Forecast:
    """One forecast of P paths of which each is, whole and at its own place, a path of the scenario allotted to it.

    So sums and time paths hold as they do in the scenarios, and differences against another forecast with the same
    random numbers stay paired. A scenario of weight 1 comes back bit for bit. Forecasts P × h × n each.
    """
    base = _check(forecasts, weights)
    whose = allotment(forecasts, weights, seed)
    paths = base.paths.copy()
    for one, forecast in forecasts.items():
        paths[whose == one] = forecast.paths[whose == one]
    return replace(base, paths=paths, scenario=MIXTURE)


def allotment(forecasts: Mapping[str, Forecast], weights: Mapping[str, float], seed: int = 0) -> np.ndarray:
    """Name of the scenario that each path of the mixture is taken from (P).

    Shares are exact up to 1/P (largest remainders). Paths with the same index are the same future but for the
    assumptions, so each scenario gets a systematic sample of futures from low to high: the baseline's paths are ranked
    by the standardised totals of all series over the horizon, and every scenario takes evenly spaced ranks from a
    random start of its own (stratification; Cochran 1977, chapter 8).
    """
    base = _check(forecasts, weights)
    count = len(base.paths)
    names = sorted(weights)
    taken = _counts([weights[one] for one in names], count)
    places = [
        (np.arange(k) + stream(seed, MIXTURE, one).random()) / max(k, 1) for one, k in zip(names, taken, strict=True)
    ]
    in_order = np.repeat(np.array(names, dtype=object), taken)[np.argsort(np.concatenate(places), kind="stable")]
    whose = np.empty(count, dtype=object)
    whose[np.argsort(_rank_of_future(base), kind="stable")] = in_order
    return whose


def _counts(shares: list[float], count: int) -> np.ndarray:
    """Whole numbers with this sum, each less than one from its share; a share of nothing gets nothing."""
    exact = np.array(shares) / math.fsum(shares) * count
    whole = np.floor(exact + _SLACK).astype(int)
    largest = np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]
    whole[largest] += 1
    return whole


def _rank_of_future(base: Forecast) -> np.ndarray:
    totals = base.select(tuple(sorted(base.series))).paths.sum(axis=1)
    spread = totals.std(axis=0)
    return np.asarray(((totals - totals.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).sum(axis=1))


@dataclass(frozen=True)
class Shares:
    """What each scenario (S, in the order of ``scenarios``) adds to the mixture's mean and variance (S × m × n each).

    ``mean`` is weight × its mean; ``within`` weight × its variance; ``between`` weight × the squared distance of its
    mean from the mixture's. Law of total variance: the sums are the mixture's mean and variance. NaN where a path is.
    """

    scenarios: tuple[str, ...]
    weights: tuple[float, ...]
    mean: np.ndarray
    within: np.ndarray
    between: np.ndarray

    @property
    def total_mean(self) -> np.ndarray:
        """Mean of the mixture (m × n)."""
        return np.asarray(self.mean.sum(axis=0))

    @property
    def total_variance(self) -> np.ndarray:
        """Variance of the mixture (m × n), in squared units."""
        return np.asarray((self.within + self.between).sum(axis=0))

    @property
    def of_variance(self) -> np.ndarray:
        """Part of the mixture's variance that each scenario brings (S × m × n), in sum 1; NaN where there is none."""
        total = self.total_variance
        return np.asarray((self.within + self.between) / np.where(total > 0, total, np.nan))


def shares(paths: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> Shares:
    """Each scenario's part of the exactly weighted mixture, from paths (P × m × n): a forecast's or those of Totals."""
    if set(paths) != set(weights):
        raise DataError(f"Scenario {sorted(set(paths) ^ set(weights))[0]} needs both paths and a weight.")
    names = tuple(weights)
    weight = np.array([weights[one] for one in names])[:, None, None]
    means = np.stack([paths[one].mean(axis=0) for one in names])
    variances = np.stack([paths[one].var(axis=0) for one in names])
    centre = (weight * means).sum(axis=0)
    between = weight * (means - centre) ** 2
    return Shares(names, tuple(weights.values()), weight * means, weight * variances, between)


# Weights as months land


@dataclass(frozen=True)
class Density:
    """How a density is fitted to paths.

    ``freedom`` (above 2) of the Student t, infinite for a normal; ``shrink``, the share taken off covariances;
    ``least_width``, the smallest standard deviation that a scenario may claim, in those of the baseline. Measured by
    experiments/benchmarks/scenario_weights.py, in mean log weight of the truth: the normal gains 0.01 after one month
    that is as the cube says and loses 0.14 after a wild one, 0.33 after three. Half a width costs 0.02 against a tenth
    where decrees are kept and spares 0.9 to 1.3 where they leak; a quarter and a whole are worse than half there.
    """

    freedom: float = 6.0
    shrink: float = 0.1
    least_width: float = 0.5


@dataclass(frozen=True)
class Weighed:
    """Weights before and after the months that have landed.

    ``steps`` has a row a landed month and columns (quantity, scenario): ``prior`` before the month, ``log_density`` of
    its values given the earlier ones, ``posterior`` after it. ``values`` counts the values of each month; ``scales``
    says on which scale each series is compared.
    """

    prior: dict[str, float]
    posterior: dict[str, float]
    steps: pd.DataFrame
    values: pd.Series
    scales: dict[str, str]

    def log_score(self) -> pd.Series:
        """Log density of each landed month under the mixture with that month's prior weights; higher is better."""
        density, weight = self.steps["log_density"].to_numpy(), self.steps["prior"].to_numpy()
        found = logsumexp(density, b=weight, axis=1) if len(density) else np.empty(0)
        return pd.Series(found, self.steps.index, name="log_score")


def weigh(
    forecasts: Mapping[str, Forecast],
    weights: Mapping[str, float],
    actual: pd.DataFrame,
    series: tuple[str, ...],
    floor: float = 0.01,
    fit: Density = Density(),
) -> Weighed:
    """Bayes on the predictive densities of the landed months: posterior ∝ prior × density, month by month (Dawid 1984).

    ``actual`` (months × series) holds the landed months, NaN where not yet published, and before them the history from
    which the scale is chosen. Landed: months of the cube after a series' cutoff that have a value. The density is a
    multivariate Student t fitted to the paths (see ``log_densities``), for all scenarios on the same scale; its
    Jacobian is the same for all, cancels, and is left out. Scenarios with the same paths in the landed cells have the
    same density and keep the ratio of their prior weights.

    ``floor`` is the chance that the densities say nothing about who is right: posterior = (1 − floor) × Bayes +
    floor × prior, in every row and not carried over, so that no weight falls below floor × its prior and none of
    weight 0 revives. Nothing landed: the posterior is the prior. DataError: unknown series, floor outside 0 to 1.
    """
    base = _check(forecasts, weights)
    if not 0.0 <= floor < 1.0:
        raise DataError(f"The floor of the weights is {floor}: give a number from 0 to below 1.")
    for one in series:
        if one not in base.series or one not in actual:
            place = "the published figures" if one in base.series else "the forecast"
            raise DataError(f"Series {one} is not among {place}: weigh by series that both have.")
    chosen = tuple(sorted(set(series)))
    landed = _landed(base.select(chosen), actual)
    scales = {one: _Scale.of({k: f.column(one) for k, f in forecasts.items()}, base, actual, one) for one in chosen}
    density = _by_month({k: f.select(chosen) for k, f in forecasts.items()}, landed, scales, fit)
    steps = _steps(density, dict(weights), floor)
    last = steps["posterior"].iloc[-1] if len(steps) else pd.Series(weights)
    counts = landed.notna().sum(axis=1).loc[density.index].rename("values")
    labels = {one: scale.transform.label for one, scale in scales.items()}
    return Weighed(dict(weights), {one: float(last[one]) for one in weights}, steps, counts, labels)


def _landed(base: Forecast, actual: pd.DataFrame) -> pd.DataFrame:
    values = actual.reindex(index=base.months, columns=list(base.series)).astype(float)
    return values.where(base.steps() >= 1)


@dataclass(frozen=True)
class _Scale:
    """The scale of a series; values below ``least`` count as it (no trade, where the scale has no place for zero)."""

    transform: Transform
    least: float

    @classmethod
    def of(cls, columns: Mapping[str, np.ndarray], base: Forecast, actual: pd.DataFrame, series: str) -> _Scale:
        """Chosen on what was known at the cutoff, so that a month that lands never changes what earlier ones said.

        History up to the cutoff goes on into the baseline's median path: one series of months, however little history
        there is. A path at or below zero (a ban) rules out the logarithm.
        """
        start = min(actual.index, default=base.months[0])
        history = actual[series].reindex(pd.period_range(start, base.months[0] - 1, freq="M"))
        ahead = np.median(columns[BASELINE], axis=0)
        lowest = min(float(paths.min()) for paths in columns.values())
        y = np.concatenate([history.to_numpy(dtype=float), ahead, [lowest] if lowest <= 0 else []])
        transform = choose_transform(y)
        least = {0.0: 0.5 * float(np.nanmin(np.append(y, lowest))), 0.5: 0.0}.get(transform.power, -np.inf)
        return cls(transform, least)

    def forward(self, y: np.ndarray) -> np.ndarray:
        return self.transform.forward(np.maximum(y, self.least))


def _by_month(
    forecasts: Mapping[str, Forecast], landed: pd.DataFrame, scales: Mapping[str, _Scale], fit: Density
) -> pd.DataFrame:
    """Log density of each landed month given the earlier ones (months × scenarios)."""
    month, column = np.nonzero(landed.notna().to_numpy())
    scale = [scales[landed.columns[int(at)]] for at in column]

    def cells(values: np.ndarray) -> np.ndarray:
        picked = [one.forward(values[..., i, j]) for one, i, j in zip(scale, month, column, strict=True)]
        return np.stack(picked, axis=-1) if picked else np.empty((*values.shape[:-2], 0))

    y = cells(landed.to_numpy(dtype=float))
    drawn = {one: np.ascontiguousarray(cells(forecast.paths)) for one, forecast in forecasts.items()}
    known: dict[bytes, np.ndarray] = {}  # equal paths, equal density: to the bit, whatever the linear algebra does
    for paths in drawn.values():
        if paths.tobytes() not in known:
            known[paths.tobytes()] = log_densities(paths, drawn[BASELINE], y, fit)
    cell_months = landed.index.take(month)
    table = {one: pd.Series(known[paths.tobytes()], cell_months) for one, paths in drawn.items()}
    return pd.DataFrame(table, index=cell_months, columns=list(forecasts), dtype=float).groupby(level=0).sum()


def log_densities(paths: np.ndarray, base: np.ndarray, y: np.ndarray, fit: Density) -> np.ndarray:
    """Log density of each value y (d) given those before it, under a multivariate t fitted to paths (P × d).

    Mean and covariance are those of the paths. Standard deviations below ``least_width`` of those of the baseline's
    paths ``base`` (P × d) are raised to it, by an error correlated as the baseline's: a value that is decreed is not
    therefore certain, and leakage, exemptions and delays last as other errors do. Covariances are shrunk towards none
    (as in Ledoit and Wolf 2004, by a fixed share), because series that add up make the matrix singular. The t (Lange,
    Little and Taylor 1989) lets a wild month say less than a normal would. Given the earlier values: the ratio of joint
    densities of the first k and the first k − 1.
    """
    d = len(y)
    if d == 0:
        return np.empty(0)
    ordinary = _covariance(base)
    width = np.sqrt(np.diag(ordinary))
    covariance = _covariance(paths)
    least = np.maximum(fit.least_width * width, _PUBLISHED)
    lacking = np.sqrt(np.maximum(least**2 - np.diag(covariance), 0.0))
    per_width = lacking / np.maximum(width, _PUBLISHED)
    covariance = covariance + ordinary * np.outer(per_width, per_width)
    own = np.diag(covariance)
    covariance = (1.0 - fit.shrink) * covariance + np.diag(np.maximum(own, least**2) - (1.0 - fit.shrink) * own)
    freedom = fit.freedom
    root = np.linalg.cholesky(covariance if np.isinf(freedom) else covariance * (freedom - 2.0) / freedom)
    whitened = solve_triangular(root, y - paths.mean(axis=0), lower=True)
    log_root = np.log(np.diag(root))
    if np.isinf(freedom):
        return np.asarray(-0.5 * (np.log(2.0 * np.pi) + whitened**2) - log_root)
    k = np.arange(d + 1)
    distance = np.concatenate([[0.0], np.cumsum(whitened**2)])
    joint = gammaln((freedom + k) / 2) - 0.5 * k * np.log(np.pi * freedom)
    joint -= (freedom + k) / 2 * np.log1p(distance / freedom)
    return np.asarray(np.diff(joint) - log_root)


def _covariance(paths: np.ndarray) -> np.ndarray:
    miss = paths - paths.mean(axis=0)
    return np.asarray(miss.T @ miss / len(paths))


def _steps(density: pd.DataFrame, prior: dict[str, float], floor: float) -> pd.DataFrame:
    start = np.array([prior[one] for one in density.columns])
    foretold = density.cumsum().to_numpy()
    best = np.max(foretold, axis=1, keepdims=True, where=start > 0, initial=-np.inf)
    likelihood = np.exp(np.minimum(foretold - best, 0.0))
    evidence = [[math.fsum(row)] for row in start * likelihood]
    factor = (1.0 - floor) * likelihood / np.array(evidence).reshape(-1, 1) + floor
    posterior = pd.DataFrame(start * factor, density.index, density.columns)
    before = pd.DataFrame(np.vstack([start, posterior])[: len(density)], density.index, density.columns)
    return pd.concat({"prior": before, "log_density": density, "posterior": posterior}, axis=1)
