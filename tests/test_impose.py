"""What holds on every path whatever is assumed: sums, prices, published months, and that nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented_trade import (
    AMOUNTS,
    CATALOGUE,
    CUBE,
    CUTOFF,
    GOODS,
    PRICES,
    START,
    STORED,
    assume,
    assumptions,
    forecast,
    ground,
    history,
    scenario,
    values,
)

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.forecast import Forecast
from forecasting.impose import Ground, Response, impose
from forecasting.relations import Relations
from forecasting.scenario import Assumption, PassThrough, Reroute, Size

BASE = forecast(3, none=0.15)
FULL = forecast(4)
MONTHS = BASE.months
AT = int(MONTHS.get_loc(START))
SEEDS = st.integers(0, 50)
ALL = (*AMOUNTS, *PRICES)


def under(*assumed: Assumption, base: Forecast = BASE, **more: object) -> Forecast:
    return impose(base, scenario(*assumed), ground(**more))


def same(one: Forecast, other: Forecast, series: str) -> bool:
    return np.array_equal(one.column(series), other.column(series))


def holds_identities(made: Forecast, base: Forecast) -> None:
    """Every sum of the baseline, nothing below zero, parts within wholes: up to rounding of the largest cell."""
    near = 1e-8  # a cap that leaves a millionth, and growth back from it, cost digits
    for partner in ("ru", "world"):
        total = made.column(f"{partner}.exports") + made.column(f"{partner}.imports")
        assert np.allclose(made.column(f"{partner}.trade"), total, rtol=near)
    assert (made.paths >= 0).all()
    for entry in CATALOGUE.values():
        if entry.derived:
            continue
        own = [one for one in CATALOGUE.children(entry.id) if one in made.series]
        inside = sum((made.column(one) for one in own), np.zeros(made.paths.shape[:2]))
        room = near * (base.column(entry.id).mean() + made.column(entry.id))
        assert (inside <= made.column(entry.id) + room).all(), entry.id
    for good in ("cars", "gas"):
        for of in ("value", "quantity"):
            whole = made.column(f"world.{good}.{of}") + base.column(f"world.{good}.{of}").mean()
            assert (values(made, f"other.{good}.{of}") >= -near * whole).all()


# --- Nothing assumed, nothing moved ----------------------------------------------------------------------


def test_the_empty_scenario_is_the_same_array() -> None:
    made = under()
    assert made.paths is BASE.paths
    assert made.scenario == "what-if"


@settings(max_examples=60, deadline=None)
@given(target=st.sampled_from(ALL), kind=st.sampled_from(("ban", "scale", "shift", "lift")), ramp=st.integers(0, 3))
def test_a_size_of_zero_is_the_same_array(target, kind, ramp) -> None:
    none = assume(target, kind, 0.0, ramp=ramp, since=pd.Period("2025-01", "M"), reroute=_away(target))
    assert under(none).paths is BASE.paths
    assert under(none, spillover=True).paths is BASE.paths


def _away(target: str) -> tuple[Reroute, ...]:
    return (Reroute("other.gas.quantity", Size((0.5,))),) if target == "ru.gas.quantity" else ()


@settings(max_examples=40, deadline=None)
@given(one=assumptions(end=None), later=st.integers(0, 300))
def test_what_begins_after_the_horizon_is_the_same_array(one, later) -> None:
    assert under(replace(one, start=MONTHS[-1] + 1 + later)).paths is BASE.paths


# --- Whatever is assumed ---------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(several=st.lists(assumptions(), min_size=1, max_size=3), seed=SEEDS)
def test_identities_hold_after_anything(several, seed) -> None:
    base = forecast(seed, none=0.2, paths=12)
    made = under(*several, base=base)
    holds_identities(made, base)
    before = min(one.start for one in several) > MONTHS
    assert np.array_equal(made.paths[:, before], base.paths[:, before])


@settings(max_examples=80, deadline=None)
@given(one=assumptions(), ahead=st.integers(1, 8), spill=st.booleans())
def test_published_cells_never_change(one, ahead, spill) -> None:
    base = forecast(5, paths=12, ahead=ahead)
    made = under(one, base=base, spillover=spill)
    published = base.steps() <= 0
    assert published.any()
    assert np.array_equal(made.paths[:, published], base.paths[:, published])


@settings(max_examples=120, deadline=None)
@given(one=assumptions(among=tuple(f"{good}.{of}" for good in GOODS for of in ("value", "quantity"))))
def test_a_unit_price_is_untouched_by_its_value_and_quantity(one) -> None:
    price = f"{one.target.rpartition('.')[0]}.price"
    made = under(one, base=FULL)
    before, after = values(FULL, price), values(made, price)
    traded = values(made, one.target) > 1e-6 * values(FULL, one.target)
    assert np.allclose(after[traded], before[traded], rtol=1e-5)  # others' = the world's less a part: digits are lost


@settings(max_examples=80, deadline=None)
@given(one=assumptions(among=PRICES))
def test_quantities_are_untouched_by_a_price(one) -> None:
    made = under(one)
    assert all(same(made, BASE, name) for name in STORED if name.endswith("quantity"))


@settings(max_examples=150, deadline=None)
@given(one=assumptions())
def test_only_what_the_relations_name_moves(one) -> None:
    relations = Relations(CATALOGUE, CUBE)
    moved = relations.moved(one.target)
    made = under(one)
    assert [name for name in CUBE if name not in moved and not same(made, BASE, name)] == []


# --- A ban -----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(size=st.floats(0.01, 1.0), residual=st.floats(0.0, 0.9), seed=SEEDS)
def test_a_ban_on_cars_takes_its_amount_off_every_whole_and_touches_nothing_else(size, residual, seed) -> None:
    base = forecast(seed, none=0.1, paths=15)
    made = under(assume("ru.cars.quantity", "ban", size, residual=Size((residual,))), base=base)
    left = np.where(np.arange(len(MONTHS)) >= AT, 1 - size * (1 - residual), 1.0)
    for of, wholes in {
        "value": ("ru.vehicles.value", "ru.exports", "ru.trade", "world.cars.value", "world.exports", "world.trade"),
        "quantity": ("ru.vehicles.quantity", "world.cars.quantity"),
    }.items():
        cars = f"ru.cars.{of}"
        assert np.allclose(made.column(cars), base.column(cars) * left, rtol=1e-12)
        for whole in wholes:
            by = 1e-3 if whole == "world.cars.quantity" else 1.0
            off = (base.column(cars) - made.column(cars)) * by
            assert np.allclose(base.column(whole) - made.column(whole), off, atol=1e-9 * base.column(whole).max())
    for untouched in ("ru.gas.value", "ru.gas.quantity", "ru.imports", "ru.trucks.value", "ru.tools.value",
                      "world.imports", "world.gas.value", "ru.coal.value"):  # fmt: skip
        assert same(made, base, untouched)


def test_a_full_ban_leaves_exactly_nothing_and_a_whole_without_other_parts_is_exactly_empty() -> None:
    made = under(assume("ru.vehicles.value", "ban", 1.0))
    for name in ("ru.vehicles.value", "ru.cars.value", "ru.cars.quantity", "ru.trucks.value", "ru.vehicles.quantity"):
        assert (made.column(name)[:, AT:] == 0).all()
    nothing = under(assume("ru.trade", "ban", 1.0))
    for name in ("ru.trade", "ru.exports", "ru.imports", "ru.cars.value", "ru.gas.quantity", "ru.coal.value"):
        assert (nothing.column(name)[:, AT:] == 0).all()


# --- Order -----------------------------------------------------------------------------------------------

FACTORS = assumptions(kind="ban") | assumptions(kind="scale")


@settings(max_examples=120, deadline=None)
@given(one=FACTORS, two=FACTORS)
def test_factors_commute(one, two) -> None:
    _commute(one, two)


@settings(max_examples=60, deadline=None)
@given(
    one=assumptions(among=("ru.cars.value", "ru.cars.quantity", "ru.cars.price", "ru.trucks.quantity")),
    two=assumptions(among=("ru.gas.value", "ru.gas.quantity", "ru.gas.price", "other.gas.quantity", "ru.coal.value")),
)
def test_assumptions_on_different_goods_commute(one, two) -> None:
    _commute(one, two)


def _commute(one: Assumption, two: Assumption) -> None:
    first, second = under(one, two, base=FULL), under(two, one, base=FULL)
    assert np.allclose(first.paths, second.paths, rtol=1e-9, atol=1e-9 * FULL.paths.max(axis=(0, 1)))


# --- Kinds -----------------------------------------------------------------------------------------------

PLAIN = tuple(one for one in AMOUNTS if one in CUBE)


@settings(max_examples=60, deadline=None)
@given(target=st.sampled_from(PLAIN), share=st.floats(0.0, 2.0), ramp=st.integers(0, 3))
def test_caps_and_floors_bind_exactly_on_every_path(target, share, ramp) -> None:
    level = share * float(BASE.column(target).mean())
    full = slice(AT + ramp, None)
    capped = under(assume(target, "cap", level, ramp=ramp)).column(target)[:, full]
    assert np.array_equal(capped, np.minimum(BASE.column(target)[:, full], level))
    raised = under(assume(target, "floor", level, ramp=ramp)).column(target)[:, full]
    assert np.array_equal(raised, np.maximum(BASE.column(target)[:, full], level))


@settings(max_examples=30, deadline=None)
@given(price=st.sampled_from(PRICES), share=st.floats(0.3, 1.5))
def test_a_price_cap_binds_where_there_is_trade(price, share) -> None:
    level = share * float(values(FULL, price).mean())
    after = values(under(assume(price, "cap", level), base=FULL), price)[:, AT:]
    assert np.allclose(after, np.minimum(values(FULL, price)[:, AT:], level), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(target=st.sampled_from(PLAIN), levels=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=5))
def test_a_path_gives_exactly_its_levels_and_then_the_last(target, levels) -> None:
    made = under(assume(target, "path", levels=tuple(levels))).column(target)
    wanted = [*levels, *[levels[-1]] * len(MONTHS)][: len(MONTHS) - AT]
    assert np.array_equal(made[:, AT:], np.broadcast_to(wanted, made[:, AT:].shape))
    assert np.array_equal(made[:, :AT], BASE.column(target)[:, :AT])


@settings(max_examples=30, deadline=None)
@given(target=st.sampled_from(PLAIN), amount=st.floats(-1.5, 1.5))
def test_a_shift_adds_its_amount_and_stops_at_nothing(target, amount) -> None:
    by = amount * float(BASE.column(target).mean())
    made = under(assume(target, "shift", by)).column(target)[:, AT:]
    assert np.array_equal(made, np.maximum(BASE.column(target)[:, AT:] + by, 0.0))


@settings(max_examples=30, deadline=None)
@given(target=st.sampled_from(PLAIN), rate=st.floats(-0.9, 1.0))
def test_growth_is_on_history_and_then_on_the_imposed_path(target, rate) -> None:
    made = under(assume(target, "growth", rate)).column(target)
    known = history()[target]
    for row in range(AT, len(MONTHS)):
        ago = made[:, row - 12] if row >= 12 else known[MONTHS[row] - 12]
        assert np.allclose(made[:, row], ago * (1 + rate), rtol=1e-12)


def test_growth_without_a_year_of_history_says_so() -> None:
    short = Ground(CATALOGUE, history().loc[CUTOFF - 3 :])
    with pytest.raises(DataError, match=r"growth of ru\.coal\.value in 2027-01 needs 2026-01, which is not known"):
        impose(BASE, scenario(assume("ru.coal.value", "growth", 0.1)), short)


@settings(max_examples=20, deadline=None)
@given(target=st.sampled_from([*PLAIN, "other.gas.quantity"]), share=st.floats(0.0, 1.0))
def test_a_lift_goes_its_share_of_the_way_to_the_seasonal_level_before_the_break(target, share) -> None:
    since = pd.Period("2025-03", "M")
    made = values(under(assume(target, "lift", share, since=since), base=FULL), target)[:, AT:]
    known = (history()[target] if target in CUBE else _others_history()).loc[since - 24 : since - 1]
    normal = np.array([known[[month.month == at.month for month in known.index]].mean() for at in MONTHS[AT:]])
    before = values(FULL, target)[:, AT:]
    gap = normal - before
    gap = np.where(gap * gap.mean(axis=0) > 0, gap, 0.0)  # no path is pulled the other way
    assert np.allclose(made, before + share * gap, rtol=1e-9)


def test_a_lift_beyond_the_seasonal_level_stops_at_nothing() -> None:
    lifted = assume("ru.gas.value", "lift", 2.0, since=pd.Period("2025-03", "M"))
    made = under(lifted, base=FULL).column("ru.gas.value")
    assert made.min() == 0.0


def test_a_lift_with_less_than_a_year_before_the_break_goes_to_its_mean() -> None:
    since = history().index[6]
    made = under(assume("ru.coal.value", "lift", 1.0, since=since), base=FULL).column("ru.coal.value")
    normal = history()["ru.coal.value"].loc[: since - 1].mean()
    before = FULL.column("ru.coal.value")[:, AT:]
    up = (normal - before).mean(axis=0) > 0
    assert np.allclose(made[:, AT:], np.where(up, np.maximum(before, normal), np.minimum(before, normal)), rtol=1e-12)


def _others_history() -> pd.Series:
    return history()["world.gas.quantity"] - 1e3 * history()["ru.gas.quantity"]


def test_a_lift_without_history_says_so() -> None:
    early = history().index[1]
    with pytest.raises(DataError, match=rf"1 months of ru\.coal\.value are known before {early}.*3 are needed"):
        under(assume("ru.coal.value", "lift", 1.0, since=early))


def test_a_good_that_was_not_traded_begins_at_its_mean_price() -> None:
    paths = FULL.paths.copy()
    paths[:7, :, [CUBE.index("ru.coal.value"), CUBE.index("ru.coal.quantity")]] = 0.0
    base = FULL.with_paths(paths)
    made = under(assume("ru.coal.quantity", "floor", 1e6), base=base)
    mean = base.column("ru.coal.value").mean(axis=0) / base.column("ru.coal.quantity").mean(axis=0)
    assert np.allclose(made.column("ru.coal.value")[:7, AT:], 1e6 * mean[AT:], rtol=0.2)
    assert np.allclose(made.column("ru.imports") - base.column("ru.imports"),
                       made.column("ru.coal.value") - base.column("ru.coal.value"), atol=1e-6)  # fmt: skip


def test_what_rounding_leaves_of_a_good_does_not_make_a_price() -> None:
    paths = FULL.paths.copy()
    paths[:7, :, CUBE.index("ru.coal.value")], paths[:7, :, CUBE.index("ru.coal.quantity")] = 1e-3, 1e-9
    base = FULL.with_paths(paths)
    made = under(assume("ru.coal.quantity", "floor", 1e6), base=base)
    assert made.column("ru.coal.value").max() < 1e6 * 0.02 * 10


# --- Sizes -----------------------------------------------------------------------------------------------


def test_the_sizes_of_an_assumption_are_the_same_beside_others_and_for_other_series() -> None:
    ban = assume("ru.gas.quantity", "ban", Size((0.2, 0.5, 0.9), "triangular"))
    alone, beside = under(ban), under(assume("ru.cars.quantity", "scale", 0.3), ban)
    assert same(alone, beside, "ru.gas.quantity")
    turned = BASE.select(tuple(reversed(CUBE)))
    assert np.allclose(under(ban, base=turned).select(CUBE).paths, alone.paths, rtol=1e-12)
    assert not np.allclose(under(ban, seed=1).column("ru.gas.quantity"), alone.column("ru.gas.quantity"))


def test_the_order_of_series_changes_no_number() -> None:
    several = (
        assume("ru.cars.quantity", "ban", 0.7),
        assume("other.gas.quantity", "cap", 4e6),
        assume("ru.trade", "scale", -0.1),
    )
    straight, turned = under(*several), under(*several, base=BASE.select(tuple(sorted(CUBE))))
    assert np.allclose(turned.select(CUBE).paths, straight.paths, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.0, 1.5), per=st.sampled_from(["quarter", "year", "fiscal_year"]))
def test_a_quota_is_used_up_first_come_first_served(share, per) -> None:
    before = FULL.column("ru.cars.quantity")
    quota = share * float(before[:, AT : AT + 3].sum(axis=1).mean())
    made = under(assume("ru.cars.quantity", "cap", quota, per=per), base=FULL).column("ru.cars.quantity")
    spans = MONTHS.asfreq({"quarter": "Q-DEC", "year": "Y-DEC", "fiscal_year": "Y-MAR"}[per])
    for span in dict.fromkeys(spans[AT:]):
        inside = [row for row in range(AT, len(MONTHS)) if spans[row] == span]
        had, got = before[:, inside], made[:, inside]
        assert np.allclose(got.sum(axis=1), np.minimum(had.sum(axis=1), quota))
        assert np.allclose(got.cumsum(axis=1), np.minimum(had.cumsum(axis=1), quota))
    holds_identities(under(assume("ru.cars.quantity", "cap", quota, per=per), base=FULL), FULL)


# --- Re-routing ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.0, 1.0), lag=st.integers(0, 40), size=st.floats(0.0, 1.0), ramp=st.integers(0, 3))
def test_what_is_lost_arrives_later_in_the_other_unit_at_the_price_there(share, lag, size, ramp) -> None:
    way = Reroute("other.gas.quantity", Size((share,)), lag)
    made = under(assume("ru.gas.quantity", "ban", size, ramp=ramp, reroute=(way,)), base=FULL)
    lost = FULL.column("ru.gas.quantity") - made.column("ru.gas.quantity")
    arrived = np.zeros_like(lost)
    for row in range(lag, lost.shape[1]):
        arrived[:, row] = share * 1000.0 * lost[:, row - lag]
    gained = values(made, "other.gas.quantity") - values(FULL, "other.gas.quantity")
    assert np.allclose(gained, arrived, atol=1e-3)
    paid = values(made, "other.gas.value") - values(FULL, "other.gas.value")
    assert np.allclose(paid, arrived * values(FULL, "other.gas.price"), atol=1e-3)
    holds_identities(made, FULL)


@settings(max_examples=20, deadline=None)
@given(size=st.floats(0.0, 1.0), good=st.sampled_from(["gas", "cars"]))
def test_all_of_it_at_once_leaves_the_world_as_it_was(size, good) -> None:
    way = Reroute(f"other.{good}.quantity", Size((1.0,)))
    made = under(assume(f"ru.{good}.quantity", "ban", size, reroute=(way,)))
    world = f"world.{good}.quantity"
    assert np.allclose(made.column(world), BASE.column(world), rtol=1e-9)


def test_what_goes_elsewhere_may_keep_the_price_it_had_here() -> None:
    way = Reroute("other.gas.quantity", Size((1.0,)), at_origin=True)
    made = under(assume("ru.gas.quantity", "ban", 0.5, reroute=(way,)), base=FULL)
    assert (made.column("ru.gas.value") < FULL.column("ru.gas.value")).any()
    for one in ("world.gas.quantity", "world.gas.value"):
        assert np.allclose(made.column(one), FULL.column(one), rtol=1e-9)
    holds_identities(made, FULL)


@settings(max_examples=60, deadline=None)
@given(
    to=st.sampled_from(["other.cars.value", "world.imports", "ru.coal.value", "ru.tools.value", "ru.exports"]),
    size=st.floats(-1.0, 1.0), lag=st.integers(0, 3), share=st.floats(0.0, 1.0),
)  # fmt: skip
def test_identities_hold_wherever_it_goes(to, size, lag, share) -> None:
    made = under(assume("ru.gas.value", "scale", size, reroute=(Reroute(to, Size((share,)), lag),)))
    holds_identities(made, BASE)


def test_nothing_is_sent_to_a_series_that_is_not_forecast() -> None:
    way = Reroute("other.gas.quantity", Size((1.0,)))
    part = BASE.select(("ru.gas.quantity", "ru.gas.value"))
    with pytest.raises(DataError, match=r"other\.gas\.quantity is not in this forecast"):
        under(assume("ru.gas.quantity", "ban", 1.0, reroute=(way,)), base=part)
    with pytest.raises(DataError, match=r"ru\.coal\.value is not in this forecast"):
        under(assume("ru.coal.value", "ban", 1.0), base=part)


# --- Covariates ------------------------------------------------------------------------------------------


def yen(kind: str = "scale", size: float = 0.0, elasticity: float = 1.0, lag: int = 0, **more: object) -> Assumption:
    through = PassThrough("*.gas.price", Size((elasticity,)), lag)
    return assume("usd_jpy", kind, size, covariate=True, pass_through=(through,), **more)


@settings(max_examples=60, deadline=None)
@given(size=st.floats(-0.9, 2.0), elasticity=st.floats(-2.0, 2.0), lag=st.integers(0, 40), ramp=st.integers(0, 4))
def test_a_covariate_passes_through_by_its_elasticity_and_lag(size, elasticity, lag, ramp) -> None:
    made = under(yen("scale", size, elasticity, lag, ramp=ramp), base=FULL)
    since = np.arange(len(MONTHS)) - lag - AT
    factor = (1 + size * np.clip((since + 1) / (ramp + 1), 0, 1)) ** elasticity
    for price in ("ru.gas.price", "world.gas.price", "other.gas.price"):
        assert np.allclose(values(made, price), values(FULL, price) * factor, rtol=1e-6)
    assert all(same(made, FULL, one) for one in STORED if one.endswith("quantity") or "cars" in one)
    holds_identities(made, FULL)


def test_a_covariate_starts_from_its_own_level() -> None:
    rates = pd.DataFrame({"usd_jpy": np.linspace(140.0, 160.0, len(MONTHS))}, index=MONTHS)
    for one in (yen("shift", -20.0), yen("path", levels=(120.0, 125.0))):
        made = under(one, base=FULL, covariates=rates)
        level = rates["usd_jpy"] - 20.0 if one.kind == "shift" else np.where(MONTHS == START, 120.0, 125.0)
        factor = np.where(np.arange(len(MONTHS)) >= AT, level / rates["usd_jpy"], 1.0)
        assert np.allclose(values(made, "ru.gas.price"), values(FULL, "ru.gas.price") * factor, rtol=1e-9)


@pytest.mark.parametrize("rates", [[150.0, 150.0], [150.0] * 17 + [0.0], [10.0] * 18])
def test_a_covariate_that_is_not_above_zero_throughout_is_refused(rates) -> None:
    known = pd.DataFrame({"usd_jpy": rates}, index=MONTHS[: len(rates)])
    with pytest.raises(DataError, match="usd_jpy is not above zero in every month to 2028-02"):
        under(yen("shift", -20.0), covariates=known)


def test_what_a_model_makes_of_a_covariate_goes_into_the_wholes() -> None:
    sizes = np.array([-0.2, 0.0, 0.2])
    column = np.stack([np.full(len(MONTHS), 1 + 0.5 * size) for size in sizes])
    acting = assume("usd_jpy", "scale", 0.1, covariate=True)
    made = under(acting, responses={acting: Response(sizes, {"ru.gas.value": column})})
    assert np.allclose(made.column("ru.gas.value"), BASE.column("ru.gas.value") * 1.05, rtol=1e-12)
    assert same(made, BASE, "ru.exports")
    holds_identities(made, BASE)


# --- Spillover -------------------------------------------------------------------------------------------


def coupled(seed: int = 0, paths: int = 4000) -> Forecast:
    """Gas and coal that go wrong together; trucks that do not."""
    base = forecast(seed, paths=paths, h=8)
    made = base.paths.copy()
    noise = np.random.default_rng(seed).normal(size=(2, paths, 8))
    for one, mix in (("ru.gas.value", (1.0, 0.0)), ("ru.coal.value", (0.8, 0.6))):
        made[:, :, CUBE.index(one)] = 10_000.0 + 1_000.0 * (mix[0] * noise[0] + mix[1] * noise[1])
    made[:, :, CUBE.index("ru.gas.quantity")] = made[:, :, CUBE.index("ru.gas.value")] / 90.0
    return base.with_paths(made)


def test_spillover_moves_others_by_the_regression_and_leaves_relatives_alone() -> None:
    base = coupled()
    cut = assume("ru.gas.value", "shift", -1_000.0)
    plain, spilt = under(cut, base=base), under(cut, base=base, spillover=True)
    for relative in ("ru.gas.value", "ru.gas.quantity", "world.gas.value", "world.gas.quantity"):
        assert same(plain, spilt, relative)
    row = AT + 1
    gas, coal = base.column("ru.gas.value")[:, row], base.column("ru.coal.value")[:, row]
    slope = np.cov(gas, coal)[0, 1] / gas.var()
    moved = (spilt.column("ru.coal.value") - base.column("ru.coal.value"))[:, row]
    assert np.allclose(moved, -1_000.0 * slope, rtol=0.02)
    assert -850.0 < moved.mean() < -750.0
    total = (spilt.column("ru.imports") - plain.column("ru.imports"))[:, row]
    assert np.allclose(total, moved, atol=1e-6)
    assert np.array_equal(spilt.paths[:, :AT], base.paths[:, :AT])


def test_a_series_without_spread_does_not_stop_the_others() -> None:
    base = coupled(paths=500)
    still = base.paths.copy()
    still[:, :, CUBE.index("ru.tools.value")] = 7.0
    cut = assume("ru.gas.value", "shift", -1_000.0)
    free, held = (under(cut, base=one, spillover=True) for one in (base, base.with_paths(still)))
    assert np.array_equal(held.column("ru.coal.value"), free.column("ru.coal.value"))
    assert (held.column("ru.tools.value") == 7.0).all()


@settings(max_examples=30, deadline=None)
@given(one=assumptions())
def test_identities_hold_after_spillover(one) -> None:
    base = forecast(2, none=0.1, paths=25)
    made = under(one, base=base, spillover=True)
    holds_identities(made, base)


def test_spillover_of_a_price_comes_from_its_value() -> None:
    base = coupled(paths=500)
    made = under(assume("ru.gas.price", "scale", -0.1), base=base, spillover=True)
    assert (made.column("ru.coal.value")[:, AT:] < base.column("ru.coal.value")[:, AT:]).all()


# --- Sums of more than two -------------------------------------------------------------------------------


def test_a_sum_of_three_is_all_three() -> None:
    parts = tuple(Series(one, one, "t") for one in "abc")
    catalogue = Catalogue((*parts, Series("all", "all", "t", formula="sum", terms=("a", "b", "c"))))
    months = pd.period_range("2026-09", periods=3, freq="M")
    base = Forecast(np.random.default_rng(0).random((5, 3, 3)), months, ("a", "b", "c"), (CUTOFF,) * 3, "m")
    half = assume("all", "scale", -0.5, start=months[0])
    made = impose(base, scenario(half), Ground(catalogue, pd.DataFrame()))
    assert np.allclose(made.paths, base.paths * 0.5)
    capped = impose(base, scenario(assume("all", "cap", 0.9, start=months[0])), Ground(catalogue, pd.DataFrame()))
    assert np.allclose(capped.paths.sum(axis=2), np.minimum(base.paths.sum(axis=2), 0.9))
