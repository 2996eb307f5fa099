"""Pictures of scenarios: whole, the same every time, with the right digits, and honest about what they leave out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting import plot_scenario
from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.forecast import FORECAST_COLUMNS, QUANTILE_COLUMNS, QUANTILES
from forecasting.plot import image, save
from forecasting.plot_scenario import scenario_figure
from forecasting.plot_scenario_rows import row_of, signed
from forecasting.units import Scale

SOURCE = "Source: Trade Statistics of Japan, Ministry of Finance; processed."
NUMBERS = ["mean", *QUANTILE_COLUMNS]
PERIODS = [
    *((str(month), "month", at + 1) for at, month in enumerate(pd.period_range("2026-09", "2027-04", freq="M"))),
    ("2026Q3", "quarter", 1),
    ("2026Q4", "quarter", 2),
    ("2027Q1", "quarter", 3),
    ("FY2026", "fiscal_year", 1),
]
SPREAD = np.interp(QUANTILES, [0, 1], [0.5, 1.6])


def scenario_chart_bytes(*arguments: Any) -> bytes:
    *given, form = arguments
    return image(scenario_figure(*given), form)


def scenario_chart(*arguments: Any) -> None:
    *given, path = arguments
    save(scenario_figure(*given), path)


def names(many: int) -> list[str]:
    return [f"s{at}" for at in range(many)]


def history_of(series: list[str]) -> pd.DataFrame:
    """Invented history (T × n)."""
    index = pd.period_range(end="2026-08", periods=40, freq="M")
    y = 30_000 + 8_000 * np.sin(np.arange(40)[:, None] / 4 + np.arange(len(series)))
    return pd.DataFrame(y, index=index, columns=series)


def block(scenario: str, series: str, values: Mapping[str, np.ndarray], suffix: str = "") -> pd.DataFrame:
    """Rows of one scenario and series; ``values`` (mean and quantiles) by period."""
    rows = [
        (scenario, "theta", "2026-08", series, "mn_jpy", period, kind + suffix, step, 0, *values[period])
        for period, kind, step in PERIODS
    ]
    return pd.DataFrame(rows, columns=list(FORECAST_COLUMNS))


def table_of(shares: Mapping[str, Mapping[str, float]], series: list[str], start: str = "2027-01") -> pd.DataFrame:
    """Baseline and scenarios that take a share (by scenario and series) off every period from the start on."""
    base = {period: 32_000.0 * np.array([1.0, *SPREAD]) for period, _, _ in PERIODS}
    pieces = [block("baseline", one, base) for one in series]
    touched = [period for period, kind, _ in PERIODS if kind != "month" or period >= start]
    touched = [one for one in touched if one not in ("2026Q3", "2026Q4")]
    for scenario, taken in shares.items():
        for one in series:
            lost = {period: taken.get(one, 0.0) * values * (period in touched) for period, values in base.items()}
            pieces.append(block(scenario, one, {period: base[period] - lost[period] for period in base}))
            flipped = {period: np.array([-lost[period][0], *-lost[period][:0:-1]]) for period in base}
            pieces.append(block(scenario, one, flipped, "-difference"))
    return pd.concat(pieces, ignore_index=True)


def catalogue_of(series: list[str], title: str = "Exports") -> Catalogue:
    return Catalogue(tuple(Series(one, f"{title} {one}", "mn_jpy") for one in series))


def drawn(table: pd.DataFrame, series: list[str], form: str = "svg", title: str = "Exports") -> str:
    chart = scenario_chart_bytes(history_of(series), None, table, catalogue_of(series, title), SOURCE, form)
    return chart.decode("utf-8", "replace")


def test_same_bytes_twice_and_in_the_file(tmp_path: Path) -> None:
    series = names(2)
    table = table_of({"car ban": {"s0": 0.4}}, series)
    arguments = (history_of(series), None, table, catalogue_of(series), SOURCE)
    for form, opening in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        scenario_chart(*arguments, tmp_path / f"a.{form}")
        written = (tmp_path / f"a.{form}").read_bytes()
        assert written == scenario_chart_bytes(*arguments, form)
        assert written.startswith(opening)


@pytest.mark.parametrize(("many", "scenarios"), [(1, 6), (3, 4), (7, 2), (17, 1)])
def test_any_number_of_series_and_scenarios(many: int, scenarios: int) -> None:
    series = names(many)
    wanted = [f"scenario {at}" for at in range(scenarios)]
    svg = drawn(table_of({one: dict.fromkeys(series, 0.1 + 0.1 * at) for at, one in enumerate(wanted)}, series), series)
    ElementTree.fromstring(svg)
    assert sum(f"<!-- Exports {one} -->" in svg for one in series) == min(many, 7)
    assert all(f"<!-- {one} -->" in svg for one in wanted)
    assert "assumptions come true, not a forecast that they will. Published data until August 2026; model: theta" in svg
    assert f"<!-- {SOURCE} -->" in svg


def test_the_digits_are_those_of_the_table() -> None:
    series = names(1)
    table = table_of({"car ban": {"s0": 0.5}}, series)
    quarter = (table["period"] == "2027Q1") & (table["kind"] == "quarter-difference")
    table.loc[quarter, ["q10", "q50", "q90"]] = [-34_100.0, -27_300.0, 20_900.0]
    year = (table["period"] == "FY2026") & (table["kind"] == "fiscal_year-difference")
    table.loc[year, ["q10", "q50", "q90"]] = [-41.0, 12.0, 63.0]
    svg = drawn(table, series)
    assert "<!-- difference of totals, billion yen (80 % interval) -->" in svg
    assert "<!-- Jan–Mar 2027 -->" in svg
    assert "<!-- −27.3 (−34.1 to +20.9) -->" in svg
    assert "<!-- +0.01 (−0.04 to +0.06) -->" in svg  # small, and yet not nothing
    assert "FY2026 is April 2026 to March 2027." in svg
    middle = 32.0 * SPREAD[QUANTILES.index(0.5)]
    assert f"Jan–Mar 2027: {0.5 * middle:.1f} billion yen (80 %: " in svg
    assert f" instead of {middle:.1f} -->" in svg


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_those_that_change_most_are_drawn_and_the_others_named(seed: int) -> None:
    series = names(17)
    rng = np.random.default_rng(seed)
    shares = dict(zip(series, rng.permutation(17) * 0.05, strict=True))  # one of them zero
    table = table_of({"mild": dict.fromkeys(series[:1], 0.001), "strong": shares}, series)
    svg = drawn(table, series)
    # Every series has the same spread here, so that the largest share is the largest change.
    strongest = sorted(series, key=lambda one: shares[one])[-7:]
    assert {one for one in series if f"<!-- Exports {one} -->" in svg} == set(strongest)
    still = [one for one in series if shares[one] == 0 and one != "s0"]
    assert ("Unchanged (1): Exports" in svg) == bool(still)
    assert f"Not drawn, because they change less beside their own spread ({10 - len(still)}): " in svg


def test_few_series_stay_even_if_one_is_unchanged() -> None:
    series = names(3)
    svg = drawn(table_of({"car ban": {"s0": 0.4}}, series), series)
    assert svg.count("<!-- unchanged -->") == 2
    assert "Unchanged (" not in svg
    nothing = drawn(table_of({"status quo": {}}, series), series)
    assert nothing.count("<!-- unchanged -->") == 3
    assert "first month that changes" in svg
    assert "first month that changes" not in nothing


@pytest.mark.parametrize("start", ["2026-09", "2026-12", "2027-04"])
def test_the_line_stands_before_the_first_month_that_changes(start: str) -> None:
    series = names(1)
    both = {"car ban": {"s0": 0.4}, "status quo": {}, "wide ban": {"s0": 0.6}}
    for shares, hue in (({"car ban": {"s0": 0.4}}, plot_scenario.HUES[0]), (both, plot_scenario.GREY)):
        table = table_of(shares, series, start)
        tiny = table["kind"].eq("month-difference") & table["period"].lt(start)
        table.loc[tiny, NUMBERS] += 1e-7  # rounding is no change
        row = row_of("s0", history_of(series), None, table, list(shares), catalogue_of(series))
        assert plot_scenario._starts(row) == {pd.Period(start, "M").ordinal: hue}


def test_more_than_six_scenarios_are_named_not_drawn() -> None:
    series = names(1)
    svg = drawn(table_of({f"scenario {at}": {"s0": 0.1} for at in range(8)}, series), series)
    assert "<!-- scenario 5 -->" in svg
    assert "<!-- scenario 6 -->" not in svg
    assert "<!-- Scenarios not drawn (2): scenario 6; scenario 7. -->" in svg


@pytest.mark.parametrize("title", ["$10 & <b>50 %</b> of $x_1^2$", "ends --> -- \x00\n there", "輸出" * 80, ""])
def test_titles_and_names_are_only_text(title: str) -> None:
    series = names(1)
    ElementTree.fromstring(drawn(table_of({title or "?": {"s0": 0.4}}, series), series, title=title))


@pytest.mark.parametrize("factor", [0.0, -1.0, 1e-9, 1e9])
def test_awkward_numbers(factor: float) -> None:
    series = names(2)
    table = table_of({"car ban": {"s0": 0.4, "s1": 1.0}}, series)
    table[NUMBERS] *= factor
    assert drawn(table, series, "png")


def test_holes_growth_and_short_horizons() -> None:
    series = names(2)
    table = table_of({"car ban": {"s0": 0.4, "s1": 0.4}}, series)
    growth = table.assign(unit="pct_yoy", **dict.fromkeys(NUMBERS, 77.0))
    assert drawn(pd.concat([table, growth]), series) == drawn(table, series)
    holes = table.copy()
    holes.loc[holes["period"].isin(["2027-02", "2027Q1"]) & (holes["scenario"] == "car ban"), NUMBERS] = math.nan
    assert drawn(holes, series, "png") != drawn(table, series, "png")
    short = table[table["period"].isin(["2026-09", "2026-10", "2027-01"])]
    assert "<!-- no quarter that changes ends in the months shown -->" in drawn(short, series)
    assert "<!-- Jan 2027 -->" in drawn(short, series)
    unknown = history_of(series)[[]]
    assert scenario_chart_bytes(unknown, None, table, Catalogue(()), SOURCE, "png")


@given(st.floats(-1e7, 1e7), st.integers(0, 4), st.sampled_from([1.0, 1e-3]))
def test_a_signed_number_reads_back(value: float, decimals: int, factor: float) -> None:
    text = signed(Scale(factor, "yen", decimals), value)
    read = float(text.replace("−", "-").replace(",", ""))
    assert read == pytest.approx(value * factor, abs=0.5001 * 10.0**-decimals)
    assert text[0] == ("+" if read > 0 else "−" if read < 0 else "0")


def test_refusals(tmp_path: Path) -> None:
    series = names(1)
    table = table_of({"car ban": {"s0": 0.4}}, series)
    rest = (catalogue_of(series), SOURCE)
    with pytest.raises(DataError, match=r"use \.png or \.svg"):
        scenario_chart(history_of(series), None, table, *rest, tmp_path / "a.pdf")
    lacking = (table[table["scenario"] == "baseline"], table.iloc[:0], table[~table["kind"].str.contains("-")])
    for one in lacking:
        with pytest.raises(DataError, match="run a scenario first"):
            scenario_chart_bytes(history_of(series), None, one, *rest, "png")
