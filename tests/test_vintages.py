"""What was known when: the choice between records, what is new, and how revisions are measured."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import vintages
from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.sources.base import RECORD_COLUMNS
from forecasting.vintages import COLUMNS, ESTIMATES, STAGE_RANK, Precedence

EXPORTS, IMPORTS = "jp_ru.exports.value", "jp_ru.imports.value"
CATALOGUE = Catalogue((Series(EXPORTS, "Exports", "mn_jpy"), Series(IMPORTS, "Imports", "mn_jpy")))
PRECEDENCE = Precedence((("files", "press"), ("comtrade",)))
HASH = "a" * 64


def records(*rows: dict) -> pd.DataFrame:
    """Records of imports in 2024-05, seen on 2026-01-01, where nothing else is said."""
    plain = {
        "series": IMPORTS, "month": "2024-05", "value": 100.0, "unit": "mn_jpy", "stage": "provisional",
        "std_error": np.nan, "source": "press", "published": None, "dated": "printed", "raw": HASH,
        "seen": "2026-01-01",
    }  # fmt: skip
    table = pd.DataFrame([plain | row for row in rows], columns=list(COLUMNS))
    return table.assign(
        month=pd.PeriodIndex(table["month"], freq="M"),
        published=pd.to_datetime(table["published"]).astype("datetime64[us]"),
        seen=pd.to_datetime(table["seen"], format="ISO8601").astype("datetime64[us]"),
        value=table["value"].astype(float),
    )


def standing(table: pd.DataFrame, day: str | None = None) -> list[float]:
    when = None if day is None else date.fromisoformat(day)
    return vintages.known_on(table, when, PRECEDENCE, CATALOGUE)["value"].tolist()


def test_the_columns_are_those_of_a_reading_and_when_it_was_seen() -> None:
    assert (*RECORD_COLUMNS, "seen") == COLUMNS


# What stands on a day


def test_a_value_is_known_from_the_day_it_was_published_else_seen() -> None:
    table = records(
        {"published": "2024-06-20", "value": 1}, {"published": "2024-06-30", "stage": "detailed", "value": 2},
        {"stage": "fixed", "value": 3, "seen": "2025-03-14 23:59"},
    )  # fmt: skip
    days = ("2024-06-19", "2024-06-20", "2024-06-29", "2024-06-30", "2025-03-13", "2025-03-14", None)
    assert [standing(table, day) for day in days] == [[], [1], [1], [2], [2], [3], [3]]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"source": "comtrade", "stage": "published"}, {"stage": "implied"}),
        ({"source": "press"}, {"source": "comtrade", "stage": "fixed", "published": "2025-06-01"}),
        ({"source": "press", "stage": "detailed"}, {"source": "files", "stage": "provisional"}),
        ({"source": "press", "published": "2025-02-01"}, {"source": "files", "published": "2025-01-01"}),
        ({"source": "files", "published": "2025-01-01"}, {"source": "press", "published": "2025-01-01"}),
        ({"source": "comtrade"}, {"source": "unheard_of"}),
        ({"seen": "2026-01-02", "published": "2024-07-01"}, {"seen": "2026-01-01", "published": "2024-07-01"}),
        # A time series of the days before the detailed figure came holds the provisional one.
        ({"stage": "detailed", "published": "2024-06-30"}, {"stage": "latest", "published": "2024-06-25"}),
        ({"stage": "latest", "published": "2024-07-25"}, {"stage": "detailed", "published": "2024-06-30"}),
        ({"stage": "fixed", "published": "2025-03-14"}, {"stage": "latest", "published": "2025-03-10"}),
        ({"stage": "latest", "published": "2026-03-20"}, {"stage": "fixed", "published": "2025-03-14"}),
    ],
)
def test_the_order_of_precedence(better: dict, worse: dict) -> None:
    for pair in ((better, worse), (worse, better)):
        table = records(*(one | {"value": 1 if one is better else 2} for one in pair))
        assert standing(table) == [1]


def test_a_value_in_another_currency_does_not_stand_and_another_multiple_is_converted() -> None:
    table = records({"unit": "mn_usd", "source": "files", "stage": "fixed"}, {"unit": "thousand_jpy", "value": 5e6})
    chosen = vintages.known_on(table, None, PRECEDENCE, CATALOGUE)
    observations = vintages.observations_of(chosen, CATALOGUE)
    assert observations[["value", "unit", "source"]].to_numpy().tolist() == [[5000.0, "mn_jpy", "press"]]


SOURCES = ("files", "press", "comtrade", "other")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "series": st.sampled_from([EXPORTS, IMPORTS]),
            "month": st.sampled_from(["2024-05", "2024-06"]),
            "value": st.integers(0, 5).map(float),
            "unit": st.sampled_from(["mn_jpy", "thousand_jpy", "mn_usd"]),
            "stage": st.sampled_from([*STAGE_RANK, "latest"]),
            "source": st.sampled_from(SOURCES),
            "published": st.sampled_from([None, "2024-07-20", "2024-07-31", "2025-04-01"]),
            "raw": st.sampled_from([HASH, "b" * 64]),
            "seen": st.sampled_from(["2024-08-01 10:00", "2024-08-01 11:00", "2025-05-01"]),
        }
    ),
    max_size=25,
)
DAYS = st.sampled_from([None, date(2024, 7, 1), date(2024, 7, 25), date(2024, 8, 1), date(2025, 4, 1)])


def slowly(table: pd.DataFrame, day: date | None) -> dict[tuple[str, str], dict]:
    """The same by comparing record with record."""
    best: dict[tuple[str, str], tuple] = {}
    for row in table.to_dict("records"):
        known = (row["seen"] if pd.isna(row["published"]) else row["published"]).date()
        if row["unit"] == "mn_usd" or (day is not None and known > day):
            continue
        tiers = {"files": (0, 0), "press": (0, 1), "comtrade": (1, 0), "other": (2, 0)}
        tier, place = tiers[row["source"]]
        month = row["month"]
        rank = STAGE_RANK.get(row["stage"], 0)
        if row["stage"] == "latest":
            rank = 5 if known >= date(month.year + 1, 3, 20) else 3 if known >= (month + 1).end_time.date() else 1
        key = (row["stage"] not in ESTIMATES, -tier, rank, known, -place, row["seen"], row["raw"], row["value"])
        cell = (row["series"], str(month))
        if cell not in best or key > best[cell][0]:
            best[cell] = (key, row)
    return {cell: row for cell, (_, row) in sorted(best.items())}


@settings(max_examples=30, deadline=None)
@given(ROWS, DAYS, st.randoms())
def test_what_stands_is_what_comparing_every_pair_gives_in_any_order(
    rows: list[dict], day: date | None, shuffled
) -> None:
    table = records(*rows)
    expected = slowly(table, day)
    shuffled.shuffle(rows)
    chosen = vintages.known_on(records(*rows), day, PRECEDENCE, CATALOGUE)
    assert list(zip(chosen["series"], chosen["month"].astype(str), strict=True)) == list(expected)
    assert chosen["value"].tolist() == [row["value"] for row in expected.values()]
    assert chosen["stage"].tolist() == [row["stage"] for row in expected.values()]


# The carried figures


@pytest.mark.parametrize(
    ("source", "month", "day", "name"),
    [
        ("press_2026084en.xml", "2026-08", "2026-09-20", "japan_customs_press"),
        ("press_2026035en.xml", "2026-03", "2026-04-30", "japan_customs_press"),
        ("press_2024055en.xml", "2023-05", "2024-06-30", "japan_customs_press"),
        ("press_2025124en.xml", "2025-12", "2026-01-20", "japan_customs_press"),
        ("d61ma.csv", "2026-08", "2026-09-30", "japan_customs_series"),
        ("press_2024004en.xml", "2024-05", "2024-06-30", "press_articles"),  # no month, and so no file of theirs
        ("press figures, see published_facts.csv", "2022-01", "2022-02-28", "press_articles"),
    ],
)
def test_carried_figures_are_known_from_the_day_of_their_file(source: str, month: str, day: str, name: str) -> None:
    observations = pd.DataFrame(
        {"series": IMPORTS, "month": pd.PeriodIndex([month], freq="M"), "value": 1.0, "unit": "mn_jpy",
         "stage": "detailed", "std_error": np.nan, "source": source}
    )  # fmt: skip
    row = vintages.carried(observations).iloc[0]
    assert (f"{row['published']:%Y-%m-%d}", row["source"], row["raw"]) == (day, name, source)
    back = vintages.observations_of(
        vintages.known_on(vintages.carried(observations), None, PRECEDENCE, CATALOGUE), CATALOGUE
    )
    pd.testing.assert_frame_equal(back, observations, check_dtype=False)


# What is new


def kinds(fresh: pd.DataFrame, kept: pd.DataFrame) -> list[str]:
    return vintages.news(fresh, kept)["kind"].tolist()


def test_news_by_kind() -> None:
    kept = records({"published": "2024-06-20"})
    day = {"published": "2024-06-30"}
    assert kinds(records({"month": "2024-06"}), kept) == ["new"]
    assert kinds(records({"stage": "detailed", **day}), kept) == ["confirmed"]
    assert kinds(records({"stage": "detailed", "value": 101, **day}), kept) == ["revised"]
    assert kinds(records({"source": "comtrade", **day}), kept) == ["other source"]
    assert kinds(records(day, {"seen": "2026-02-01"}), kept) == []


def test_the_same_value_known_earlier_is_news_and_a_value_that_came_back_too() -> None:
    kept = records({"published": "2024-06-20"}, {"published": "2024-06-25", "value": 90})
    assert len(kinds(records({"published": "2024-06-19"}), kept)) == 1
    assert kinds(records({"published": "2024-06-24"}), kept) == []
    assert len(kinds(records({"published": "2024-06-26"}), kept)) == 1


def test_a_silent_correction_is_known_only_from_when_it_was_seen() -> None:
    kept = records({"published": "2024-06-20", "dated": "rule"})
    fresh = vintages.news(
        records({"published": "2024-06-20", "dated": "rule", "value": 120, "seen": "2024-09-01"}), kept
    )
    assert fresh[["kind", "dated"]].to_numpy().tolist() == [["revised", "seen"]]
    both = pd.concat([kept, fresh[list(COLUMNS)]], ignore_index=True)
    assert [standing(both, day) for day in ("2024-06-20", "2024-08-31", "2024-09-01")] == [[100], [100], [120]]


@settings(max_examples=30, deadline=None)
@given(ROWS, ROWS)
def test_adding_the_same_twice_adds_nothing(first: list[dict], second: list[dict]) -> None:
    kept, fresh = records(*first), records(*second)
    fresh = fresh.drop_duplicates(["series", "month", "source", "stage", "published", "unit"])
    fresh = fresh.drop_duplicates(["series", "month", "source", "stage"])
    added = vintages.news(fresh, kept)[list(COLUMNS)]
    both = pd.concat([kept, added], ignore_index=True)
    again = vintages.news(fresh, both)
    assert again.empty


@settings(max_examples=30, deadline=None)
@given(ROWS, ROWS)
def test_what_is_seen_later_never_changes_an_earlier_day(first: list[dict], second: list[dict]) -> None:
    kept, day = records(*first), date(2026, 2, 1)
    later = records(*(one | {"seen": "2026-02-02", "published": None} for one in second))
    both = pd.concat([kept, vintages.news(later, kept)[list(COLUMNS)]], ignore_index=True)
    before, after = (vintages.known_on(one, day, PRECEDENCE, CATALOGUE) for one in (kept, both))
    pd.testing.assert_frame_equal(before.astype(object), after.astype(object))


# What cannot be true


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"series": "jp_ru.imports.cheese.value"}, "is no series of the catalogue: add it"),
        ({"stage": "guessed"}, "has an unknown stage"),
        ({"value": np.inf}, "is not finite"),
        ({"value": np.nan}, "is not finite"),
        ({"value": -1.0}, "is below zero"),
        ({"month": "2026-02"}, "lies in the future"),
        ({"published": "2026-01-05"}, "was published after it was seen"),
        ({"unit": "kg"}, "is in a unit that cannot be that of its series"),
    ],
)
def test_a_record_that_cannot_be_true_is_refused_by_name(row: dict, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        vintages.checked(records({}, row), CATALOGUE, "a.csv")
    assert str(caught.value).startswith("a.csv: jp_ru.imports.")
    assert "\n" not in str(caught.value)


def test_two_values_of_one_day_are_refused_and_the_same_twice_is_not() -> None:
    with pytest.raises(DataError, match="two values for 2024-05, 1 and 2"):
        vintages.checked(records({"value": 1}, {"value": 2}), CATALOGUE, "a.csv")
    assert len(vintages.checked(records({}, {}, {"unit": "mn_usd"}), CATALOGUE, "a.csv")) == 3


# Revisions


def revised(months: int, bias: float = 0.0, noise: float = 0.0, news: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Provisional and detailed figures; ``noise`` spoils the first figure, ``news`` is unknown when it is published."""
    rng = np.random.default_rng(seed)
    index = pd.period_range("2015-01", periods=months, freq="M")
    seen = 1000 * np.exp(0.1 * rng.normal(size=months))
    first = seen * np.exp(noise * rng.normal(size=months))
    final = seen * np.exp(news * rng.normal(size=months) + bias)
    after = index + 1
    rows = [
        {"month": str(month), "value": value, "stage": stage, "published": f"{then}-{day}", "seen": "2030-01-01"}
        for values, stage, day in ((first, "provisional", "20"), (final, "detailed", "28"))
        for month, then, value in zip(index, after, values, strict=True)
    ]
    return records(*rows)


def test_releases_and_triangle() -> None:
    table = records(
        {"published": "2024-06-20"}, {"published": "2024-06-30", "stage": "detailed"},
        {"published": "2024-07-15", "stage": "detailed"}, {"published": "2025-03-14", "stage": "fixed", "value": 110},
        {"source": "comtrade", "value": 500, "stage": "published"}, {"stage": "implied", "value": 400},
        {"month": "2024-06", "published": "2024-07-20", "value": 7},
    )  # fmt: skip
    found = vintages.releases(table, PRECEDENCE)
    assert found[["release", "stage", "value", "now"]].to_numpy().tolist() == [
        [1, "provisional", 100, 110], [2, "detailed", 100, 110], [3, "fixed", 110, 110], [1, "provisional", 7, 7],
    ]  # fmt: skip
    triangle = vintages.triangle(found)
    assert [f"{one:%Y-%m-%d}" for one in triangle.columns] == ["2024-06-20", "2024-06-30", "2024-07-20", "2025-03-14"]
    assert triangle.loc["2024-05"].tolist() == [100, 100, 100, 110]
    assert triangle.loc["2024-06"].isna().tolist() == [True, True, False, False]


def test_mean_and_spread_of_revisions_by_stage() -> None:
    (one,) = vintages.revisions(vintages.releases(revised(60, bias=0.02, news=0.01), PRECEDENCE))
    assert (one.stage, one.months) == ("provisional", 60)
    assert one.mean == pytest.approx(2.0, abs=0.4)
    assert one.spread == pytest.approx(1.0, abs=0.3)
    assert one.p < 0.001


def test_news_cannot_be_foretold_and_noise_can() -> None:
    (news,) = vintages.revisions(vintages.releases(revised(150, news=0.05), PRECEDENCE))
    (noise,) = vintages.revisions(vintages.releases(revised(150, noise=0.05), PRECEDENCE))
    assert news.news_p > 0.05 > news.noise_p
    assert noise.noise_p > 0.05 > noise.news_p


def test_tests_of_nothing_are_as_often_wrong_as_they_say() -> None:
    wrong = [vintages.mean_test(np.random.default_rng(seed).normal(size=40))[1] < 0.05 for seed in range(400)]
    assert 0.03 < np.mean(wrong) < 0.10


def test_too_few_months_are_not_tested() -> None:
    (one,) = vintages.revisions(vintages.releases(revised(7, news=0.05), PRECEDENCE))
    assert one.months == 7
    assert all(np.isnan([one.t, one.p, one.news_p, one.noise_p]))
    (more,) = vintages.revisions(vintages.releases(revised(30, news=0.05), PRECEDENCE))
    assert np.isfinite(more.p)
    assert np.isnan(more.news_p)  # 18 months have a year before them


def test_revisions_that_never_were_are_no_error() -> None:
    (one,) = vintages.revisions(vintages.releases(revised(40), PRECEDENCE))
    assert (one.mean, one.spread) == (0, 0)
    assert np.isnan(one.p)


@pytest.mark.parametrize("n", [12, 60, 200])
def test_the_statistics_are_those_of_statsmodels(n: int) -> None:
    rng = np.random.default_rng(n)
    x = np.convolve(rng.normal(size=n + 3), np.ones(4) / 2, "valid")
    y = 0.2 * x + rng.normal(size=n) + 0.1
    how = {"maxlags": int(4 * (n / 100) ** (2 / 9)), "use_correction": True}
    mean = sm.OLS(y, np.ones(n)).fit(cov_type="HAC", cov_kwds=how, use_t=True)
    slope = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HAC", cov_kwds=how, use_t=True)
    assert vintages.mean_test(y) == pytest.approx((mean.tvalues[0], mean.pvalues[0]), rel=1e-9)
    assert vintages.slope_test(y, x) == pytest.approx(slope.pvalues[1], rel=1e-9)


# What revisions leave open


def test_spread_of_its_own_else_of_its_measure() -> None:
    own = revised(20, news=0.05)
    few = revised(14, news=0.01, seed=1).assign(series=EXPORTS)
    short = few[few["month"] < "2015-06"]
    both = vintages.spreads(pd.concat([own, few], ignore_index=True), CATALOGUE, PRECEDENCE)
    assert both[IMPORTS, "provisional"] == pytest.approx(0.05, rel=0.4)
    assert both[EXPORTS, "provisional"] == pytest.approx(0.01, rel=0.4)
    assert (EXPORTS, "provisional") not in vintages.spreads(pd.concat([own, short]), CATALOGUE, PRECEDENCE)
    pooled = vintages.spreads(pd.concat([revised(40, news=0.05), short]), CATALOGUE, PRECEDENCE)
    assert pooled[EXPORTS, "provisional"] == pytest.approx(0.05, rel=0.4)


def test_draws_have_the_spread_and_leave_all_else() -> None:
    index = pd.period_range("2024-01", periods=4, freq="M")
    y = pd.DataFrame({IMPORTS: [1.0, 2, 3, 4], EXPORTS: [5.0, 6, 7, 8]}, index=index)
    observations = pd.DataFrame(
        {"series": [IMPORTS, IMPORTS, EXPORTS], "month": [index[3], index[2], index[3]], "value": [4.0, 3, 8],
         "stage": ["provisional", "detailed", "provisional"]}
    )  # fmt: skip
    cells = vintages.provisional_spread(observations, y, {(IMPORTS, "provisional"): 0.1, (EXPORTS, "provisional"): 0.0})
    assert cells == {(IMPORTS, index[3]): 0.1}
    tables = vintages.drawn(y, cells, 0, 8)
    logs = np.log([one.loc[index[3], IMPORTS] / 4 for one in tables])
    assert np.sqrt(np.mean(logs**2)) == pytest.approx(0.1)
    assert np.mean(logs) == pytest.approx(0.0, abs=1e-12)
    for one in tables:
        assert ((one != y).to_numpy().sum(), one.loc[index[3], EXPORTS]) == (1, 8)
    again = vintages.drawn(y[[EXPORTS, IMPORTS]], cells, 0, 8)
    assert all(one.equals(two[y.columns]) for one, two in zip(tables, again, strict=True))
    assert y.loc[index[3], IMPORTS] == 4


# Sources side by side


def test_dollars_beside_yen_at_the_rate_of_the_month() -> None:
    table = records(
        {"value": 15600}, {"month": "2024-06", "value": 16000},
        {"source": "comtrade", "unit": "usd", "value": 1e8, "stage": "published"},
        {"source": "comtrade", "unit": "usd", "value": 1e8, "stage": "published", "month": "2024-06"},
    )  # fmt: skip
    rates = {"fx.usd_jpy": pd.Series([156.0], index=pd.PeriodIndex(["2024-05"], freq="M"))}
    found = vintages.side_by_side(table, CATALOGUE[IMPORTS], PRECEDENCE, rates)
    assert list(found.columns) == ["press", "comtrade"]
    assert found.loc["2024-05"].tolist() == pytest.approx([15600, 15600])
    assert np.isnan(found.loc["2024-06", "comtrade"])
    turned = {"fx.jpy_usd": 1 / rates["fx.usd_jpy"]}
    pd.testing.assert_frame_equal(vintages.side_by_side(table, CATALOGUE[IMPORTS], PRECEDENCE, turned), found)
    assert list(vintages.side_by_side(table, CATALOGUE[IMPORTS], PRECEDENCE, {}).columns) == ["press"]
