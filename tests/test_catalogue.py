"""The catalogue that the project carries, held against the figures that it carries."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from forecasting.catalogue import CATALOGUE_COLUMNS, Catalogue, Series
from forecasting.errors import CatalogueError
from forecasting.observations import wide
from forecasting.summary import SUMMARY_COLUMNS, summarise

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.from_table(pd.read_csv(DATA / "catalogue.csv", dtype=str))


@pytest.fixture(scope="module")
def observations() -> pd.DataFrame:
    table = pd.read_csv(DATA / "observations.csv")
    return table.assign(month=pd.PeriodIndex(table["month"], freq="M"))


def test_every_stored_series_is_catalogued_in_its_unit(catalogue, observations):
    units = observations.groupby("series")["unit"].unique()
    assert {one for one in catalogue if not catalogue[one].derived} == set(units.index)
    assert all(list(found) == [catalogue[str(one)].unit] for one, found in units.items())


def test_the_columns_are_those_of_the_catalogue():
    assert tuple(pd.read_csv(DATA / "catalogue.csv", nrows=0).columns) == CATALOGUE_COLUMNS


def test_parents_are_the_stored_series_one_level_up_of_the_same_measure(catalogue):
    stored = {one.id for one in catalogue.values() if not one.derived}
    for one in catalogue.values():
        stem, measure = one.id.rsplit(".", 1)
        above = [f"{stem.rsplit('.', up)[0]}.{measure}" for up in range(1, stem.count("."))]
        expected = next((parent for parent in above if parent in stored), "")
        assert one.parent == ("" if one.derived else expected), one.id


def test_a_parent_is_not_below_the_sum_of_its_parts_but_for_rounding(catalogue, observations):
    y = wide(observations).astype(float)
    for parent in y.columns:
        if parts := list(catalogue.children(parent)):
            short = (y[parts].sum(axis=1) - y[parent]) / y[parent]
            # The implied months of 2023-24 carry the rounding of printed growth rates.
            assert short.max() < (0.002 if parent.startswith("jp_ru") else 1e-9), parent


def test_every_pair_has_a_unit_price_and_every_parent_a_rest(catalogue):
    for one in [one for one in catalogue.values() if not one.derived]:
        stem, measure = one.id.rsplit(".", 1)
        if measure == "quantity":
            price = catalogue[f"{stem}.unit_price"]
            assert price.terms == (f"{stem}.value", one.id)
            assert price.unit == f"mn_jpy/{one.unit}"
        if catalogue.children(one.id):
            assert catalogue[f"{stem}.rest.{measure}"].terms == (one.id,)


def test_headline_series_are_core_and_come_first(catalogue):
    headline = [one.id for one in catalogue.values() if one.headline]
    assert headline[:3] == ["jp_ru.trade.value", "jp_ru.exports.value", "jp_ru.imports.value"]
    assert list(catalogue)[: len(headline)] == headline
    assert all(catalogue[one].core for one in headline)
    assert len(headline) == 17


def test_titles_say_the_measure_and_differ(catalogue):
    assert len({one.title for one in catalogue.values()}) == len(catalogue)
    for one in catalogue.values():
        assert one.title.endswith(one.id.rsplit(".", 1)[1].replace("_", " ")), one.id


def test_an_unknown_pattern_names_the_nearest(catalogue):
    with pytest.raises(CatalogueError, match="lng"):
        catalogue.select(["jp_ru.imports.lng.value"])


def test_the_summary_says_span_gaps_and_stages(catalogue, observations):
    table = summarise(observations, catalogue).set_index("series")
    assert ("series", *table.columns) == SUMMARY_COLUMNS
    exports = table.loc["jp_ru.exports.value"]
    assert (exports["first"], exports["months"], exports["gaps"]) == ("2022-01", 56, 0)
    assert exports["stages"].startswith("23 provisional, 12 implied")
    fruits = table.loc["jp_ru.imports.food.fruits.value"]
    assert (fruits["months"], fruits["gaps"]) == (37, 3)
    trade = table.loc["jp_ru.trade.value"]
    assert trade["formula"] == "jp_ru.exports.value + jp_ru.imports.value"
    assert trade["months"] == 56
    # A remainder is known only where all of its parts are.
    assert table.loc["jp_ru.exports.rest.value", "first"] == "2023-05"


def test_the_summary_of_a_strangers_data_lists_them_too(catalogue):
    rows = pd.DataFrame(
        {
            "series": ["mine"],
            "month": [pd.Period("2024-01", "M")],
            "value": [1.0],
            "unit": ["kt"],
            "stage": ["as_given"],
        }
    )
    table = summarise(rows, catalogue).set_index("series")
    assert table.loc["mine", "months"] == 1
    assert table.loc["mine", "unit"] == "kt"
    assert table.loc["jp_ru.trade.value", "months"] == 0


GOOD = {
    "a.value": Series("a.value", "a", "mn_jpy", parent="all.value"),
    "all.value": Series("all.value", "all", "mn_jpy"),
    "a.kg": Series("a.kg", "a", "kg"),
}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"formula": "sum", "terms": ("a.value", "a.kg")}, "new is in mn_jpy, but a.kg.*is in kg"),
        ({"formula": "rest", "terms": ("a.kg",)}, "new is in mn_jpy, but a.kg"),
        ({"parent": "a.kg"}, "new is in mn_jpy, but a.kg"),
        ({"formula": "ratio", "terms": ("a.value", "a.kg")}, "in mn_jpy, but its terms give mn_jpy/kg"),
        ({"parent": "new"}, "new is a part of itself: new → new"),
        ({"within": "new"}, "is a part of itself"),
        ({"formula": "sum", "terms": ("a.value", "new")}, "new rests on itself"),
    ],
)
def test_a_catalogue_of_mixed_units_or_circles_is_refused(made, said):
    with pytest.raises(CatalogueError, match=said):
        Catalogue((*GOOD.values(), Series("new", "new", "mn_jpy", **made)))


@pytest.mark.parametrize(
    ("formula", "terms"), [("ratio", ("a",)), ("difference", ("a", "b", "c")), ("rest", ("a", "b"))]
)
def test_a_formula_has_its_number_of_terms(formula, terms):
    with pytest.raises(CatalogueError, match=f"a {formula} has .* term.*found {len(terms)}"):
        Series("new", "new", "mn_jpy", formula=formula, terms=terms)
