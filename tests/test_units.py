"""Readable units: the right word, three or four digits, one scale for a whole interval."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.units import percent, readable, say, scale_of

EXAMPLES = [
    ("mn_jpy", 111_234, "111.2 billion yen"),
    ("mn_jpy", 1_211_621, "1.21 trillion yen"),
    ("mn_jpy", 3_456, "3.46 billion yen"),
    ("mn_jpy", 234.5, "234 million yen"),
    ("mn_jpy", 0.5, "500 thousand yen"),
    ("mn_jpy", -41_234, "-41.2 billion yen"),
    ("units", 18_024, "18,024 units"),
    ("unit", 57.3, "57 units"),
    ("units", 134_502, "134.5 thousand units"),
    ("thousand_units", 3, "3.00 thousand units"),
    ("kilotonnes", 382, "382 thousand tonnes"),
    ("tonnes", 4_990_139, "4.99 million tonnes"),
    ("tonnes", 9_812, "9,812 tonnes"),
    ("kg", 8_208, "8,208 kg"),
    ("kg", 89_747, "89.7 tonnes"),
    ("kl", 50_123, "50,123 kl"),
    ("megalitres", 1_250, "1.25 million kl"),
    ("persons", 63_832, "63,832 persons"),
    ("mn_jpy/kilotonnes", 82.3, "82,300 yen per tonne"),
    ("mn_jpy/units", 2.4123, "2.41 million yen per unit"),
    ("pct_yoy", 12.34, "12.3 % on a year earlier"),
    ("as given", 1_234.5, "1,234"),
    ("as given", 4_990_139, "4.99 million"),
    ("USD million", 4_990_139, "4,990,139 USD million"),
    ("boxes/pallet", 12.5, "12.5 boxes/pallet"),
    ("bn_usd", 1.5, "1.50 billion US dollars"),
]


@pytest.mark.parametrize(("unit", "value", "expected"), EXAMPLES)
def test_says(unit: str, value: float, expected: str) -> None:
    assert say(unit, value) == expected


def test_one_scale_for_value_and_interval() -> None:
    scale = scale_of("mn_jpy", [984_000, 1_010_000, 1_050_000])
    assert [scale.number(one) for one in (984_000, 1_010_000)] == ["0.98", "1.01"]
    assert scale.label == "trillion yen"


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([[402.113, 402.0]], ["402.1", "402.0"]),
        ([[402.113, 402.113 * (1 + 1e-12)]], ["402", "402"]),
        ([[402.113, 402.1134]], ["402.1130", "402.1134"]),
        ([[402.113, 350.0, math.nan]], ["402", "350", "–"]),
        ([[402.113, 350.0], [400.01, 400.02]], ["402.11", "350.00"]),
        ([[402.1, 402.10000001]], ["402", "402"]),
        ([], []),
    ],
)
def test_different_values_look_different_and_the_same_ones_do_not(rows: list, shown: list[str]) -> None:
    scale = replace(scale_of("mn_jpy", [402.0]), decimals=0).telling_apart(rows)
    assert [scale.number(one) for one in (rows[0] if rows else [])] == shown


@given(st.lists(st.lists(st.integers(1, 10**8), min_size=1, max_size=4), max_size=5))
def test_no_two_values_of_a_row_look_alike(rows: list[list[int]]) -> None:
    plain = scale_of("mn_jpy", [one for row in rows for one in row])
    scale = plain.telling_apart(rows)
    assert plain.decimals <= scale.decimals
    for row in rows:
        assert len({scale.number(one) for one in row}) == len(set(row))


def test_nothing_known() -> None:
    assert say("mn_jpy", math.nan) == "–"
    assert scale_of("units", [math.nan]).number(0.0) == "0"
    assert percent(math.nan) == "–"
    assert (percent(-0.04), percent(3.21), percent(1234.5)) == ("+0.0 %", "+3.2 %", "+1,234 %")


@given(st.sampled_from([unit for unit, _, _ in EXAMPLES]), st.floats(1e-3, 1e15))
def test_factor_is_positive_and_symmetric(unit: str, size: float) -> None:
    factor, label = readable(unit, size)
    assert factor > 0
    assert (factor, label) == readable(unit, -size)


@given(st.sampled_from(["mn_jpy", "tonnes", "kg", "kl"]), st.floats(1.0, 1e12))
def test_digits_are_readable_and_true(unit: str, size: float) -> None:
    scale = scale_of(unit, [size])
    shown = float(scale.number(size).replace(",", ""))
    assert shown == pytest.approx(size * scale.factor, rel=6e-3)
    assert len(scale.number(size)) <= 9


@given(st.text(max_size=20), st.floats(allow_nan=True, allow_infinity=True))
def test_any_unit_is_written(unit: str, value: float) -> None:
    assert isinstance(say(unit, value), str)
