"""The main job from end to end on a small project of its own, with cheap models; and its command line."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import invented

from forecasting import store, workflow
from forecasting.cli import main
from forecasting.covariates import with_covariates
from forecasting.errors import CatalogueError, DataError
from forecasting.forecast import FORECAST_COLUMNS, QUANTILE_COLUMNS

CHEAP = {"model": "theta", "paths": 300, "cache": False}
TRADE, EXPORTS, IMPORTS = "jp_ru.trade.value", "jp_ru.exports.value", "jp_ru.imports.value"


def forecast(*series: str, **options) -> workflow.Outlook:
    return workflow.forecast(workflow.Request(series, **(CHEAP | options)))


@pytest.fixture(scope="module")
def headline() -> workflow.Outlook:
    return forecast()


@pytest.fixture
def own_file(tmp_path):
    y = invented(series=2, months=50).y
    long = (
        y.rename_axis("month")
        .reset_index()
        .melt("month", var_name="series")
        .assign(month=lambda t: t["month"].astype(str))
    )
    path = tmp_path / "mine.csv"
    long.to_csv(path, index=False)
    return path


def test_the_table_has_exactly_its_columns_and_periods(headline) -> None:
    table = headline.table
    assert tuple(table.columns) == FORECAST_COLUMNS
    assert list(dict.fromkeys(table["period"])) == ["2026-09", "2026-10", "2026-11", "2026-12", "2026Q3", "2026Q4"]
    assert set(table["kind"]) == {"month", "quarter"}
    assert table["series"].nunique() == 17
    quarter = table[table["period"] == "2026Q3"]
    assert (quarter["observed_months"] == 2).all()
    assert (np.diff(table[list(QUANTILE_COLUMNS)].to_numpy(), axis=1) >= 0).all()
    assert (table["q025"] >= 0).all()


def test_exports_plus_imports_are_trade_on_every_path(headline) -> None:
    made = headline.forecast
    np.testing.assert_allclose(made.column(TRADE), made.column(EXPORTS) + made.column(IMPORTS), rtol=1e-9)
    parts = [
        one
        for one in made.series
        if one.startswith("jp_ru.exports.") and one.endswith(("value", "core")) and one != EXPORTS
    ]
    assert (made.column(EXPORTS) >= sum(made.column(one) for one in parts if not one.endswith("core")) - 1e-6).all()


def test_a_quarter_total_is_the_total_of_its_months_on_every_path(headline) -> None:
    month, quarter = headline.totals["month"], headline.totals["quarter"]
    at = headline.series.index(EXPORTS)
    published = headline.history.loc["2026-07":"2026-08", EXPORTS].sum()
    np.testing.assert_allclose(quarter.paths[:, 0, at], published + month.paths[:, 0, at])
    np.testing.assert_allclose(quarter.paths[:, 1, at], month.paths[:, 1:4, at].sum(axis=1))


def test_numbers_do_not_depend_on_what_else_is_shown(headline) -> None:
    alone = forecast(IMPORTS).table
    both = headline.table[headline.table["series"] == IMPORTS].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, both)


def test_workers_do_not_change_a_bit(headline) -> None:
    two = forecast(workers=2)
    assert two.forecast.paths.tobytes() == headline.forecast.paths.tobytes()


def test_deeper_series_leave_the_headline_alone_and_add_up(headline) -> None:
    made = forecast("jp_ru.exports*value")
    for series in (EXPORTS, "jp_ru.exports.transport.car_parts.value"):
        np.testing.assert_array_equal(made.forecast.column(series), headline.forecast.column(series))
    of = made.totals["month"]
    column = {one: of.paths[:, :, at] for at, one in enumerate(of.series)}
    listed = made.dataset.catalogue.children(EXPORTS)
    total = sum(column[one] for one in listed) + column["jp_ru.exports.rest.value"]
    np.testing.assert_allclose(column[EXPORTS], total, rtol=1e-9)
    vehicles = "jp_ru.exports.transport.motor_vehicles"
    assert (column[f"{vehicles}.value"] >= column[f"{vehicles}.cars.value"] - 1e-6).all()


def test_a_unit_price_is_value_over_quantity_path_by_path(headline) -> None:
    stem = "jp_ru.imports.mineral_fuels.lng"
    price = forecast(f"{stem}.unit_price")
    value, quantity = (
        headline.totals["quarter"].paths[:, 1, headline.series.index(f"{stem}.{one}")] for one in ("value", "quantity")
    )
    row = price.table.query("period == '2026Q4'").iloc[0]
    assert row["q50"] == pytest.approx(np.median(value / quantity), rel=1e-12)


def test_as_of_hides_everything_after(headline) -> None:
    past = forecast(as_of="2026-05")
    assert set(past.table["cutoff"]) == {"2026-05"}
    assert past.history.index[-1] == pd.Period("2026-05")
    assert list(dict.fromkeys(past.table.query("kind == 'quarter'")["period"])) == ["2026Q2", "2026Q3"]
    assert past.vintage != headline.vintage


def test_series_too_short_then_are_left_out_and_said() -> None:
    past = forecast(as_of="2024-03")
    assert TRADE in past.series
    assert not [one for one in past.series if "jp_ru" in one and "cars" in one]
    assert any("Left out" in one and "cars" in one for one in past.remarks)
    with pytest.raises(DataError, match=r"sarima needs 24 months of jp_ru.*cars\.value; 20 are known up to 2024-12"):
        forecast("jp_ru.exports.transport.motor_vehicles.cars.value", as_of="2024-12", model="sarima")


def test_a_series_that_ended_years_ago_is_left_out_and_said(own_file) -> None:
    whole = pd.read_csv(own_file)
    cut = whole["month"].isin(sorted(whole["month"].unique())[-37:]) & (whole["series"] == "s1")
    whole[~cut].to_csv(own_file, index=False)
    made = forecast(data=own_file, model="seasonal_naive")
    assert made.series == ("s0",)
    assert any("end more than 36 months before the data do" in one and "s1" in one for one in made.remarks)
    with pytest.raises(DataError, match=r"s1 ends in .* forecast it from a file of its own"):
        forecast("s1", data=own_file, model="seasonal_naive")


def test_growth_rows_come_from_the_same_paths() -> None:
    made = forecast(EXPORTS, growth=True)
    level = made.table.query("unit == 'mn_jpy' and period == '2026Q4'").iloc[0]
    rate = made.table.query("unit == 'pct_yoy' and period == '2026Q4'").iloc[0]
    year_ago = made.history.loc["2025-10":"2025-12", EXPORTS].sum()
    assert rate["q50"] == pytest.approx(100 * (level["q50"] / year_ago - 1))


def test_fiscal_year_appears_once_the_horizon_reaches_march() -> None:
    table = forecast(EXPORTS, horizon=7).table
    row = table[table["kind"] == "fiscal_year"].iloc[0]
    assert (row["period"], row["observed_months"]) == ("FY2026", 5)


def test_a_users_own_file(own_file) -> None:
    made = forecast(data=own_file)
    assert set(made.table["series"]) == {"s0", "s1"}
    assert made.source_line == "Source: mine.csv, as given."
    assert set(made.table["unit"]) == {"as given"}


def test_a_longer_copy_of_the_official_figures_keeps_its_meaning(tmp_path, headline) -> None:
    rows = store.read_stored_observations(store.data_folder())
    path = tmp_path / "mine.csv"
    rows.assign(month=rows["month"].astype(str)).to_csv(path, index=False)
    made = forecast(data=path)
    pd.testing.assert_frame_equal(made.table, headline.table)


@pytest.mark.parametrize("gap", [0, 1, 240])
def test_a_series_that_ends_before_another_begins_is_answered_in_a_line(tmp_path, gap: int) -> None:
    late = pd.period_range("2020-01", periods=30, freq="M")
    months = {"a": late - 30 - gap, "b": late}
    rows = [{"series": one, "month": month, "value": 10 + month.month} for one, of in months.items() for month in of]
    pd.DataFrame(rows).to_csv(tmp_path / "own.csv", index=False)
    request = workflow.Request(data=tmp_path / "own.csv", model="seasonal_naive", paths=100, cache=False)
    if gap == 1:
        with pytest.raises(DataError, match=f"a ends in {late[0] - 1 - gap}, before b begins in 2020-01"):
            workflow.forecast(request)
        return
    made = workflow.forecast(request)
    assert set(made.table["series"]) == ({"b"} if gap else {"a", "b"})
    assert any("a." in one and "end more than 36 months before" in one for one in made.remarks) == bool(gap)


def test_the_cache_gives_the_same_and_damage_is_computed_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TRADECAST_CACHE", str(tmp_path))
    first, second = (forecast(EXPORTS, cache=True) for _ in range(2))
    assert (first.cached, second.cached) == (False, True)
    pd.testing.assert_frame_equal(first.table, second.table)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-100] + b"x" * 100)
    third = forecast(EXPORTS, cache=True)
    assert not third.cached
    pd.testing.assert_frame_equal(first.table, third.table)


def test_covariates_are_required_or_assumed_and_said(own_file, tmp_path) -> None:
    months = pd.period_range("2022-01", "2026-10", freq="M")
    path = tmp_path / "yen.csv"
    pd.DataFrame({"month": months.astype(str), "usdjpy": np.linspace(110, 150, len(months))}).to_csv(path, index=False)
    options = {"data": own_file, "covariates": path, "model": "sarima"}
    with pytest.raises(DataError, match=r"usdjpy ends in 2026-10; the forecast needs it until 2026-12"):
        forecast(**options)
    held = forecast(**options, hold_covariates=True)
    assert any("assumed to stay at its value of 2026-10" in one for one in held.remarks)
    assert any("taken as given" in one for one in forecast(**options, horizon=2).remarks)
    with pytest.raises(DataError, match="theta uses no covariates"):
        forecast(**options | {"model": "theta"})


def test_working_days_are_a_covariate_known_in_advance(own_file) -> None:
    with_days = forecast(data=own_file, model="sarima", working_days=True)
    without = forecast(data=own_file, model="sarima")
    assert not with_days.table["q50"].equals(without.table["q50"])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"series": ("jp_ru.exports.cars",)},
            CatalogueError,
            "No series matches 'jp_ru.exports.cars'. Nearest: jp_ru.exports",
        ),
        ({"as_of": "2027-01"}, DataError, "lies after the last published month, 2026-08"),
        ({"as_of": "May"}, DataError, "is not a month"),
        ({"as_of": "1950-01"}, DataError, "Nothing is known"),
        ({"horizon": 0}, DataError, "give 1 to 60"),
        ({"horizon": 61}, DataError, "give 1 to 60"),
    ],
)
def test_mistakes_are_answered(options, error, words) -> None:
    series = options.pop("series", ())
    with pytest.raises(error, match=words):
        forecast(*series, **options)


def command(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tradecast", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


def test_out_dash_is_csv_and_nothing_else(monkeypatch, capsys) -> None:
    code, out, _ = command(
        monkeypatch, capsys, "forecast", EXPORTS, "--model", "seasonal_naive", "--paths", "200", "--out", "-"
    )
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == ",".join(FORECAST_COLUMNS)
    assert len(lines) == 7


@pytest.mark.parametrize("ending", ["csv", "json", "parquet", "xlsx"])
def test_out_by_its_ending(monkeypatch, capsys, tmp_path, ending: str) -> None:
    path = tmp_path / f"f.{ending}"
    words = ("forecast", EXPORTS, "--model", "seasonal_naive", "--paths", "200", "--out", str(path))
    code, out, err = command(monkeypatch, capsys, *words)
    assert (code, "Written" in err, "Jul–Sep 2026" in out) == (0, True, True)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "xlsx": pd.read_excel}.get(ending)
    table = read(path) if read else pd.DataFrame(json.loads(path.read_text()))
    assert list(table.columns) == list(FORECAST_COLUMNS)
    assert list(table["period"])[-1] == "2026Q4"


@pytest.mark.parametrize(
    "words",
    [
        ("forecast", "--horizn", "3"),
        ("forecast", "nothing.like.this"),
        ("forecast", "--out", "table.doc"),
        ("forecast", "--out", "no/such/folder/table.csv"),
        ("forecast", "--plot", "chart.gif"),
        ("forecast", "--coverage", "81"),
        ("forecast", "--paths", "5"),
        ("forecast", "--model", "magic"),
        ("forecast", "--data", "missing.csv"),
        ("nonsense",),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path, words) -> None:
    monkeypatch.setenv("TRADECAST_HOME", str(store.data_folder().parent))
    monkeypatch.chdir(tmp_path)
    code, out, err = command(monkeypatch, capsys, *words)
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("tradecast: ")
    assert list(tmp_path.iterdir()) == []


def test_explain_says_what_was_chosen(monkeypatch, capsys, own_file) -> None:
    words = ("forecast", "--data", str(own_file), "--model", "sarima", "--paths", "200", "--explain", "--no-cache")
    code, out, _ = command(monkeypatch, capsys, *words)
    assert code == 0
    assert "SARIMA(" in out
    assert "ljung box p" in out


def with_unit(tmp_path, unit: str, series: str = EXPORTS):
    path = tmp_path / "mine.csv"
    rows = "".join(f"{series},2024-{at:02},{at}000,{unit},5\n" for at in range(1, 13))
    path.write_text("series,month,value,unit,std_error\n" + rows)
    return path


@pytest.mark.parametrize(("unit", "factor"), [("bn_jpy", 1e3), ("mn_jpy", 1.0), ("thousand_jpy", 1e-3), ("", 1.0)])
def test_a_stated_unit_is_turned_into_that_of_the_catalogue(tmp_path, unit, factor):
    dataset = workflow.load(with_unit(tmp_path, unit))
    rows = dataset.observations
    assert rows["value"].tolist() == pytest.approx([factor * 1000 * at for at in range(1, 13)])
    assert rows["std_error"].tolist() == pytest.approx([5 * factor] * 12)
    assert set(rows["unit"]) == {"mn_jpy"}
    assert any("converted from" in line for line in dataset.remarks) == (factor != 1.0)
    assert dataset.panel.y[EXPORTS].iloc[-1] == pytest.approx(12_000 * factor)


@pytest.mark.parametrize("unit", ["kg", "mn_usd", "million yen", "%"])
def test_a_stated_unit_that_the_catalogue_cannot_have_is_refused(tmp_path, unit):
    with pytest.raises(DataError, match=f"mine.csv: {EXPORTS} is in {unit}, but the catalogue has it in mn_jpy"):
        workflow.load(with_unit(tmp_path, unit))
    assert set(workflow.load(with_unit(tmp_path, unit, "my exports")).observations["unit"]) == {unit}


@pytest.mark.parametrize("month", ["0000-01", "9999-99", "٢٠٢٤-05"])
def test_as_of_what_is_no_month(month):
    with pytest.raises(DataError, match="is not a month: write it as 2026-05"):
        workflow.as_of(invented(), month)


def test_a_covariate_that_ends_before_the_data_begin_is_refused():
    months = pd.period_range("2001-01", "2001-12", freq="M")
    table = pd.DataFrame({"rate": range(1, 13)}, index=months)
    with pytest.raises(DataError, match=r"Covariate rate of x\.csv ends before .*extend x.csv"):
        with_covariates(invented(), table, pd.Period("2026-12", "M"), True, "x.csv")
