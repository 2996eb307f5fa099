"""Parts add up on every path, nothing goes below zero, and nobody loses the spread that calibration gave."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.forecast import Forecast
from forecasting.hierarchy import (
    CORE_REST,
    LISTED_REST,
    core_tree,
    fit_below,
    listed_tree,
    reconcile,
    with_rests,
)

CATALOGUE = Catalogue(
    (
        Series("trade", "Trade", "mn", formula="sum", terms=("exports", "imports"), core=True),
        Series("exports", "Exports", "mn", core=True),
        Series("imports", "Imports", "mn", core=True),
        Series("vehicles", "Vehicles", "mn", parent="exports"),
        Series("cars", "Cars", "mn", parent="vehicles", core=True),
        Series("trucks", "Trucks", "mn", parent="vehicles"),
        Series("tools", "Tools", "mn", parent="exports"),
    )
)
STORED = ("exports", "imports", "vehicles", "cars", "trucks", "tools")
CORE = core_tree(CATALOGUE, ("trade", "exports", "imports", "cars"))
LISTED = listed_tree(CATALOGUE, STORED)


def forecast(seed: int, paths: int = 300, h: int = 3, level: float = 1.0) -> Forecast:
    """Incoherent, wide paths of the core: what models that know nothing of one another give."""
    rng = np.random.default_rng(seed)
    nodes = CORE.nodes
    size = np.array([200.0, 100.0, 100.0, 60.0, 40.0]) * level
    made = size * np.exp(rng.normal(0, 0.3, (paths, h, len(nodes))))
    months = pd.period_range("2026-09", periods=h, freq="M")
    return Forecast(made, months, nodes, (pd.Period("2026-08", "M"),) * len(nodes), "m")


def test_the_trees() -> None:
    assert CORE.parts == {"trade": ("exports", "imports"), "exports": ("cars", "exports" + CORE_REST)}
    assert LISTED.parts["exports"] == ("vehicles", "tools", "exports" + LISTED_REST)
    assert LISTED.parts["vehicles"] == ("cars", "trucks", "vehicles" + LISTED_REST)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), level=st.floats(1e-3, 1e6))
def test_identities_hold_on_every_path(seed: int, level: float) -> None:
    made = reconcile(forecast(seed, level=level), CORE)
    for parent, parts in CORE.parts.items():
        total = sum(made.column(part) for part in parts)
        np.testing.assert_allclose(made.column(parent), total, rtol=1e-9)
    assert (made.paths >= 0).all()


def test_the_spread_of_every_node_survives() -> None:
    before, after = forecast(1, paths=4000), reconcile(forecast(1, paths=4000), CORE)
    for series in CORE.nodes:
        low, high = (np.quantile(one.column(series), [0.1, 0.9], axis=0) for one in (before, after))
        ratio = (high[1] - high[0]) / (low[1] - low[0])
        np.testing.assert_allclose(ratio, 1.0, atol=0.12)


def test_one_wild_part_cannot_lift_its_parent() -> None:
    made = forecast(7)
    wild = made.paths.copy()
    at = made.series.index("cars")
    wild[:, :, at] *= np.exp(np.random.default_rng(0).normal(0, 4, wild.shape[:2]))
    after = reconcile(made.with_paths(wild), CORE)
    before = np.median(made.column("exports"), axis=0)
    np.testing.assert_allclose(np.median(after.column("exports"), axis=0), before, rtol=0.35)
    assert (after.column("cars") <= after.column("exports") * (1 + 1e-9)).all()


def test_coherent_paths_are_left_alone() -> None:
    one = reconcile(forecast(2), CORE)
    two = reconcile(one, CORE)
    np.testing.assert_allclose(two.paths, one.paths, rtol=1e-9)


def test_series_outside_the_tree_are_untouched_bit_for_bit() -> None:
    made = forecast(3)
    other = Forecast(made.paths[:, :, :1], made.months, ("other",), made.cutoff[:1], "m")
    both = Forecast(
        np.concatenate([made.paths, other.paths], axis=2),
        made.months,
        (*made.series, "other"),
        (*made.cutoff, made.cutoff[0]),
        "m",
    )
    assert reconcile(both, CORE).column("other").tobytes() == other.column("other").tobytes()
    assert reconcile(other, CORE) is other


def test_published_cells_are_held() -> None:
    made = forecast(4)
    paths = made.paths.copy()
    paths[:, 0, made.series.index("cars")] = 55.0
    cutoff = tuple(pd.Period("2026-09" if one == "cars" else "2026-08", "M") for one in made.series)
    after = reconcile(Forecast(paths, made.months, made.series, cutoff, "m"), CORE)
    np.testing.assert_allclose(after.column("cars")[:, 0], 55.0, rtol=1e-12)
    np.testing.assert_allclose(after.column("trade"), after.column("exports") + after.column("imports"), rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), dead=st.booleans())
def test_below_the_core_parts_fill_what_the_core_leaves(seed: int, dead: bool) -> None:
    core = reconcile(forecast(seed), CORE)
    loose = tuple(one for one in LISTED.bottom if one not in core.series)
    rng = np.random.default_rng(seed)
    paths = rng.lognormal(1.0, 1.0, (300, 3, len(loose))) * (0.0 if dead else 1.0)
    below = Forecast(paths, core.months, loose, core.cutoff[:1] * len(loose), "m")
    made = fit_below(core, below, LISTED)
    for series in ("exports", "imports", "cars"):
        if series in made.series:
            np.testing.assert_array_equal(made.column(series), core.column(series))
    vehicles = made.column("cars") + made.column("trucks")
    assert (made.column("vehicles") - vehicles >= -1e-9 * made.column("vehicles")).all()
    assert (
        made.column("exports") - made.column("vehicles") - made.column("tools") >= -1e-9 * made.column("exports")
    ).all()
    assert (made.paths >= 0).all()


def test_remainders_of_history_are_what_is_left_and_never_negative() -> None:
    months = pd.period_range("2026-01", periods=3, freq="M")
    y = pd.DataFrame({"exports": [10.0, 10.0, 10.0], "cars": [4.0, 10.5, np.nan], "imports": 1.0}, index=months)
    tree = core_tree(CATALOGUE, ("exports", "imports", "cars"))
    rest = with_rests(y, tree)["exports" + CORE_REST]
    assert list(rest) == [6.0, 0.0, 10.0]


def test_a_part_that_begins_later_says_nothing_of_the_months_before() -> None:
    months = pd.period_range("2026-01", periods=3, freq="M")
    y = pd.DataFrame({"exports": 10.0, "cars": [np.nan, 4.0, 5.0]}, index=months)
    rest = with_rests(y, core_tree(CATALOGUE, ("exports", "cars")))["exports" + CORE_REST]
    assert np.isnan(rest.iloc[0])
    assert rest.iloc[1] == pytest.approx(6.0)
