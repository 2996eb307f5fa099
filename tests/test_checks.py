"""What is planted is found, what is clean is not accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.checks import FINDING_COLUMNS, SEVERITIES, check_observations
from forecasting.observations import wide

DATA = Path(__file__).parent.parent / "data"
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def _catalogue() -> Catalogue:
    return Catalogue.from_table(pd.read_csv(DATA / "catalogue.csv", dtype=str))


def _observations() -> pd.DataFrame:
    return pd.read_csv(DATA / "observations.csv")


CATALOGUE, OBSERVATIONS = _catalogue(), _observations()
RUSSIA = OBSERVATIONS[OBSERVATIONS["series"].str.startswith("jp_ru")].reset_index(drop=True)
LEAST = OBSERVATIONS.groupby("series")["value"].transform("min")
POSITIVE = OBSERVATIONS.index[LEAST > 0]


def _changed(at: int, **cells: object) -> pd.DataFrame:
    """The Russian tables with some cells of one row changed."""
    return pd.DataFrame([*RUSSIA.drop(index=at).to_dict("records"), RUSSIA.loc[at].to_dict() | cells])


def _errors(rows: pd.DataFrame, catalogue: Catalogue = CATALOGUE) -> pd.DataFrame:
    found = check_observations(rows, catalogue)
    return found[found["severity"] == "error"]


def _hits(found: pd.DataFrame, check: str, row: pd.Series) -> pd.DataFrame:
    same = (found["series"] == row["series"]) & (found["month"] == str(row["month"]))
    return found[same & (found["check"] == check)]


@pytest.fixture(scope="module")
def embedded() -> pd.DataFrame:
    return check_observations(OBSERVATIONS, CATALOGUE)


def test_the_embedded_figures_hold_no_error(embedded):
    assert list(embedded.columns) == list(FINDING_COLUMNS)
    assert embedded[embedded["severity"] == "error"].empty, embedded.to_string()


def test_the_embedded_warnings_are_true(embedded):
    y = wide(OBSERVATIONS.assign(month=pd.PeriodIndex(OBSERVATIONS["month"], freq="M")))
    warnings = embedded[embedded["severity"] == "warning"]
    assert set(warnings["check"]) == {"hole", "price"}
    for row in warnings[warnings["check"] == "hole"].itertuples():
        assert np.isnan(y.at[pd.Period(row.month, "M"), row.series])
    # Iron and steel from Russia are small lots of changing kinds; crude oil was cheap in the spring of 2020.
    prices = warnings[warnings["check"] == "price"]
    steel, crude = (prices["series"].str.contains(name) for name in ("iron_steel", "crude"))
    assert set(prices["month"][steel]) == {"2025-09", "2026-01", "2026-02"}
    assert set(prices["month"][crude]) == {"2020-05", "2020-06"}
    assert (steel | crude).all()


def test_the_order_is_by_severity(embedded):
    ranks = embedded["severity"].map(SEVERITIES.index)
    assert ranks.is_monotonic_increasing


def test_months_as_periods_and_as_text_give_the_same(embedded):
    periods = RUSSIA.assign(month=pd.PeriodIndex(RUSSIA["month"], freq="M"))
    pd.testing.assert_frame_equal(check_observations(periods, CATALOGUE), check_observations(RUSSIA, CATALOGUE))


@SLOW
@given(at=st.sampled_from(list(POSITIVE)), factor=st.sampled_from([1000.0, 0.001]))
def test_a_thousandfold_slip_in_any_positive_series_is_found(at, factor):
    row = OBSERVATIONS.loc[at]
    area = OBSERVATIONS["series"].str.startswith(row["series"].split(".")[0])
    rows = OBSERVATIONS.assign(value=OBSERVATIONS["value"].where(OBSERVATIONS.index != at, row["value"] * factor))
    assert not _hits(check_observations(rows[area], CATALOGUE), "slip", row).empty, row.to_dict()


@SLOW
@given(picked=st.lists(st.sampled_from(list(RUSSIA.index)), min_size=1, max_size=5, unique=True))
def test_duplicates_are_found(picked):
    rows = pd.concat([RUSSIA, RUSSIA.loc[picked].assign(value=1.0)])
    found = _errors(rows)
    assert all(len(_hits(found, "duplicate", RUSSIA.loc[at])) == 1 for at in picked)
    assert (found["check"] == "duplicate").sum() == len(picked)


@SLOW
@given(seed=st.integers(0, 10_000), sigma=st.floats(0.01, 0.3), months=st.integers(24, 120))
def test_clean_invented_panels_give_no_error(seed, sigma, months):
    rows, catalogue = _invented(seed, sigma, months)
    assert _errors(rows, catalogue).empty


@SLOW
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([1000.0, 0.001]), data=st.data())
def test_a_slip_in_an_invented_panel_is_an_error(seed, factor, data):
    rows, catalogue = _invented(seed, 0.2, 60)
    at = data.draw(st.sampled_from(list(rows.index)))
    row = rows.loc[at]
    slipped = rows.assign(value=rows["value"].where(rows.index != at, row["value"] * factor))
    assert not _hits(_errors(slipped, catalogue), "slip", row).empty


def _invented(seed: int, sigma: float, months: int) -> tuple[pd.DataFrame, Catalogue]:
    """A whole of two parts, printed in whole units, with a quantity for one of the parts."""
    rng = np.random.default_rng(seed)
    index = pd.period_range("2015-01", periods=months, freq="M")
    walk = np.cumsum(rng.normal(0, 0.05, (months, 2)), axis=0)
    parts = 20_000 * np.exp(walk + rng.normal(0, sigma, (months, 2)))
    columns = {
        "a.value": parts[:, 0],
        "b.value": parts[:, 1],
        "a.quantity": parts[:, 0] / 2,
        "all.value": parts.sum(axis=1),
    }
    tables = [
        pd.DataFrame({"series": name, "month": index.astype(str), "value": np.round(values)})
        for name, values in columns.items()
    ]
    units = {name: "t" if name == "a.quantity" else "mn_jpy" for name in columns}
    rows = pd.concat(tables, ignore_index=True).assign(stage="latest", std_error=np.nan, source="")
    rows["unit"] = rows["series"].map(units)
    entries = [
        Series(name, name, units[name], parent="all.value" if name in ("a.value", "b.value") else "")
        for name in columns
    ]
    price = Series("a.unit_price", "a", "mn_jpy/t", formula="ratio", terms=("a.value", "a.quantity"))
    return rows, Catalogue((*entries, price))


@pytest.mark.parametrize(
    ("cells", "check"),
    [
        ({"value": -5.0}, "negative"),
        ({"value": "n.a."}, "number"),
        ({"value": None}, "number"),
        ({"value": float("inf")}, "finite"),
        ({"month": "2024-13"}, "month"),
        ({"month": "Aug 2024"}, "month"),
        ({"stage": "preliminary"}, "stage"),
        ({"unit": "bn_jpy"}, "unit"),
        ({"std_error": -1.0}, "std_error"),
        ({"series": "jp_ru.exports.carz.value"}, "catalogue"),
        ({"series": "jp_ru.trade.value"}, "catalogue"),
    ],
)
def test_one_bad_cell_is_found_and_says_what_to_do(cells, check):
    at = RUSSIA.index[(RUSSIA["series"] == "jp_ru.exports.others.value") & (RUSSIA["month"] == "2025-08")][0]
    found = _errors(_changed(at, **cells))
    hit = found[found["check"] == check]
    assert len(hit) == 1, found.to_string()
    assert hit["advice"].iloc[0]


def test_a_fraction_of_a_car_is_found_unless_it_is_implied():
    cars = RUSSIA["series"] == "jp_ru.exports.transport.motor_vehicles.cars.quantity"
    at = RUSSIA.index[cars & (RUSSIA["month"] == "2025-08")][0]
    found = _errors(_changed(at, value=RUSSIA.loc[at, "value"] + 0.5))
    assert list(found["check"]) == ["fraction"]
    assert (RUSSIA.loc[cars & (RUSSIA["stage"] == "implied"), "value"] % 1 > 0).any()


def test_a_missing_column_is_one_finding():
    found = check_observations(RUSSIA.drop(columns="stage"), CATALOGUE)
    assert list(found["check"]) == ["schema"]


def test_a_hole_is_found():
    lng = (RUSSIA["series"] == "jp_ru.imports.mineral_fuels.lng.value") & (RUSSIA["month"] == "2025-02")
    found = check_observations(RUSSIA[~lng], CATALOGUE)
    assert len(_hits(found, "hole", RUSSIA[lng].iloc[0])) == 1


def test_parts_that_exceed_their_parent_and_parts_that_fall_short_are_found():
    cars = "jp_ru.exports.transport.motor_vehicles.cars.value"
    at = RUSSIA.index[(RUSSIA["series"] == cars) & (RUSSIA["month"] == "2025-08")][0]
    for step in (60.0, -60.0):
        found = _errors(_changed(at, value=RUSSIA.loc[at, "value"] + step))
        assert list(found["check"].unique()) == ["identity"]
        assert found["series"].iloc[0] == "jp_ru.exports.transport.motor_vehicles.value"


def test_a_real_jump_from_zero_is_not_accused(embedded):
    crude = "jp_ru.imports.mineral_fuels.crude.value"
    assert (RUSSIA.loc[RUSSIA["series"] == crude, "value"] > 10_000).any()
    assert embedded[embedded["series"] == crude].empty


def test_an_empty_table_is_no_traceback():
    assert set(check_observations(RUSSIA.iloc[:0], CATALOGUE)["severity"]) <= {"note"}


def test_the_documents_show_the_computed_counts(embedded):
    words = (DATA.parent / "docs" / "data.md").read_text(encoding="utf-8")
    counts = embedded.groupby(["severity", "check"]).size()
    assert "| error | any | 0 |" in words
    for (severity, check), count in counts.items():
        assert f"| {severity} | {check} | {count} |" in words
    derived = sum(one.derived for one in CATALOGUE.values())
    assert f"{len(CATALOGUE) - derived} stored series up to 2026-08, and {derived} derived ones" in words
