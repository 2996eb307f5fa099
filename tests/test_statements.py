"""What a person states becomes exact rows over the cube, and what is no statement becomes one clear line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError, ForecastingError
from forecasting.forecast import Forecast
from forecasting.statements import Statement, needed_last_month, needed_series, parse, rows

CATALOGUE = Catalogue(
    (
        Series("trade", "Trade", "mn_jpy", formula="sum", terms=("exports", "imports")),
        Series("balance", "Balance", "mn_jpy", formula="difference", terms=("exports", "imports")),
        Series("exports", "Exports", "mn_jpy"),
        Series("imports", "Imports", "mn_jpy"),
        Series("cars", "Cars", "mn_jpy", parent="exports"),
        Series("cars.quantity", "Cars, number", "units"),
        Series("cars.unit_price", "Car price", "mn_jpy/units", formula="ratio", terms=("cars", "cars.quantity")),
        Series("rest", "Other exports", "mn_jpy", formula="rest", terms=("exports",)),
        Series("coal", "Coal", "tonnes"),
        Series("gas", "Gas", "kilotonnes"),
        Series("fuel other", "Fuel, others", "tonnes", formula="difference", terms=("coal", "gas")),
        Series("two-way trade", "An id with blanks and signs", "mn_jpy"),
    )
)
STORED = ("exports", "imports", "cars", "cars.quantity", "coal", "gas", "two-way trade")
MONTHS = pd.period_range("2026-09", periods=16, freq="M")
PAST = pd.period_range("2024-01", "2026-09", freq="M")


def cube(seed: int = 0, paths: int = 50) -> Forecast:
    """Months after 2026-08; exports are published a month longer."""
    made = 100.0 * np.exp(np.random.default_rng(seed).normal(0, 0.2, (paths, len(MONTHS), len(STORED))))
    made[:, 0, 0] = HISTORY.loc[pd.Period("2026-09", "M"), "exports"]
    cutoff = tuple(pd.Period("2026-09" if one == "exports" else "2026-08", "M") for one in STORED)
    return Forecast(made, MONTHS, STORED, cutoff, "m")


def _history() -> pd.DataFrame:
    values = 80.0 + np.arange(len(PAST) * len(STORED)).reshape(len(PAST), -1) % 41
    table = pd.DataFrame(values, index=PAST, columns=list(STORED))
    table.loc["2026-09", list(STORED[1:])] = np.nan
    return table


HISTORY = _history()


def whole(forecast: Forecast, series: str, first: str, last: str) -> np.ndarray:
    """Slow and obvious: published months plus the paths (P)."""
    total = np.zeros(len(forecast.paths))
    for month in pd.period_range(first, last, freq="M"):
        if month <= forecast.cutoff[forecast.series.index(series)]:
            total += HISTORY.loc[month, series]
        else:
            total += forecast.column(series)[:, list(MONTHS).index(month)]
    return total


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("2026-11", "2026-11", "2026-11"),
        ("2026Q4", "2026-10", "2026-12"),
        ("2026-q4", "2026-10", "2026-12"),
        ("FY2026", "2026-04", "2027-03"),
        ("CY2027", "2027-01", "2027-12"),
        ("2027", "2027-01", "2027-12"),
        ("2026-10..2027-03", "2026-10", "2027-03"),
        ("2026Q4 .. 2027Q1", "2026-10", "2027-03"),
    ],
)
def test_periods(period: str, first: str, last: str) -> None:
    made = parse(f"coal {period} = 1", CATALOGUE)
    assert (str(made.first), str(made.last)) == (first, last)


@pytest.mark.parametrize(
    ("number", "value", "sd"),
    [
        ("4500", 4500.0, 0.0),
        ("4,500", 4500.0, 0.0),
        ("1 234 567.5", 1234567.5, 0.0),
        ("−20", -20.0, 0.0),
        ("4.5e3 ± 200", 4500.0, 200.0),
        ("4500+-200", 4500.0, 200.0),
        ("4500 +/- 1,200.5", 4500.0, 1200.5),
        ("  4500   ±   0 ", 4500.0, 0.0),
    ],
)
def test_numbers(number: str, value: float, sd: float) -> None:
    made = parse(f"  coal\t2026Q4={number}", CATALOGUE)
    assert (made.value, made.sd, made.relation) == (value, sd, "=")


def test_relations() -> None:
    assert [parse(f"coal 2026 {one} 1", CATALOGUE).relation for one in ("=", "==", "<", "<=", "≤", ">", "≥")] == [
        "=", "=", "<", "<", "<", ">", ">",
    ]  # fmt: skip


def test_series_are_taken_apart_to_what_is_stored() -> None:
    def terms(text: str) -> dict[str, float]:
        return dict(parse(f"{text} 2026Q4 = 1", CATALOGUE).terms)

    assert terms("trade") == {"exports": 1, "imports": 1}
    assert terms("balance + trade") == {"exports": 2}
    assert terms("trade-cars") == {"exports": 1, "imports": 1, "cars": -1}
    assert terms("rest") == {"exports": 1, "cars": -1}
    assert terms("fuel other") == {"coal": 1, "gas": -1000}
    assert terms("two-way trade") == {"two-way trade": 1}
    price = parse("cars.unit_price 2026Q4 = 2", CATALOGUE)
    assert (price.terms, price.per) == ((("cars", 1.0),), (("cars.quantity", 1.0),))


def test_what_the_cube_has_to_hold() -> None:
    made = [parse(one, CATALOGUE) for one in ("trade 2026Q4 = 1", "cars.unit_price 2027-05 = 2", "trade 2026Q4 = 1")]
    assert needed_series(made) == ("cars", "cars.quantity", "exports", "imports")
    assert needed_last_month(made) == pd.Period("2027-05", "M")
    assert needed_last_month([]) is None


def test_totals_are_those_of_paths_and_published_months() -> None:
    forecast = cube()
    made = rows(
        [
            parse(one, CATALOGUE)
            for one in (
                "trade FY2026 = 2400",
                "cars / exports 2026Q4 = 30 %",
                "cars 2026Q4 yoy = -20 % ± 5 %",
                "cars 2027-11 yoy = -20 %",
                "cars.unit_price 2026Q4 = 1.5 ± 0.1",
                "cars.unit_price 2026Q4 yoy = 10 %",
            )
        ],
        forecast,
        HISTORY,
    )
    trade = whole(forecast, "exports", "2026-04", "2027-03") + whole(forecast, "imports", "2026-04", "2027-03")
    cars, number = (whole(forecast, one, "2026-10", "2026-12") for one in ("cars", "cars.quantity"))
    before, before_number = (whole(forecast, one, "2025-10", "2025-12") for one in ("cars", "cars.quantity"))
    expected = [
        trade,
        100 * cars / whole(forecast, "exports", "2026-10", "2026-12"),
        100 * (cars / before - 1),
        100 * (whole(forecast, "cars", "2027-11", "2027-11") / whole(forecast, "cars", "2026-11", "2026-11") - 1),
        cars / number,
        100 * (cars / number / (before / before_number) - 1),
    ]
    np.testing.assert_allclose(made.totals(forecast.paths), np.stack(expected, axis=1), rtol=1e-12)
    np.testing.assert_allclose(made.sd[[0, 2, 4]], [0, 0.05 * before[0], 0.1 * number.mean()], rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    text=st.sampled_from(
        ["trade FY2026", "cars / exports 2026Q4", "cars 2026Q4 yoy", "cars 2027-11 yoy", "cars.unit_price 2026Q4",
         "cars.unit_price 2027-01 yoy", "rest 2026-09..2027-02", "fuel other 2027"]
    ),
    value=st.floats(-90, 400),
    seed=st.integers(0, 50),
)  # fmt: skip
def test_the_row_says_what_the_statement_says(text: str, value: float, seed: int) -> None:
    """A · X = b exactly where the quantity is the value, and A · X < b exactly where it is below."""
    percent = " %" if "/" in text or "yoy" in text else ""
    forecast = cube(seed)
    made = rows([parse(f"{text} = {value:.6f}{percent}", CATALOGUE)], forecast, HISTORY)
    left = np.tensordot(forecast.paths, made.a[0], axes=([1, 2], [0, 1]))
    quantity = made.totals(forecast.paths)[:, 0]
    np.testing.assert_array_equal(left < made.b[0], quantity < made.statements[0].value)
    own = rows([parse(f"{text} = {quantity[0]:.12f}{percent}", CATALOGUE)], forecast, HISTORY)
    np.testing.assert_allclose(np.sum(forecast.paths[0] * own.a[0]), own.b[0], rtol=1e-9, atol=1e-6)


def test_said_twice_counts_once() -> None:
    made = rows(
        [parse(one, CATALOGUE) for one in ("coal 2026Q4 = 300", "coal  2026-10..2026-12 = 300.0")], cube(), HISTORY
    )
    assert len(made.statements) == 1
    assert rows([], cube(), HISTORY).a.shape == (0, len(MONTHS), len(STORED))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no '=', '<' or '>'"),
        ("coal 2026Q4", "no '=', '<' or '>'"),
        ("coal = 5", "names no period"),
        ("coal 2026Q4 = ", "no '=', '<' or '>'"),
        ("coal 2026Q4 = many", "'many' is not a number"),
        ("coal 2026Q4 = 4,5", "'4,5' is not a number"),
        ("coal 2026Q4 = 5 ± ", "is not a number"),
        ("coal 2026Q4 = 5 ± -1", "below zero"),
        ("coal 2026Q4 = 1e300", "too large"),
        ("coal 2026Q4 = 5 %", "is in tonnes, not percent"),
        ("coal 2026Q4 yoy = 5", "add the %"),
        ("coal 2026Q5 = 5", "2026Q5 is not a period"),
        ("coal 2026-13 = 5", "2026-13 is not a period"),
        ("coal 0000 = 5", "0000 is not a period"),
        ("coal FY2026Q1 = 5", "FY2026Q1 is not a period"),
        ("coal 2027..2026 = 5", "swap the two"),
        ("coal 2026 + coal 2027 = 5", "more than one period"),
        ("coal + 2026Q4 = 5", "No series matches 'coal \\+'"),
        ("coal + gas 2026Q4 = 5", "coal is in tonnes, gas in kilotonnes"),
        ("coal - coal 2026Q4 = 5", "cancel out"),
        ("cars / cars 2026Q4 = 50 %", "always 100 %"),
        ("cars / exports / trade 2026Q4 = 50 %", "a share is of one series in another"),
        ("cars / exports 2026Q4 yoy = 5 %", "growth of a share"),
        ("cars / exports 2026Q4 = 0.5", "add the %"),
        ("cars.unit_price + coal 2026Q4 = 5", "only series of one unit"),
        ("cars.unit_price + cars.unit_price 2026Q4 = 5", "stands alone"),
        ("export 2026Q4 = 5", "Nearest: exports"),
        ("ca* 2026Q4 = 5", "means 3 series"),
    ],
)
def test_what_is_no_statement_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(ForecastingError, match=said) as caught:
        parse(text, CATALOGUE)
    assert "\n" not in str(caught.value)


WORDS = st.sampled_from(
    ["coal", "gas", "cars", "trade", "cars.unit_price", "two-way trade", "+", "-", "/", "=", "<", ">", "±", "+-", "%",
     "2026", "2026Q4", "FY2026", "2026-13", "..", "2027-01", "yoy", "4,500", "−3", "1e9", "1e999", "*", "[", "\n", "０"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=9).map(" ".join), st.lists(WORDS).map("".join)))
def test_any_text_is_a_statement_or_an_error_of_one_line(text: str) -> None:
    try:
        made = parse(text, CATALOGUE)
    except ForecastingError:
        return
    assert isinstance(made, Statement)
    assert made.first <= made.last
    assert made.terms
    assert np.isfinite([made.value, made.sd]).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("coal 2026Q2 = 5", r"wholly published: it is \d"),
        ("exports 2026Q3 = 5", "wholly published"),
        ("coal 2028 = 5", "reaches 2028-12, the forecast only 2027-12: give --horizon 27"),
        ("coal 2023-11..2026-12 = 5", "needs coal of 2023-11, but it begins in 2024-01"),
        ("gas 2026 = 5", "needs gas of 2026-03, but it has no published value"),
        ("coal 2026-11 yoy = 5 %", "divides by a total of zero a year before 2026-11"),
        ("cars.unit_price 2027-11 yoy = 5 %", "which is not linear"),
    ],
)
def test_what_the_data_cannot_answer(text: str, said: str) -> None:
    history = HISTORY.copy()
    history.loc["2025-11", "coal"] = 0.0
    history.loc["2026-03", "gas"] = np.nan
    with pytest.raises(DataError, match=said):
        rows([parse(text, CATALOGUE)], cube(), history)


def test_a_series_that_is_not_forecast() -> None:
    with pytest.raises(DataError, match=r"rests on cars\.quantity, which this forecast does not hold"):
        rows([parse("cars.unit_price 2026Q4 = 2", CATALOGUE)], cube().select(("cars", "exports")), HISTORY)
