"""Is value better forecast as quantity × unit price? Rolling cutoffs, every pair that the catalogue knows by a ratio.

    python experiments/benchmarks/unit_price.py [--group jp_world|jp_ru] [--model theta] [--price theta naive] [--sums]

At every cutoff value, quantity and price are forecast, calibrated and coupled as in `tradecast forecast`, from what was
known then (today's revised figures). With ``--sums`` it is the core series only, reconciled, and where a way has a
price the quantity follows at that price. Ways to a value:
  direct   a series of its own, as if there were no price
  apart    q·p, prices shuffled            paired   q·p, paired as past errors were
  pool     half of the paths direct, half paired
  logs     all three paths moved until log v = log q + log p, by 1 / width²      logs+  the same, spread given back
  tied     forecasting.prices: the medians moved by 1 / width², then v = q·p
CRPS and MASE are divided by the mean change on a year earlier; a price is v / q, of a quarter too. p: is the CRPS the
same as that of direct, two-sided, on cutoffs.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting import pipeline, workflow
from forecasting.experiment import rolling, side_by_side
from forecasting.forecast import Forecast
from forecasting.hierarchy import Tree, reconcile
from forecasting.models import forecaster
from forecasting.models.base import Forecaster
from forecasting.models.ets import DAMPED, Ets
from forecasting.panel import Panel
from forecasting.plan import plan
from forecasting.prices import Pair, hold_prices, pairs_of, tie_prices, with_prices
from forecasting.scores import crps_of_paths, seasonal_scale
from forecasting.seeds import stream
from forecasting.significance import compare

HORIZON = 6
MIN_MONTHS = 36
PRICES: dict[str, Callable[[], Forecaster]] = {
    "naive": lambda: forecaster("naive"),
    "theta": lambda: forecaster("theta"),
    "ets": lambda: forecaster("ets"),
    "damped": lambda: Ets(trends=(DAMPED,)),
}
SPACING = {"jp_world": pipeline.LONG_SPACING, "jp_ru": 1}
PAST = {"jp_world": pipeline.LONG_ORIGINS, "jp_ru": pipeline.SHORT_ORIGINS}
FIRST = {"jp_world": "2018-08", "jp_ru": "2025-04"}
NO_SUMS = Tree({}, "")
RULE = np.array([1.0, -1.0, -1.0])  # of log value, log quantity, log price: zero where they agree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", default="jp_world", choices=list(SPACING))
    parser.add_argument("--model", default="theta", help="of value and quantity")
    parser.add_argument("--price", nargs="+", default=["theta"], choices=list(PRICES), help="models of the price")
    parser.add_argument("--sums", action="store_true", help="core series, reconciled")
    parser.add_argument("--first", help=f"first cutoff that is scored ({FIRST})")
    parser.add_argument("--last", default="2026-07", help="last cutoff that is scored")
    parser.add_argument("--paths", type=int, default=400)
    parser.add_argument(
        "--by", choices=["year", "series"], help="also the monthly CRPS by year of the cutoff or series"
    )
    arguments = parser.parse_args()
    rows = scored(arguments)
    print(summary(rows).to_string(index=False, float_format="%.3f"))
    if arguments.by:
        print(apart(rows, arguments.by).to_string(float_format="%.3f"))
    use = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{use.ru_utime + use.ru_stime:.0f} CPU seconds")


@dataclass(frozen=True)
class Setting:
    """What is forecast: a panel with a column for each price, the series traded, their pairs and sums."""

    panel: Panel
    traded: tuple[str, ...]
    pairs: tuple[Pair, ...]
    tree: Tree

    @classmethod
    def of(cls, group: str, sums: bool) -> Setting:
        dataset = workflow.load()
        chosen = plan(dataset.panel, dataset.catalogue, (), MIN_MONTHS // 2, "theta")
        known = chosen.core if sums else dataset.panel.series
        ours = tuple(one for one in known if one.startswith(group))
        y = with_prices(chosen.y if sums else dataset.panel.y, pairs_of(dataset.catalogue, ours))
        pairs = tuple(one for one in pairs_of(dataset.catalogue, ours) if y[one.price].notna().sum() >= MIN_MONTHS)
        parts = {parent: parts for parent, parts in chosen.core_tree.parts.items() if parent in ours}
        traded = ours if sums else tuple(one for pair in pairs for one in (pair.value, pair.quantity))
        columns = [*traded, *(one.price for one in pairs)]
        return cls(Panel(y[columns]), traded, pairs, Tree(parts, chosen.core_tree.suffix) if sums else NO_SUMS)


def scored(arguments: argparse.Namespace) -> pd.DataFrame:
    """Scores of every cell (rows): price model, way, kind, what, series, cutoff."""
    setting = Setting.of(arguments.group, arguments.sums)
    spacing, back = SPACING[arguments.group], PAST[arguments.group]
    first = pd.Period(arguments.first or FIRST[arguments.group], "M")
    cutoffs = list(pd.period_range(first - spacing * back, arguments.last, freq="M")[::spacing])
    base = raw(forecaster(arguments.model), setting.panel, setting.traded, cutoffs, arguments.paths)
    found: list[dict[str, object]] = []
    for name in arguments.price:
        prices = tuple(one.price for one in setting.pairs)
        priced = raw(PRICES[name](), setting.panel, prices, cutoffs, arguments.paths)
        for cutoff in cutoffs:
            if cutoff >= first:
                past = [one for one in base if one < cutoff][-back:]
                alone, joint = ready(setting.panel.until(cutoff), cutoff, past, base, priced)
                made = {way: finished(one, setting) for way, one in ways(alone, joint, setting).items()}
                found += [{"price": name, **row} for row in rows_of(made, setting, cutoff)]
    return pd.DataFrame(found)


def raw(
    model: Forecaster, panel: Panel, series: tuple[str, ...], cutoffs: Sequence[pd.Period], paths: int
) -> dict[pd.Period, Forecast]:
    """The model's own forecasts by cutoff, of the series that are long enough there."""
    origins = []
    for one in cutoffs:
        known = panel.until(one).y.notna().sum()
        wanted = tuple(name for name in series if known.get(name, 0) >= model.min_months)
        if wanted:
            origins.append((one, panel.until(one).future(one + HORIZON), wanted))
    rolled = rolling(model, panel.until, origins, paths, 0)
    assert not rolled.failures, rolled.failures
    return {one: made for (one, _, _), made in zip(origins, rolled.forecasts, strict=True)}


def ready(
    seen: Panel, cutoff: pd.Period, past: list[pd.Period], base: dict[pd.Period, Forecast],
    priced: dict[pd.Period, Forecast],
) -> tuple[Forecast, Forecast]:  # fmt: skip
    """Calibrated and coupled: the traded series alone, and together with their prices."""
    alone, _ = pipeline.after_the_model(base[cutoff], [base[one] for one in past], seen.y, 0)
    both = {one: side_by_side([base[one], priced[one]]) for one in (*past, cutoff) if one in priced}
    joint, _ = pipeline.after_the_model(both[cutoff], [both[one] for one in past if one in both], seen.y, 0)
    return alone, joint


def ways(alone: Forecast, joint: Forecast, setting: Setting) -> dict[str, Forecast]:
    """Forecasts by each way; the ones with price columns hold v = q·p."""
    pairs = [one for one in setting.pairs if {one.price, one.value, one.quantity} <= set(joint.series)]
    cells = {one: np.stack([joint.column(name) for name in (one.value, one.quantity, one.price)]) for one in pairs}
    shuffled = {one: stream(0, "apart", one.price).permutation(len(joint.paths)) for one in pairs}
    half = (np.arange(len(joint.paths)) % 2 == 0)[:, None]
    pooled = {one: (np.where(half, v, q * p), q, p) for one, (v, q, p) in cells.items()}
    return {
        "direct": alone,
        "apart": replaced(
            joint, {one: (q * p[shuffled[one]], q, p[shuffled[one]]) for one, (_, q, p) in cells.items()}
        ),
        "paired": replaced(joint, {one: (q * p, q, p) for one, (_, q, p) in cells.items()}),
        "pool": replaced(joint, pooled).select(alone.series),
        "logs": replaced(joint, {one: in_logs(cube, spread=False) for one, cube in cells.items()}),
        "logs+": replaced(joint, {one: in_logs(cube, spread=True) for one, cube in cells.items()}),
        "tied": tie_prices(joint, pairs),
    }


def replaced(forecast: Forecast, cells: dict[Pair, Sequence[np.ndarray]]) -> Forecast:
    """The forecast with value, quantity and price (each P × h) of these pairs."""
    paths = forecast.paths.copy()
    for one, columns in cells.items():
        for name, column in zip((one.value, one.quantity, one.price), columns, strict=True):
            paths[:, :, forecast.series.index(name)] = column
    return forecast.with_paths(paths)


def in_logs(cells: np.ndarray, spread: bool) -> np.ndarray:
    """Value, quantity and price (3 × P × h) that agree on every path; paths without trade follow the quantity."""
    _, quantity, price = cells
    made = np.stack([quantity * price, quantity, price])
    for row in range(cells.shape[2]):
        on = (cells[:, :, row] > 0).all(axis=0)
        if on.sum() < 20:
            continue
        z = np.log(cells[:, on, row])
        weight = width(z) ** 2
        moved = z - np.outer(weight * RULE / weight.sum(), RULE @ z)
        made[:, on, row] = np.exp(widened(moved, width(z)) if spread else moved)
    return made


def width(z: np.ndarray) -> np.ndarray:
    low, high = np.quantile(z, [0.1, 0.9], axis=-1)
    return np.maximum(high - low, 1e-6)


def widened(z: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Paths (3 × P) stretched along value, quantity and price in turn, as hierarchy.reconcile does along nodes."""
    summing = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    centre = np.median(z[1:], axis=1, keepdims=True)
    deviation = z[1:] - centre
    for _ in range(8):
        for node, row in enumerate(summing):
            along = row @ deviation
            factor = np.clip(wanted[node] / width(along), 0.5, 2.0)
            follows = deviation @ along / max(along @ along, 1e-12)
            deviation = deviation + (factor - 1.0) * np.outer(follows * row, along)
    return summing @ (centre + deviation)


def finished(forecast: Forecast, setting: Setting) -> Forecast:
    """Reconciled where there are sums; where there are prices, quantities follow."""
    pairs = [one for one in setting.pairs if one.price in forecast.series]
    return hold_prices(reconcile(forecast, setting.tree), pairs)


def rows_of(made: dict[str, Forecast], setting: Setting, cutoff: pd.Period) -> Iterator[dict[str, object]]:
    priced = [name for one in ways_pairs(made, setting) for name in (one.value, one.quantity)]
    seen = setting.panel.until(cutoff).y
    for way, forecast in made.items():
        truth = setting.panel.y.reindex(forecast.months)
        for kind, at in periods(forecast.months):
            for name in (*priced, *setting.tree.parts):
                what = name.rpartition(".")[2] if name in priced else "sums"
                actual = truth[name].iloc[at].sum(skipna=False)
                scale = seasonal_scale(seen[[name]].dropna().to_numpy(), len(at))[0][0]
                paths = forecast.column(name)[:, at].sum(axis=1)
                yield from row((way, kind, what, name, cutoff), paths, actual, scale)
            for one in ways_pairs(made, setting):
                totals = [forecast.column(name)[:, at].sum(axis=1) for name in (one.value, one.quantity)]
                value, quantity = truth[[one.value, one.quantity]].iloc[at].sum(skipna=False)
                on = (totals[0] > 0) & (totals[1] > 0)
                if min(value, quantity) > 0 and on.mean() > 0.5:
                    scale = seasonal_scale(seen[[one.price]].dropna().to_numpy())[0][0]
                    paths = totals[0][on] / totals[1][on]
                    yield from row((way, kind, "price", one.price, cutoff), paths, value / quantity, scale)


def ways_pairs(made: dict[str, Forecast], setting: Setting) -> list[Pair]:
    there = set.intersection(*(set(one.series) for one in made.values()))
    return [one for one in setting.pairs if {one.value, one.quantity} <= there]


def periods(months: pd.PeriodIndex) -> Iterator[tuple[str, list[int]]]:
    yield from (("month", [at]) for at in range(len(months)))
    quarters = months.asfreq("Q-DEC")
    for one in quarters.unique():
        at = [int(place) for place in np.flatnonzero(quarters == one)]
        if len(at) == 3:
            yield "quarter", at


def row(keys: tuple[object, ...], paths: np.ndarray, actual: float, scale: float) -> Iterator[dict[str, object]]:
    if not np.isnan(actual):
        low, median, high = np.quantile(paths, [0.1, 0.5, 0.9])
        crps = float(crps_of_paths(paths[:, None], np.array([actual]))[0])
        yield {
            **dict(zip(("way", "kind", "what", "series", "cutoff"), keys, strict=True)),
            "crps": crps / scale, "mase": abs(median - actual) / scale, "cover80": float(low <= actual <= high),
        }  # fmt: skip


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over series and cutoffs by kind, what, price model and way."""
    months = np.sort([one.ordinal for one in rows["cutoff"].unique()])
    reach = int(np.ceil(HORIZON / np.median(np.diff(months))))
    found = []
    for key, group in rows.groupby(["kind", "what", "price"]):
        cutoffs = group.pivot_table(index="cutoff", columns="way", values="crps")
        for way, scores in group.groupby("way", sort=False)[["crps", "mase", "cover80"]].mean().iterrows():
            difference = (cutoffs[way] - cutoffs["direct"]).to_numpy()
            p = compare(difference, reach).p if difference.any() else np.nan
            found.append(
                dict(zip(("kind", "what", "price", "way"), (*key, way), strict=True)) | dict(scores) | {"p": p}
            )
    return pd.DataFrame(found)


def apart(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    monthly = rows[rows["kind"] == "month"]
    monthly = monthly.assign(year=[one.year for one in monthly["cutoff"]])
    return monthly.pivot_table(index=["what", "price", by], columns="way", values="crps", sort=False)


if __name__ == "__main__":
    main()
