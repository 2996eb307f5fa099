"""Months and numbers as people write them."""

from __future__ import annotations

import calendar
import datetime as dt
import re

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from forecasting.errors import DataError
from forecasting.sources.figures import read_figures
from forecasting.sources.months import read_months

FORMS = {
    "2024-05": lambda y, m: f"{y}-{m:02}",
    "2024/05": lambda y, m: f"{y}/{m:02}",
    "2024/5": lambda y, m: f"{y}/{m}",
    "2024.05": lambda y, m: f"{y}.{m:02}",
    "202405": lambda y, m: f"{y}{m:02}",
    "202405 as a number": lambda y, m: y * 100 + m,
    "20240501": lambda y, m: f"{y}{m:02}01",
    "2024-05-01": lambda y, m: f"{y}-{m:02}-01",
    "2024-05-31": lambda y, m: f"{y}-{m:02}-{calendar.monthrange(y, m)[1]}",
    "2024-05-01T00:00:00Z": lambda y, m: f"{y}-{m:02}-01T00:00:00Z",
    "2024-05-31 23:59:59": lambda y, m: f"{y}-{m:02}-{calendar.monthrange(y, m)[1]} 23:59:59",
    "05/2024": lambda y, m: f"{m:02}/{y}",
    "5-2024": lambda y, m: f"{m}-{y}",
    "May 2024": lambda y, m: f"{calendar.month_name[m]} {y}",
    "MAY 2024": lambda y, m: f"{calendar.month_abbr[m].upper()} {y}",
    "May-2024": lambda y, m: f"{calendar.month_abbr[m]}-{y}",
    "2024 May": lambda y, m: f"{y} {calendar.month_abbr[m]}",
    "1 May 2024": lambda y, m: f"1 {calendar.month_abbr[m]} {y}",
    "May 1, 2024": lambda y, m: f"{calendar.month_name[m]} 1, {y}",
    "2024M05": lambda y, m: f"{y}M{m:02}",
    "2024-M05": lambda y, m: f"{y}-M{m:02}",
    "2024m5": lambda y, m: f"{y}m{m}",
    "2024年5月": lambda y, m: f"{y}年{m}月",
    "２０２４年５月": lambda y, m: f"{y}年{m}月".translate({48 + n: 0xFF10 + n for n in range(10)}),
    "31.05.2024": lambda y, m: f"{calendar.monthrange(y, m)[1]}.{m:02}.{y}",
    "Excel date": lambda y, m: dt.datetime(y, m, 1),
    "date32": lambda y, m: dt.date(y, m, calendar.monthrange(y, m)[1]),
    "timestamp": lambda y, m: pd.Timestamp(y, m, 1, tz="Asia/Tokyo"),
    "monthly period": lambda y, m: pd.Period(year=y, month=m, freq="M"),
    "daily period": lambda y, m: pd.Period(year=y, month=m, day=1, freq="D"),
}
MONTHS = st.tuples(st.integers(1800, 2199), st.integers(1, 12))


def read(cells: list) -> list[str]:
    return [str(month) for month in read_months(cells, lambda at: f"row {at}").periods]


@pytest.mark.parametrize("form", FORMS)
@given(months=st.lists(MONTHS, min_size=1, max_size=20))
def test_every_form_of_a_month_is_read_back(form, months):
    assert read([FORMS[form](y, m) for y, m in months]) == [f"{y}-{m:02}" for y, m in months]


@given(months=st.lists(st.tuples(st.integers(1969, 2068), st.integers(1, 12)), min_size=1))
def test_two_digit_years_are_read_as_posix_does(months):
    cells = [f"{calendar.month_abbr[m]}-{y % 100:02}" for y, m in months]
    found = read_months(cells, str)
    assert [(y, m) for y, m, _ in found.days] == months
    assert "1969 to 2068" in found.remarks[0]


@pytest.mark.parametrize(("form", "order"), [("{d:02}/{m:02}/{y}", "day/month"), ("{m}/{d}/{y}", "month/day")])
def test_an_ambiguous_day_is_decided_by_the_whole_column(form, order):
    cells = [form.format(y=2024, m=m, d=1) for m in range(1, 13)]
    found = read_months(cells, str)
    assert [m for _, m, _ in found.days] == list(range(1, 13))
    assert order in found.remarks[0]
    ends = [form.format(y=2024, m=m, d=calendar.monthrange(2024, m)[1]) for m in range(1, 13)]
    assert [m for _, m, _ in read_months(ends, str).days] == list(range(1, 13))


@given(st.lists(st.tuples(MONTHS, st.integers(1, 28)), min_size=1, max_size=8))
def test_days_before_months_are_read_rightly_or_refused(dates):
    cells = [f"{d:02}/{m:02}/{y}" for (y, m), d in dates]
    try:
        found = read_months(cells, str).days
    except DataError:
        return
    other_is_firsts = all(m == 1 for (_, m), _ in dates) and any(d > 1 for _, d in dates)
    assert [(y, m) for y, m, _ in found] == [one for one, _ in dates] or other_is_firsts


@pytest.mark.parametrize(
    "cell",
    ["2024-13", "2024-00", "2024-02-30", "24-05", "05/24", "Mai 2024", "Smarch 2024", "2024-Q1", "Q1 2024",
     "2024", 2024, 2024.5, "2024.1", "2024-W05", "45413", 45413, "2024-05-01 15:00", "2024-04-30T15:00:00Z",
     "20224-05", "0024-05", "2024-05x", "", "total", None, True, float("nan"), float("inf"), dt.time(1),
     dt.timedelta(3), pd.Period("2024Q1"), dt.datetime(2024, 5, 1, 9), b"2024-05", "٢٠٢٤-٠٥", "1/2/3/2024",
     "2024-05-01-01", "9" * 5000],
)  # fmt: skip
def test_what_is_no_month_is_refused_by_its_place(cell):
    with pytest.raises(DataError, match=r"^row 1: .{5,150}\.$"):
        read(["2024-05", cell])


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["13/01/2024", "01/13/2024"], "month first"),
        (["02/03/2024", "05/06/2024"], "day/month or month/day"),
        (["2024Q1"], "quarter"),
        (["2024"], "year"),
        (["2024-W07"], "week"),
        ([45413], "Excel date"),
    ],
)
def test_a_refusal_says_what_was_found(cells, said):
    with pytest.raises(DataError, match=said):
        read(cells)


def figures(cells: list, separator: str = ";") -> list[float]:
    return read_figures(cells, lambda at: f"row {at}", separator).values.tolist()


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,234.5", "2"], [1234.5, 2]),
        (["1.234,5", "2"], [1234.5, 2]),
        (["1 234,5", "2"], [1234.5, 2]),
        (["1\u00a0234", "2\u202f345\u202f678"], [1234, 2345678]),
        (["1'234.50", "2"], [1234.5, 2]),
        (["1,234", "0.5"], [1234, 0.5]),
        (["1,234", "0,5"], [1.234, 0.5]),
        (["1.234", "0,5"], [1234, 0.5]),
        (["1,234,567", "1,234"], [1234567, 1234]),
        (["0,123"], [0.123]),
        (["1234,567"], [1234.567]),
        (["−5", "+5", "-.5", "5.", "1e3", "1.5E-2", "１２"], [-5, 5, -0.5, 5, 1000, 0.015, 12]),
        ([5, 2.5, "3"], [5, 2.5, 3]),
    ],
)
def test_numbers_in_every_unambiguous_convention(cells, values):
    assert figures(cells) == values


def test_a_comma_inside_a_comma_separated_file_groups_thousands():
    found = read_figures(["1,234", "12"], str, ",")
    assert found.values.tolist() == [1234, 12]
    assert "1234" in found.remarks[0]


@pytest.mark.parametrize(
    "cells",
    [["1,234"], ["1.234"], ["1,234", "1.234"], ["1,5", "1.5"], ["12,34,567"], ["1,2345.6"], ["1_000"],
     ["1 23"], ["1 2"], ["(5)"], ["5-"], ["5%"], ["$5"], ["5r"], ["inf"], ["1e999"], ["-∞"], ["٣"], [".5."],
     ["0x10"], [float("inf")], [True], ["1,234,5"], [10**400], [b"5"], [dt.date(2024, 1, 1)]],
)  # fmt: skip
def test_doubtful_numbers_are_refused(cells):
    with pytest.raises(DataError, match=r"^row \d: "):
        figures(cells)


def test_markers_of_missing_values_are_counted_in_remarks():
    found = read_figures(["-", "…", "..", "*", "n/a", None, "NA", "-"], str)
    assert pd.isna(found.values).all()
    assert "'-' in 2 cells counted as missing, not as zero" in found.remarks


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.booleans())
def test_floats_come_back_exactly_or_are_refused(values, comma):
    cells = [repr(value).replace(".", ",") if comma else repr(value) for value in values]
    if all(re.fullmatch(r"-?[1-9]\d{0,2}[.,]\d{3}|.*[.,]0", cell) for cell in cells):
        assume(any("e" in cell or re.fullmatch(r".*[.,]0", cell) for cell in cells))
    assert figures(cells) == values
