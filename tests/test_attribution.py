"""Contributions add up exactly, treat equals equally, and give nothing to what does nothing."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented_trade import CATALOGUE, assume, assumptions, forecast, ground, history, scenario

from forecasting.attribution import MOST_SHAPLEY, contributions
from forecasting.impose import impose
from forecasting.tables import all_totals

SHOWN = ("ru.trade", "ru.exports", "ru.cars.quantity", "ru.vehicles.rest.value", "other.gas.quantity", "world.imports")


def game(causes: int, seed: int, shape: tuple[int, ...] = (3,)):
    """Any worth of every group."""

    def worth(group: tuple[int, ...]) -> np.ndarray:
        return np.random.default_rng([seed, *group, 99]).normal(size=shape) if group else np.zeros(shape)

    return worth


@given(causes=st.integers(0, 8), seed=st.integers(0, 1000))
def test_they_add_up(causes, seed) -> None:
    worth = game(causes, seed)
    found = contributions(causes, worth)
    assert found.shape == (causes, 3)
    assert np.allclose(found.sum(axis=0), worth(tuple(range(causes))) - worth(()), atol=1e-9)


@given(causes=st.integers(1, 5), seed=st.integers(0, 1000))
def test_they_are_the_mean_over_every_order_of_arrival(causes, seed) -> None:
    worth = game(causes, seed)
    steps = np.zeros((causes, 3))
    orders = list(permutations(range(causes)))
    for order in orders:
        for at, one in enumerate(order):
            steps[one] += worth(tuple(sorted(order[: at + 1]))) - worth(tuple(sorted(order[:at])))
    assert np.allclose(contributions(causes, worth), steps / len(orders))


@given(causes=st.integers(2, MOST_SHAPLEY), seed=st.integers(0, 1000))
def test_equals_get_the_same_and_an_idle_one_nothing(causes, seed) -> None:
    by_count = np.random.default_rng(seed).normal(size=causes + 1)
    alike = contributions(causes, lambda group: np.array([by_count[len(group)]]))
    assert np.allclose(alike, alike[0])
    idle = contributions(causes, lambda group: game(causes, seed)(tuple(one for one in group if one != 0)))
    assert np.allclose(idle[0], 0.0, atol=1e-12)


def test_many_causes_are_taken_in_the_order_listed() -> None:
    asked: list[tuple[int, ...]] = []

    def worth(group: tuple[int, ...]) -> np.ndarray:
        asked.append(group)
        return np.array(float(len(group) ** 2))

    assert contributions(MOST_SHAPLEY + 1, worth).tolist() == [1, 3, 5, 7, 9, 11, 13]
    assert asked == [tuple(range(count)) for count in range(MOST_SHAPLEY + 2)]


@settings(max_examples=15, deadline=None)
@given(
    several=st.lists(assumptions(), min_size=1, max_size=4), kind=st.sampled_from(["month", "quarter", "fiscal_year"])
)
def test_they_add_up_on_imposed_paths(several, kind) -> None:
    base = forecast(1, paths=10, h=9)
    idle = assume("ru.coal.value", "scale", 0.0)

    def worth(group: tuple[int, ...]) -> np.ndarray:
        made = impose(base, scenario(*([*several, idle][at] for at in group)), ground())
        return all_totals(made, history(), CATALOGUE, SHOWN)[kind].paths.mean(axis=0)

    everyone = tuple(range(len(several) + 1))
    found = contributions(len(everyone), worth)
    size = 1.0 + np.abs(worth(())).max(axis=0)
    assert (np.abs(found.sum(axis=0) - (worth(everyone) - worth(()))) <= 1e-9 * size).all()
    assert (np.abs(found[-1]) <= 1e-9 * size).all()


def test_two_halves_of_one_loss_share_it() -> None:
    base = forecast(1, paths=10)
    halves = [assume("ru.gas.quantity", "scale", -0.5, name=name) for name in ("one", "two")]

    def worth(group: tuple[int, ...]) -> np.ndarray:
        return impose(base, scenario(*(halves[at] for at in group)), ground()).column("ru.imports").mean(axis=0)

    one, two = contributions(2, worth)
    assert one == pytest.approx(two, abs=1e-6)
    assert np.allclose(one[10:], 0.5 * (worth((0, 1)) - worth(()))[10:])
