"""What moved a forecast: the parts add up, nothing is credited to what comes later, and no news is no news."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import clock, news, news_journey, store, vintage_store, workflow
from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.observations import OBSERVATION_COLUMNS
from forecasting.panel import Panel
from forecasting.workflow import Dataset, Request

START = pd.Period("2022-01", "M")
CATALOGUE = Catalogue(
    (
        Series("trade", "Trade", "mn_jpy", formula="sum", terms=("exports", "imports"), headline=True),
        Series("exports", "Exports", "mn_jpy", core=True, headline=True),
        Series("imports", "Imports", "mn_jpy", core=True, headline=True),
    )
)
REQUEST = Request(model="seasonal_naive", paths=200, cache=False)


def figures(months: int = 48, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    index = pd.period_range(START, periods=months, freq="M")
    season = 1 + 0.2 * np.sin(2 * np.pi * np.arange(months) / 12)[:, None]
    y = 1000 * season * np.exp(rng.normal(0, 0.08, (months, 2)))
    return pd.DataFrame(y, index=index, columns=["exports", "imports"])


def dataset(y: pd.DataFrame) -> Dataset:
    rows = y.rename_axis("month").reset_index().melt("month", var_name="series").dropna()
    rows = rows.assign(unit="mn_jpy", stage="as_given", std_error=np.nan, source="test")[[*OBSERVATION_COLUMNS]]
    return Dataset(rows, Panel(y), CATALOGUE, "test", embedded=False)


def tell(before: pd.DataFrame, after: pd.DataFrame, **options) -> news_journey.News:
    asked = replace(REQUEST, **options.pop("request", {}))
    return news_journey.between(dataset(before), dataset(after), asked, workflow.forecast, **options)


def one(told: news_journey.News, series: str = "imports") -> news.Story:
    return next(story for story in told.stories if story.series == series)


def adds_up(story: news.Story) -> None:
    parts = sum(credit for *_, credit in story.steps) + story.remainder
    assert parts == pytest.approx(story.change, abs=1e-9 * abs(story.now))


# --- Stands and credits, as pure laws


@st.composite
def two_states(draw) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Figures now, and what was known of them before: ragged, with holes, some values different."""
    now = figures(30, draw(st.integers(0, 5)))
    back = [draw(st.integers(0, 5)) for _ in now.columns]
    before = now.copy()
    for column, months in zip(before.columns, back, strict=True):
        if months:
            before.loc[before.index[-months] :, column] = np.nan
    for at in draw(st.lists(st.integers(3, 20), max_size=3)):
        before.iloc[at, draw(st.integers(0, 1))] *= draw(st.sampled_from([0.9, 1.1, np.nan]))
    if draw(st.booleans()):
        now.iloc[5, 0] = np.nan
    return before.loc[: before.notna().any(axis=1)[::-1].idxmax()], now


def value_of(y: pd.DataFrame) -> float:
    """Any function of the figures whatever: here one that is far from linear."""
    filled = np.nan_to_num(y.to_numpy(), nan=-1.0)
    return float(np.sum(np.sin(filled) * np.arange(1, filled.size + 1).reshape(filled.shape)))


@settings(max_examples=60, deadline=None)
@given(two_states())
def test_credits_add_up_for_any_forecast_and_stands_are_few(states) -> None:
    before, now = states
    of = news.changes(before, now)
    assert len(of.stands) <= news.MOST_STANDS
    given_ = news.credits(of, lambda stand: value_of(of.figures(stand)))
    assert sum(given_.values()) == pytest.approx(value_of(now) - value_of(before), abs=1e-6)
    assert of.nothing == (not given_)


@settings(max_examples=60, deadline=None)
@given(two_states())
def test_a_stand_holds_exactly_the_steps_that_were_made(states) -> None:
    before, now = states
    of = news.changes(before, now)
    assert of.figures(of.stands[0]) is before
    assert of.nothing or of.figures(of.last) is now
    fresh = news.new_cells(before, now)
    for revised, months in of.stands[1:-1]:
        y = of.figures((revised, months))
        seen = {month for group in of.groups[:months] for month in group}
        for column in y.columns:
            for month in now.index:
                cell = y[column].get(month, np.nan)
                if fresh.at[month, column]:
                    want = now.at[month, column] if month in seen else np.nan
                else:
                    want = (now if revised else before)[column].get(month, np.nan)
                assert cell == want or (np.isnan(cell) and np.isnan(want))


def test_new_months_beyond_the_limit_enter_together_oldest_first() -> None:
    now = figures(30)
    of = news.changes(now.iloc[:-5], now)
    assert [len(group) for group in of.groups] == [3, 1, 1]
    assert [str(group[0]) for group in of.groups] == ["2024-02", "2024-05", "2024-06"]
    assert not of.revised


def test_one_month_and_a_revision_are_averaged_over_their_orders() -> None:
    before, now = figures(30).iloc[:-1], figures(30)
    now.iloc[10, 0] *= 1.1
    of = news.changes(before, now)
    assert of.averaged
    assert len(of.stands) == 4
    value = {(False, 0): 0.0, (True, 0): 1.0, (False, 1): 10.0, (True, 1): 15.0}
    given_ = news.credits(of, value.__getitem__)
    assert given_ == {("revisions", 0): 0.5 * (1 + 5), ("new months", 0): 0.5 * (10 + 14)}


def test_percentiles_count_half_of_what_is_equal() -> None:
    paths = np.array([1.0, 2.0, 2.0, 3.0])
    assert news.percentile(paths, 2.0) == 50.0
    assert news.percentile(paths, 9.0) == 100.0
    assert np.isnan(news.percentile(np.array([np.nan]), 2.0))


def test_the_noise_of_a_median_is_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(0)
    medians = [np.median(rng.normal(0, 1, 400)) for _ in range(400)]
    stated = np.mean([news.median_noise(rng.normal(0, 1, 400)) for _ in range(100)])
    assert stated == pytest.approx(np.std(medians), rel=0.2)


# --- The journey, with a cheap model


@pytest.fixture(scope="module")
def landed() -> news_journey.News:
    now = figures(48)
    now.iloc[-1] *= 1.5
    before = figures(48).iloc[:-1]
    before.iloc[-3, 1] *= 1.05
    return tell(before, now)


def test_the_parts_add_up_for_stored_and_derived_series(landed) -> None:
    assert {story.series for story in landed.stories} == {"trade", "exports", "imports"}
    for story in landed.stories:
        adds_up(story)
        assert [kind for kind, *_ in story.steps] == ["revisions", "new months"]
        assert story.remainder == 0.0


def test_a_month_far_above_its_forecast_stands_high_in_it_and_raises_the_quarter(landed) -> None:
    story = one(landed)
    (month,) = story.landed
    assert str(month.month) == "2025-12"
    assert month.percentile > 95
    assert month.actual > month.forecast
    assert [str(when) for when in story.revised.index] == ["2025-09"]


def test_numbers_are_those_of_the_forecasts_themselves(landed) -> None:
    now = figures(48)
    now.iloc[-1] *= 1.5
    table = workflow.forecast(replace(REQUEST, horizon=3), dataset=dataset(now)).table
    row = table[(table["series"] == "imports") & (table["period"] == "2026Q1")].iloc[0]
    assert one(landed).now == row["q50"]


def test_the_table_says_all_of_it(landed) -> None:
    table = landed.table
    assert tuple(table.columns) == news.NEWS_COLUMNS
    assert set(table["kind"]) == set(news.KINDS)
    for _, rows in table.groupby("series"):
        moved = rows.set_index("kind")["moved"]
        assert moved.drop("is").sum() == pytest.approx(moved["is"], abs=1e-6)
    assert set(table["target"]) == {"2026Q1"}


def test_nothing_new_is_no_news_bit_for_bit() -> None:
    told = tell(figures(), figures())
    assert told.nothing
    assert "Nothing has changed" in told.told[-1]
    for story in told.stories:
        assert story.change == 0.0
        assert story.steps == ()
        assert "is unchanged at" in news.sentence(story)


def test_what_comes_later_moves_no_earlier_credit() -> None:
    before, now = figures(48).iloc[:-2], figures(48)
    before.iloc[-3, 1] *= 1.05
    other = now.copy()
    other.iloc[-1] *= 3.0
    told, canary = tell(before, now), tell(before, other)
    assert not news.changes(before, now).averaged
    for a, b in zip(told.stories, canary.stories, strict=True):
        assert a.steps[:2] == b.steps[:2]
        assert a.steps[2] != b.steps[2]
        assert a.landed[0] == b.landed[0]


def test_a_revision_alone_is_one_step_and_only_that() -> None:
    before = figures(48)
    before.iloc[-2, 1] *= 0.8
    told = tell(before, figures(48))
    story = one(told)
    assert [kind for kind, *_ in story.steps] == ["revisions"]
    assert story.landed == ()
    assert story.change != 0.0
    assert "Nov 2025 was revised by" in news.sentence(story)
    adds_up(story)


def test_a_printed_forecast_leaves_a_remainder_that_is_said(tmp_path) -> None:
    before, now = figures(48).iloc[:-1], figures(48)
    table = workflow.forecast(replace(REQUEST, horizon=4), dataset=dataset(before)).table
    same, moved = tmp_path / "same.csv", tmp_path / "moved.xlsx"
    store.write_table(table, same)
    columns = table.columns[table.columns.str.match(r"q\d|mean")]
    store.write_table(table.assign(**{name: table[name] + 100.0 for name in columns}), moved)
    exact, apart = tell(before, now, previous=same), tell(before, now, previous=moved)
    assert one(exact).remainder == pytest.approx(0.0, abs=1e-6)
    assert one(apart).remainder == pytest.approx(-100.0, abs=1e-6)
    assert one(apart).change == pytest.approx(one(exact).change - 100.0, abs=1e-6)
    adds_up(one(apart))
    assert "not from the figures" in news.sentence(one(apart))


def test_since_a_printed_forecast_is_never_since_a_day_to_come(tmp_path, monkeypatch) -> None:
    before, now = figures(48).iloc[:-1], figures(48)
    path = tmp_path / "then.csv"
    store.write_table(workflow.forecast(replace(REQUEST, horizon=4), dataset=dataset(before)).table, path)
    after = news_journey.vintages.month_after(before.index[-1])
    for today, expected in ((after - timedelta(days=9), after - timedelta(days=9)), (after + timedelta(9), after)):
        monkeypatch.setattr(clock, "today", lambda today=today: today)
        day, _ = news_journey._day(dataset(now), news_journey.Since(previous=path))
        assert day == expected.isoformat()


def test_a_table_that_is_no_forecast_or_ends_too_early_is_refused(tmp_path) -> None:
    before, now = figures(48).iloc[:-1], figures(48)
    short, strange = tmp_path / "short.csv", tmp_path / "strange.csv"
    store.write_table(workflow.forecast(replace(REQUEST, horizon=1), dataset=dataset(before)).table, short)
    strange.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no forecast of 2026Q1"):
        tell(before, now, previous=short)
    with pytest.raises(DataError, match="lacks the column scenario"):
        tell(before, now, previous=strange)
    with pytest.raises(DataError, match="does not exist"):
        tell(before, now, previous=tmp_path / "none.csv")


def test_same_seed_same_news_whatever_the_workers() -> None:
    before, now = figures(48).iloc[:-1], figures(48)
    a, b = tell(before, now), tell(before, now, request={"workers": 2})
    pd.testing.assert_frame_equal(a.table, b.table)


# --- In words


def story(**changed) -> news.Story:
    month = pd.Period("2026-08", "M")
    revised = pd.DataFrame({"before": [50_200.0], "after": [49_800.0]}, index=pd.PeriodIndex(["2026-07"], freq="M"))
    made = news.Story(
        "jp_ru.imports.value", "imports from Russia", "mn_jpy", "2026Q4", 213_000.0, 221_000.0,
        (("revisions", (), -1_000.0), ("new months", (month,), 9_000.0)),
        (news.Landed(month, 65_000.0, 71_000.0, 92.3),), revised, 0.0, 700.0,
    )  # fmt: skip
    return replace(made, **changed)


def test_the_sentence_can_be_pasted() -> None:
    assert news.sentence(story()) == (
        "The Oct–Dec 2026 forecast of imports from Russia rose by 8.0 to 221.0 billion yen: Aug 2026 came in at 71.0"
        " (92nd percentile of the forecast), which moved it by +9.0; Jul 2026 was revised by −0.4; revisions of all"
        " series moved it by −1.0."
    )


def test_a_change_within_the_noise_of_sampling_is_called_so() -> None:
    assert "hardly moved (+8.0 to 221.0 billion yen, within the noise" in news.sentence(story(noise=5_000.0))


@pytest.mark.parametrize(
    ("percent", "said"),
    [(92.3, "92nd"), (11.0, "11th"), (3.0, "3rd"), (1.2, "1st"), (0.2, "under the 1st"), (99.8, "over the 99th")],
)
def test_ordinals(percent: float, said: str) -> None:
    assert news.ordinal(percent) == said


# --- The command


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.csv"
    rows = figures(48).rename_axis("month").reset_index().melt("month", var_name="series")
    rows.assign(month=rows["month"].astype(str)).to_csv(path, index=False)
    return path


def run(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    from forecasting.cli import main

    monkeypatch.setattr("sys.argv", ["tradecast", "news", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out, said.err


def test_the_command_tells_and_writes(own, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "news.parquet"
    words = ("--data", str(own), "--as-of", "2025-11", "--model", "naive", "--paths", "200", "--no-cache", "--workers")
    code, said, err = run(monkeypatch, capsys, *words, "1", "--out", str(out))
    assert code == 0, err
    assert "Since the figures until 2025-11" in said
    assert "Dec 2025 came in at" in said
    assert tuple(pd.read_parquet(out).columns) == news.NEWS_COLUMNS
    code, brief, _ = run(monkeypatch, capsys, *words, "1", "--brief")
    assert code == 0
    assert len(brief.splitlines()) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--as-of", "2025-12"),
        ("--as-of", "2025-11", "--since-day", "2025-11-30"),
        ("--since-day", "2025-11-30"),
        (),
        ("--as-of", "2025-11", "--out", "x.doc"),
        ("--as-of", "2025-11", "bread"),
    ],
)
def test_the_command_refuses_in_one_line(words, own, monkeypatch, capsys) -> None:
    code, _, err = run(monkeypatch, capsys, *words, "--data", str(own), "--model", "naive", "--no-cache")
    assert code == 2
    assert err.startswith("tradecast: ")
    assert len(err.strip().splitlines()) == 1


def test_after_an_update_the_new_month_and_the_revision_are_the_news(tmp_path, monkeypatch, capsys) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("catalogue.csv", "observations.csv", "sources.toml"):
        shutil.copy(store.data_folder() / name, data / name)
    monkeypatch.setenv("TRADECAST_HOME", str(tmp_path))
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 22))
    official = workflow.official()
    exports, imports = "jp_ru.exports.value", "jp_ru.imports.value"
    rows = [(exports, "2026-09", 41_000.0, "provisional"), (imports, "2026-09", 90_000.0, "provisional")]
    rows += [(imports, "2026-07", 50_300.0, "detailed")]
    new = pd.DataFrame(rows, columns=["series", "month", "value", "stage"])
    new = new.assign(
        month=pd.PeriodIndex(new["month"], freq="M"), unit="mn_jpy", std_error=np.nan, source="japan_customs_press",
        published=[date(2026, 10, 20), date(2026, 10, 20), date(2026, 10, 30)], dated="printed", raw="0" * 64,
    )  # fmt: skip
    vintage_store.append(data, new, datetime(2026, 10, 30, 12), official.catalogue, official.carried)
    words = (imports, "--model", "naive", "--paths", "100", "--workers", "1", "--no-cache")
    code, said, err = run(monkeypatch, capsys, *words)
    said = " ".join(said.split())
    assert code == 0, err
    assert "as they stood on 2026-10-19" in said
    assert "Sep 2026 came in at 90.0" in said
    assert "Jul 2026 was revised by +0.5" in said


def test_a_day_after_all_figures_brings_no_news(monkeypatch, capsys) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2100, 1, 1))
    words = ("jp_ru.imports.value", "--model", "naive", "--paths", "100", "--workers", "1", "--no-cache")
    code, said, err = run(monkeypatch, capsys, *words, "--since-day", "2100-01-01")
    assert code == 0, err
    assert "Nothing has changed" in said
    assert "is unchanged at" in said
