"""What moves with what, against a slow search through the catalogue."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented_trade import AMOUNTS, CATALOGUE, CUBE, DERIVED, PRICES

from forecasting.catalogue import Catalogue
from forecasting.relations import Relations
from forecasting.store import data_folder, read_catalogue
from forecasting.units import conversion

RELATIONS = Relations(CATALOGUE, CUBE)
WHOLE = Relations(CATALOGUE, tuple(CATALOGUE))
REAL = read_catalogue(data_folder())


def slowly_above(catalogue: Catalogue, series: str) -> dict[str, float]:
    """Wholes by walking up one link at a time, until nothing new is found."""
    found: dict[str, float] = {series: 1.0}
    for _ in range(len(catalogue)):
        for low, by in list(found.items()):
            entry = catalogue[low]
            steps = {entry.parent: 1.0} if entry.parent else {}
            if entry.within:
                steps[entry.within] = conversion(entry.unit, catalogue[entry.within].unit)
            steps |= {one.id: 1.0 for one in catalogue.values() if one.formula == "sum" and low in one.terms}
            found |= {one: by * more for one, more in steps.items() if one not in found}
    return {one: by for one, by in found.items() if one != series}


def test_wholes_and_parts_are_what_a_slow_walk_finds() -> None:
    for one in CATALOGUE:
        assert WHOLE.above(one) == pytest.approx(slowly_above(CATALOGUE, one))
        assert set(WHOLE.below(one)) == {low for low in CATALOGUE if one in slowly_above(CATALOGUE, low)}


@settings(max_examples=50, deadline=None)
@given(among=st.sets(st.sampled_from(CUBE)))
def test_a_whole_is_found_through_series_that_are_not_there(among) -> None:
    some = Relations(CATALOGUE, tuple(one for one in CUBE if one in among))
    for one in among:
        assert set(some.above(one)) == set(slowly_above(CATALOGUE, one)) & among
        for group in some.fillings(one):
            # In this order, which a set would not keep from process to process: what is summed over them is the same.
            assert list(group) == [low for low in some.below(one) if low in group]
            assert not any(
                low in some.above(other) or other in some.above(low) for low, other in combinations(group, 2)
            )


def test_fillings_do_not_count_one_part_twice() -> None:
    own, others = RELATIONS.fillings("world.exports")
    assert set(own) == {"world.cars.value"}
    assert set(others) == {"ru.exports"}
    assert RELATIONS.fillings("ru.vehicles.quantity")[0] == {"ru.cars.quantity": 1.0, "ru.trucks.quantity": 1.0}
    assert RELATIONS.fillings("world.gas.quantity") == ({}, {"ru.gas.quantity": 1000.0})
    assert RELATIONS.fillings("ru.coal.value") == ({}, {})


def test_partners() -> None:
    for value, quantity in (
        ("ru.cars.value", "ru.cars.quantity"),
        ("other.gas.value", "other.gas.quantity"),
        ("ru.vehicles.rest.value", "ru.vehicles.rest.quantity"),
    ):
        assert RELATIONS.partner(value) == quantity
        assert RELATIONS.partner(quantity) == value
    assert RELATIONS.partner("ru.tools.value") == RELATIONS.partner("ru.balance") == RELATIONS.partner("nobody") == ""
    assert Relations(CATALOGUE, ("ru.cars.value",)).partner("ru.cars.value") == ""


def test_families() -> None:
    assert RELATIONS.family("ru.cars.quantity") == {"ru.cars.quantity", "ru.cars.value"}
    assert RELATIONS.family("ru.vehicles.value") == {
        f"ru.{good}.{of}" for good in ("vehicles", "vehicles.rest", "cars", "trucks") for of in ("value", "quantity")
    }
    assert {"ru.cars.value", "other.cars.quantity"} <= RELATIONS.family("world.cars.value")
    assert RELATIONS.family("other.cars.value") == {"other.cars.value", "other.cars.quantity"}
    assert RELATIONS.family("world.gas.price") == {"world.gas.price", "ru.gas.price", "other.gas.price"}
    assert RELATIONS.family("ru.vehicles.price") == {"ru.vehicles.price", "ru.cars.price", "ru.trucks.price"}
    assert RELATIONS.family("unknown") == {"unknown"}


@pytest.mark.parametrize("catalogue", [CATALOGUE, REAL])
def test_families_are_closed(catalogue) -> None:
    relations = Relations(catalogue, tuple(catalogue))
    for one in catalogue:
        family = relations.family(one)
        assert one in family
        if catalogue[one].formula in ("", "sum"):
            assert all(relations.family(other) <= family for other in family)
        assert family <= relations.scaled(one) <= relations.moved(one)


def test_a_balance_moves_in_no_proportion() -> None:
    assert not RELATIONS.assumable("ru.balance")
    assert RELATIONS.assumable("other.gas.value")
    assert "ru.balance" not in RELATIONS.family("ru.exports")
    assert RELATIONS.topmost(("ru.balance", "ru.tools.value")) == ("ru.tools.value",)
    assert RELATIONS.topmost(("ru.balance",)) == ()


@settings(max_examples=100, deadline=None)
@given(among=st.sets(st.sampled_from([*AMOUNTS, *PRICES, *DERIVED]), min_size=1))
def test_topmost_covers_all_and_names_nothing_twice(among) -> None:
    asked = tuple(one for one in CATALOGUE if one in among and one != "ru.balance")
    kept = WHOLE.topmost(asked)
    amounts = [one for one in asked if CATALOGUE[one].formula != "ratio"] or asked
    assert all(any(one in WHOLE.family(top) for top in kept) for one in amounts)
    assert not any(one in WHOLE.family(other) for one in kept for other in kept if one != other)
    assert list(kept) == [one for one in asked if one in kept]


def test_what_one_adds_to_moves_its_wholes_and_what_others_leave_of_it() -> None:
    moved = RELATIONS.moved("world.gas.quantity", alone=True)
    assert {"world.gas.value", "world.imports", "world.trade", "other.gas.quantity", "other.gas.price"} <= moved
    assert "world.gas.price" not in moved  # it pays the usual price
    assert "ru.gas.quantity" not in moved
    other = RELATIONS.moved("other.gas.quantity", alone=True)
    assert {"world.gas.quantity", "world.imports", "world.gas.price"} <= other
    assert "other.gas.price" not in other


def test_a_part_changes_the_mean_price_of_its_whole_and_not_its_own() -> None:
    moved = RELATIONS.moved("ru.cars.quantity")
    assert {"ru.vehicles.price", "world.cars.price"} <= moved
    assert "ru.cars.price" not in moved
