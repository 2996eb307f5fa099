"""What was known when: records of published values, the one that stands on a day, and how values were revised.

A record is one published value with the day on which it became known: the day that the publisher prints or that
follows from its calendar (``published``), else the day on which it was first seen. Records are never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.observations import OBSERVATION_COLUMNS, STAGES
from forecasting.seeds import stream
from forecasting.units import conversion

COLUMNS = (
    "series", "month", "value", "unit", "stage", "std_error", "source", "published", "dated", "raw", "seen",
)  # fmt: skip
ESTIMATES = ("reconstructed", "published_in_press", "implied")
# A later stage stands before an earlier one; "latest" is whatever the calendar had reached on its day.
STAGE_RANK = {
    **{stage: at - len(ESTIMATES) for at, stage in enumerate(ESTIMATES)},
    "as_given": 0, "estimated": 0, "provisional": 1, "nine_digit": 2, "detailed": 3, "published": 3, "revised": 4,
    "fixed": 5,
}  # fmt: skip
PROVISIONAL = ("provisional", "nine_digit")
FIXED_MONTH, FIXED_DAY = 3, 20
"""Customs fix a year in the middle of the next March; from the end of the next month until then it is detailed."""
PRESS_FILE = re.compile(r"press_((?:19|20)\d\d)(0[1-9]|1[0-2])([45])en\.xml", re.ASCII)
SERIES_FILE = re.compile(r"d[456][12][mcf]a\d*\.csv")
PRESS_DAY = 20
ARTICLES = "press_articles"
BIAS_MONTHS, NEWS_MONTHS = 8, 24
SPREAD_MONTHS, POOLED_MONTHS = 12, 30
"""Revised months that a spread of a series' own needs, and one of all series of a measure together."""


@dataclass(frozen=True)
class Precedence:
    """Sources in tiers, best first; one that is not listed comes after all others, by its name."""

    tiers: tuple[tuple[str, ...], ...] = ()

    def places(self, sources: Sequence[str]) -> pd.DataFrame:
        """Tier and place within it of these sources (one row each, indexed by source); small is better."""
        listed = {one: (tier, place) for tier, of in enumerate(self.tiers) for place, one in enumerate(of)}
        others = sorted(set(sources) - set(listed))
        listed |= {one: (len(self.tiers) + at, 0) for at, one in enumerate(others)}
        return pd.DataFrame.from_dict({one: listed[one] for one in sorted(set(sources))}, "index", columns=PLACES)


PLACES = ["tier", "place"]


# --- Records ---------------------------------------------------------------------------------------------


def carried(observations: pd.DataFrame) -> pd.DataFrame:
    """The figures that the project carries as the oldest records (COLUMNS); ``raw`` keeps the name of their file.

    A press figure, or one implied by it, is known from the day of that press release: the 20th of the month after for
    a provisional, the last day for a detailed one. Anything else is known from the last day of the next month.
    """
    files = observations["source"].astype(str)
    published = {
        (file, month): _day_of(file, month)
        for file, month in dict.fromkeys(zip(files, observations["month"], strict=True))
    }
    days = pd.to_datetime([published[one] for one in zip(files, observations["month"], strict=True)])
    return pd.DataFrame(
        {
            **{name: observations[name].to_numpy() for name in ("series", "value", "unit", "stage", "std_error")},
            "month": pd.PeriodIndex(observations["month"], freq="M"),
            "source": [_source_of(one) for one in files],
            "published": days.astype("datetime64[us]"),
            "dated": "rule",
            "raw": files.to_numpy(),
            "seen": days.astype("datetime64[us]"),
        }
    )[list(COLUMNS)]


def _day_of(file: str, month: pd.Period) -> date:
    if found := PRESS_FILE.fullmatch(file):
        after = pd.Period(f"{found[1]}-{found[2]}", "M") + 1
        return date(after.year, after.month, PRESS_DAY if found[3] == "4" else after.days_in_month)
    return month_after(month)


def month_after(month: pd.Period) -> date:
    """The last day of the month after: by then every monthly figure has come out that comes within a month."""
    after = month + 1
    return date(after.year, after.month, after.days_in_month)


def _source_of(file: str) -> str:
    if PRESS_FILE.fullmatch(file):
        return "japan_customs_press"
    return "japan_customs_series" if SERIES_FILE.fullmatch(file) else ARTICLES


def known_day(records: pd.DataFrame) -> pd.Series:
    """The day on which each record became known (midnight)."""
    return records["published"].fillna(records["seen"].dt.floor("D"))


def stage_rank(records: pd.DataFrame, known: pd.Series) -> np.ndarray:
    """How far each value has come; of ``latest`` ones what the calendar had reached on the day they were known."""
    rank = records["stage"].map(STAGE_RANK).to_numpy(dtype=float)
    months = pd.PeriodIndex(records["month"], freq="M")
    detailed = (months + 1).end_time.floor("D")
    fixed = pd.to_datetime({"year": months.year + 1, "month": FIXED_MONTH, "day": FIXED_DAY}).to_numpy()
    days = known.to_numpy()
    reached = np.where(days >= fixed, 5.0, np.where(days >= detailed.to_numpy(), 3.0, 1.0))
    return np.where(records["stage"] == "latest", reached, rank)


def checked(records: pd.DataFrame, catalogue: Catalogue, where: str) -> pd.DataFrame:
    """The records, if every one can be true; DataError names the first that cannot."""
    seen = pd.PeriodIndex(records["seen"], freq="M") if len(records) else pd.PeriodIndex([], freq="M")
    units = records["series"].map({one: catalogue[one].unit for one in catalogue})
    later = (records["published"] - records["seen"].dt.floor("D")).dt.days > 1
    listed = "add it to data/catalogue.csv, or take the rows out"
    wrongs = (
        (units.isna(), "is no series of the catalogue", listed),
        (~records["stage"].isin(STAGES), "has an unknown stage", f"the stages are {', '.join(STAGES)}"),
        (~np.isfinite(records["value"]), "is not finite", "leave unpublished months out"),
        (records["value"] < 0, "is below zero", "look for a balance or a correction among the levels"),
        (pd.PeriodIndex(records["month"], freq="M") > seen, "lies in the future", "leave unpublished months out"),
        (later, "was published after it was seen", "mend the day of publication"),
        (
            ~_same_kind(records["unit"], units.fillna("")),
            "is in a unit that cannot be that of its series",
            "convert it where it is read",
        ),
    )
    for wrong, what, advice in wrongs:
        if np.any(wrong):
            row = records[np.asarray(wrong)].iloc[0]
            raise DataError(
                f"{where}: {row['series']} {row['month']}, {row['value']:g} {row['unit']} ({row['stage']}), {what}:"
                f" {advice}."
            )
    key = ["series", "month", "source", "stage", "published", "unit"]
    twice = records.duplicated(key, keep=False) & ~records.duplicated([*key, "value"], keep=False)
    if twice.any():
        row = records[twice].iloc[0]
        both = records.loc[(records[key[:2]] == row[key[:2]]).all(axis=1), "value"].drop_duplicates()
        said = " and ".join(f"{one:g}" for one in both[:2])
        raise DataError(f"{where}: {row['series']} has two values for {row['month']}, {said}: only one can be true.")
    return records


def _same_kind(units: pd.Series, wanted: pd.Series) -> np.ndarray:
    """Whether each unit can be turned into the other, or is money where money is wanted."""
    good = {pair: fits(*pair) for pair in dict.fromkeys(zip(units, wanted, strict=True))}
    return np.array([good[pair] for pair in zip(units, wanted, strict=True)], dtype=bool)


def fits(unit: str, wanted: str) -> bool:
    """Whether a value in this unit may be kept for a series in that one: money may be in another currency."""
    return convertible(unit, wanted) or bool(currency_of(unit) and currency_of(wanted))


def convertible(unit: str, wanted: str) -> bool:
    """Whether both measure the same."""
    try:
        conversion(unit, wanted)
    except DataError:
        return False
    return True


def currency_of(unit: str) -> str:
    """``usd`` of ``mn_usd``; nothing for what is no money."""
    return next((one for one in CURRENCIES if unit == one or unit.endswith(f"_{one}")), "")


CURRENCIES = ("jpy", "usd", "eur", "rub", "cny", "krw")


# --- What is new -----------------------------------------------------------------------------------------

KINDS = ("new", "revised", "confirmed", "other source")
_KEY = ["series", "month", "source", "stage"]


def news(fresh: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """The fresh records that say something new beside those kept, with a column ``kind`` of KINDS.

    Nothing new is a value that the same source gave for the same stage, as it stood on the day of the fresh one. A
    value that differs from one kept for the very same day is a silent correction: known only from when it was seen.
    """
    fresh = fresh.drop_duplicates([*_KEY, "value", "unit", "published"]).reset_index(drop=True)
    old = kept[kept["series"].isin(set(fresh["series"]))]
    old = old.assign(known=known_day(old)).sort_values(["known", "seen"], kind="stable")
    dated = old[old["published"].notna()].drop_duplicates([*_KEY, "published"], keep="last")
    same_day = fresh.merge(
        dated[[*_KEY, "published", "value", "unit"]], "left", [*_KEY, "published"], suffixes=("", "_old")
    )
    corrected = (same_day["value_old"].notna() & ~_equal(same_day)).to_numpy()
    fresh = fresh.assign(published=fresh["published"].mask(corrected), dated=fresh["dated"].mask(corrected, "seen"))
    before = _standing(fresh, old, _KEY)
    ever = _standing(fresh, old, ["series", "month", "source"])
    there = pd.MultiIndex.from_frame(fresh[["series", "month"]]).isin(
        pd.MultiIndex.from_frame(old[["series", "month"]])
    )
    kind = np.select([~there, ever["value_old"].isna(), ~_equal(ever)], ["new", "other source", "revised"], "confirmed")
    return fresh.assign(kind=kind)[~_equal(before).to_numpy()].reset_index(drop=True)


def _equal(both: pd.DataFrame) -> pd.Series:
    return (both["value"] == both["value_old"]) & (both["unit"] == both["unit_old"])


def _standing(fresh: pd.DataFrame, old: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Beside each fresh record the last one of its key that was known by its day: value_old and unit_old."""
    left = fresh.assign(known=known_day(fresh), at=np.arange(len(fresh))).sort_values("known", kind="stable")
    right = old[[*key, "known", "value", "unit"]]
    texts = dict.fromkeys(
        [name for name in key if name != "month"], object
    )  # pandas' merge is strict about kinds of text
    tables = [one.assign(month=pd.PeriodIndex(one["month"], freq="M").asi8).astype(texts) for one in (left, right)]
    joined = pd.merge_asof(tables[0], tables[1], on="known", by=key, suffixes=("", "_old"))
    return joined.sort_values("at").reset_index(drop=True)


# --- What stands -----------------------------------------------------------------------------------------


def known_on(records: pd.DataFrame, day: date | None, precedence: Precedence, catalogue: Catalogue) -> pd.DataFrame:
    """For each series and month known on this day (None: any) the record that stands, by series and month.

    First a published figure before an estimate, then the tier of its source, its stage, the day it was known, the place
    of its source in its tier, and what was seen last. Figures in another currency than the catalogue's do not stand.
    """
    usable = usable_units(records[["series", "unit"]].drop_duplicates().itertuples(index=False), catalogue)
    there = pd.MultiIndex.from_frame(records[["series", "unit"]]).isin(usable)
    known = known_day(records)
    if day is not None:
        there &= (known <= pd.Timestamp(day)).to_numpy()
    rows, known = records[there], known[there]
    places = precedence.places(list(rows["source"].unique()))
    keys = pd.DataFrame(
        {
            "estimate": rows["stage"].isin(ESTIMATES),
            "tier": rows["source"].map(places["tier"]),
            "stage": -stage_rank(rows, known),
            "known": -known.astype("int64"),
            "place": rows["source"].map(places["place"]),
            "seen": -rows["seen"].astype("int64"),
            "raw": rows["raw"],
            "value": rows["value"],
        }
    )
    # Of what is alike in everything else the larger hash: any rule will do that no order of the rows can change.
    names = list(map(str, keys))
    upwards = [name not in ("raw", "value") for name in names]
    best = rows.loc[keys.sort_values(names, ascending=upwards, kind="stable").index]
    best = best.drop_duplicates(["series", "month"])
    return best.sort_values(["series", "month"], kind="stable").reset_index(drop=True)


def usable_units(pairs: Iterable[tuple[str, str]], catalogue: Catalogue) -> set[tuple[str, str]]:
    """Those pairs of series and unit that can stand for the series."""
    return {(one, unit) for one, unit in pairs if one in catalogue and convertible(unit, catalogue[one].unit)}


def observations_of(standing: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """Chosen records as observations in the catalogue's units; of carried figures the source is the name of a file."""
    pairs = dict.fromkeys(zip(standing["series"], standing["unit"], strict=True))
    factors = {(one, unit): conversion(unit, catalogue[one].unit) for one, unit in pairs}
    factor = np.array([factors[pair] for pair in zip(standing["series"], standing["unit"], strict=True)], dtype=float)
    ours = standing["raw"].str.fullmatch(r"[0-9a-f]{64}").to_numpy(dtype=bool)
    table = standing.assign(
        value=standing["value"] * factor,
        std_error=standing["std_error"] * factor,
        unit=standing["series"].map({one: catalogue[one].unit for one in set(standing["series"])}),
        source=standing["source"].where(ours, standing["raw"]),
    )
    return table[list(OBSERVATION_COLUMNS)]


def as_known(standing: pd.DataFrame, day: date) -> list[str]:
    """What to say beside figures as they stood on a day: of which no first release is kept."""
    later = sorted(standing.loc[standing["stage"] == "latest", "series"].unique())
    said = [f"Figures as known on {day}."]
    if later:
        some = f"{', '.join(later[:2])}{' …' if later[2:] else ''}"
        said.append(f"Of {len(later)} series ({some}) first figures were not kept: later revisions stand in for them.")
    return said


# --- How values were revised -----------------------------------------------------------------------------


def releases(records: pd.DataFrame, precedence: Precedence) -> pd.DataFrame:
    """Published values of one series in the order in which they became known, as its first tier of sources gave them.

    Columns of COLUMNS, known, rank (stage reached), release (1, 2, … a month) and now (the last). A value that only
    repeats the one before at no later stage is left out, and so are estimates.
    """
    rows = records[~records["stage"].isin(ESTIMATES)]
    tier = rows["source"].map(precedence.places(list(rows["source"].unique()))["tier"])
    rows = rows[tier == tier.min()]
    known = known_day(rows)
    rows = rows.assign(known=known, rank=stage_rank(rows, known)).sort_values(["month", "known", "rank", "seen"])
    before = rows.groupby("month")[["value", "rank"]].shift()
    rows = rows[(rows["value"] != before["value"]) | (rows["rank"] > before["rank"])]
    by_month = rows.groupby("month")
    return rows.assign(release=by_month.cumcount() + 1, now=by_month["value"].transform("last")).reset_index(drop=True)


def triangle(released: pd.DataFrame) -> pd.DataFrame:
    """The revision triangle: months × days on which something became known, each cell what was known by then."""
    table = released.pivot_table(index="month", columns="known", values="value", aggfunc="last")
    return table.ffill(axis=1)


@dataclass(frozen=True)
class Revisions:
    """Revisions of one stage to what is known now, in percent of it: ``months`` are those that have come further.

    ``t`` and ``p`` test whether the mean is zero; ``news_p`` whether the first figure foretells the revision (it should
    not: a revision should be news), ``noise_p`` whether the figure of now does. NaN where there are too few months.
    """

    stage: str
    months: int
    mean: float
    spread: float
    mean_absolute: float
    t: float
    p: float
    news_p: float
    noise_p: float


def revisions(released: pd.DataFrame) -> tuple[Revisions, ...]:
    """Revisions by the stage at which a month was first published, of the releases of one series.

    A revision is 100 · log(now / first). The tests follow Mankiw and Shapiro (1986), in growth on a year earlier, with
    standard errors that allow for autocorrelation (Newey and West 1987) and the t and F distributions.
    """
    now = released.groupby("month")[["now", "rank"]].last()
    found = []
    for stage in dict.fromkeys(released.sort_values("rank")["stage"]):
        first = released[released["stage"] == stage].drop_duplicates("month").set_index("month")
        joined = first.join(now["rank"].rename("reached"))
        joined = joined[(joined["reached"] > joined["rank"]) & (joined["value"] > 0) & (joined["now"] > 0)]
        if len(joined):
            found.append(_tested(str(stage), joined, now["now"]))
    return tuple(found)


def _tested(stage: str, joined: pd.DataFrame, now: pd.Series) -> Revisions:
    joined = joined.sort_index()
    r = 100 * np.log((joined["now"] / joined["value"]).to_numpy())
    year_ago = now.reindex(pd.PeriodIndex(joined.index, freq="M") - 12).to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = 100 * np.log(joined["value"].to_numpy() / year_ago)
    spread = float(r.std(ddof=1)) if len(r) > 1 else np.nan
    t, p = mean_test(r) if len(r) >= BIAS_MONTHS else (np.nan, np.nan)
    known = np.isfinite(first)
    enough = known.sum() >= NEWS_MONTHS
    news_p = slope_test(r[known], first[known]) if enough else np.nan
    noise_p = slope_test(r[known], (first + r)[known]) if enough else np.nan
    return Revisions(stage, len(r), float(r.mean()), spread, float(np.abs(r).mean()), t, p, news_p, noise_p)


def mean_test(x: np.ndarray) -> tuple[float, float]:
    """t statistic and two-sided p value of a mean of zero, allowing for autocorrelation; NaN if nothing varies."""
    from scipy import stats

    b, covariance = _regressed(x, np.ones((len(x), 1)))
    if not covariance[0, 0] > 0:
        return np.nan, np.nan
    t = float(b[0] / np.sqrt(covariance[0, 0]))
    return t, float(2 * stats.t.sf(abs(t), len(x) - 1))


def slope_test(y: np.ndarray, x: np.ndarray) -> float:
    """p value of a slope of zero in y = a + b x + error, allowing for autocorrelation; NaN if nothing varies."""
    from scipy import stats

    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    b, covariance = _regressed(y, np.column_stack([np.ones(len(x)), x]))
    if not covariance[1, 1] > 0:
        return np.nan
    return float(2 * stats.t.sf(abs(b[1]) / np.sqrt(covariance[1, 1]), len(y) - 2))


def _regressed(y: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares with the covariance of Newey and West (Bartlett weights, small-sample factor n / (n − k))."""
    n, k = X.shape
    bread = np.linalg.pinv(X.T @ X)
    b = bread @ X.T @ y
    scores = X * (y - X @ b)[:, None]
    meat = scores.T @ scores
    lags = int(4 * (n / 100) ** (2 / 9))
    for lag in range(1, lags + 1):
        cross = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (cross + cross.T)
    return b, bread @ meat @ bread * n / (n - k)


# --- What revisions leave open -------------------------------------------------------------------------


def spreads(records: pd.DataFrame, catalogue: Catalogue, precedence: Precedence) -> dict[tuple[str, str], float]:
    """Standard deviation of revisions (log) by series and provisional stage, about zero.

    Of a series' own if SPREAD_MONTHS of it have been revised, else of all series of its measure together if
    POOLED_MONTHS have; a series without either has none.
    """
    own: dict[tuple[str, str], np.ndarray] = {}
    for series, rows in records.groupby("series", sort=True):
        released = releases(rows, precedence)
        reached = released.groupby("month")["rank"].transform("last")
        for stage in PROVISIONAL:
            first = released[(released["stage"] == stage) & (reached > released["rank"])].drop_duplicates("month")
            first = first[(first["value"] > 0) & (first["now"] > 0)]
            own[str(series), stage] = np.log((first["now"] / first["value"]).to_numpy())
    pools: dict[tuple[str, str], list[np.ndarray]] = {}
    for (series, stage), of in own.items():
        pools.setdefault((_measure(series), stage), []).append(of)
    found = {}
    for series in catalogue:
        for stage in PROVISIONAL:
            mine = own.get((series, stage), np.empty(0))
            pooled = np.concatenate(pools.get((_measure(series), stage), [np.empty(0)]))
            chosen, enough = (mine, SPREAD_MONTHS) if len(mine) >= SPREAD_MONTHS else (pooled, POOLED_MONTHS)
            if len(chosen) >= enough:
                found[series, stage] = float(np.sqrt(np.mean(chosen**2)))
    return found


def provisional_spread(
    observations: pd.DataFrame, y: pd.DataFrame, spread: Mapping[tuple[str, str], float]
) -> dict[tuple[str, pd.Period], float]:
    """By series and month of ``y`` (T × n): the spread of revisions (log) that a provisional figure there still has."""
    rows = observations[observations["stage"].isin(PROVISIONAL) & (observations["value"] > 0)]
    rows = rows[rows["series"].isin(y.columns) & rows["month"].isin(y.index)]
    cells = zip(rows["series"], rows["month"], rows["stage"], strict=True)
    return {(series, month): wide for series, month, stage in cells if (wide := spread.get((series, stage), 0.0)) > 0}


def drawn(y: pd.DataFrame, spread: Mapping[tuple[str, pd.Period], float], seed: int, draws: int) -> list[pd.DataFrame]:
    """So many tables like ``y`` (T × n) whose provisional cells are drawn as revised: normal in logarithms.

    The draws of a cell are the middles of equally probable slices, in an order of its own: their spread is exact.
    """
    slices = np.array([NormalDist().inv_cdf((at + 0.5) / draws) for at in range(draws)])
    slices /= np.sqrt(np.mean(slices**2))
    tables = [y.copy() for _ in range(draws)]
    for (series, month), wide in spread.items():
        order = stream(seed, "revision", series, month).permutation(draws)
        for table, factor in zip(tables, np.exp(wide * slices[order]), strict=True):
            table.at[month, series] = y.at[month, series] * factor
    return tables


def _measure(series: str) -> str:
    return series.rpartition(".")[2]


# --- Sources side by side ----------------------------------------------------------------------------------


def side_by_side(
    records: pd.DataFrame, entry: Series, precedence: Precedence, rates: Mapping[str, pd.Series]
) -> pd.DataFrame:
    """What each source says now of one series, in the catalogue's unit (months × sources, in order of precedence).

    ``rates`` holds exchange rates by id, ``fx.usd_jpy`` being yen a dollar (indexed by month): a value in dollars is
    converted at the rate of its month. What cannot be converted is left out.
    """
    plain = Catalogue((Series(entry.id, entry.title, entry.unit),))
    same = in_unit(records, entry.unit, rates).assign(series=entry.id)
    columns = {
        str(source): known_on(rows, None, precedence, plain).set_index("month")["value"]
        for source, rows in same.groupby("source", sort=True)
    }
    order = list(precedence.places(list(columns)).sort_values(PLACES, kind="stable").index)
    return pd.DataFrame({one: columns[one] for one in order}).sort_index()


def in_unit(records: pd.DataFrame, unit: str, rates: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Records with their values in this unit; those that cannot be converted are left out."""
    pieces = [
        rows.assign(value=rows["value"] * _factors(str(given), unit, rows["month"], rates), unit=unit)
        for given, rows in records.groupby("unit", sort=True)
    ]
    return pd.concat([records.iloc[:0], *pieces]).dropna(subset="value")


def _factors(given: str, wanted: str, months: pd.Series, rates: Mapping[str, pd.Series]) -> np.ndarray:
    """What to multiply each value by (NaN: unknown)."""
    if convertible(given, wanted):
        return np.full(len(months), conversion(given, wanted))
    one, other = currency_of(given), currency_of(wanted)
    if not one or not other:
        return np.full(len(months), np.nan)
    there, back = (rates.get(f"fx.{a}_{b}", pd.Series(dtype=float)) for a, b in ((one, other), (other, one)))
    rate = there if len(there) else 1.0 / back
    return rate.reindex(months).to_numpy(dtype=float) * conversion(given, one) * conversion(other, wanted)
