"""What it would take: the nearest path of the levers, against slow oracles, and clear answers where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import ForecastingError
from forecasting.forecast import Forecast
from forecasting.statements import Linear, parse, rows
from forecasting.stress import Lever, lever_series, levers_of, stress

CATALOGUE = Catalogue(
    (
        Series("trade", "Trade", "mn", formula="sum", terms=("exports", "imports")),
        Series("exports", "Exports", "mn"),
        Series("imports", "Imports", "mn"),
        Series("cars", "Cars", "mn", parent="exports"),
        Series("tools", "Tools", "mn", parent="exports"),
        Series("new", "New cars", "mn", parent="cars"),
        Series("number", "Cars, number", "units"),
        Series("price", "Car price", "mn/units", formula="ratio", terms=("cars", "number")),
        Series("gas", "Gas", "mn", parent="imports"),
    )
)
SERIES = ("trade", "exports", "imports", "cars", "tools", "new", "number", "gas")
MONTHS = pd.period_range("2026-09", periods=7, freq="M")
HISTORY = pd.DataFrame(100.0, index=pd.period_range("2024-01", "2026-08", freq="M"), columns=list(SERIES))


def cube(seed: int = 0, paths: int = 2000) -> Forecast:
    """Number times price is cars, cars and tools are exports; October's number is published early."""
    rng = np.random.default_rng(seed)

    def one(level: float, spread: float) -> np.ndarray:
        walk = np.cumsum(rng.normal(0, spread, (paths, len(MONTHS))), axis=1)
        return level * np.exp(walk + rng.normal(0, spread, (paths, len(MONTHS))))

    number, price, tools, gas = one(50, 0.1), one(2, 0.05), one(30, 0.1), one(80, 0.1)
    cars = number * price
    exports = cars + tools
    columns = [exports + gas, exports, gas, cars, tools, 0.6 * cars, number, gas]
    return Forecast(np.stack(columns, axis=2), MONTHS, SERIES, (pd.Period("2026-08", "M"),) * len(SERIES), "m")


def target(forecast: Forecast, text: str) -> Linear:
    return rows([parse(text, CATALOGUE)], forecast, HISTORY)


def asked(forecast: Forecast, text: str, *levers: str, spillover: bool = False):
    linear = target(forecast, text)
    return stress(forecast, linear, levers_of(levers, forecast, linear, CATALOGUE), spillover)


def total(forecast: Forecast, series: str, first: int = 1, last: int = 4) -> float:
    return float(forecast.column(series)[:, first:last].sum(axis=1).mean())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    by=st.floats(0.65, 1.5).filter(lambda one: abs(one - 1) > 1e-3),
    levers=st.sampled_from([("cars",), ("cars", "tools", "gas")]),
)
def test_the_target_is_reached_in_the_mean(seed: int, by: float, levers: tuple[str, ...]) -> None:
    made = cube(seed, paths=300)
    value = by * total(made, "trade")
    found = asked(made, f"trade 2026Q4 {'<' if by < 1 else '>'} {value!r}", *levers)
    assert not found.met
    assert found.together is not None
    assert found.mean == pytest.approx(total(made, "trade"), rel=1e-9)
    moved = sum(float((one.needed - one.baseline).sum()) for one in found.together.levers)
    assert found.mean + moved == pytest.approx(value, rel=1e-6)
    assert all((one.needed >= 0).all() for one in found.together.levers)
    assert [str(one.months[0]) for one in found.together.levers] == ["2026-10"] * len(levers)
    for one in found.alone:
        assert one.way is None or one.way.distance >= found.together.distance - 1e-6
        assert one.way is None or one.distance >= one.way.distance - 1e-6


def test_closed_form_oracle() -> None:
    """With nothing at zero the path is S·e·gap / (e'·S·e) for effects e, its distance the gap's squared z-score."""
    made = cube(1)
    value = 0.95 * total(made, "exports")
    found = asked(made, f"exports 2026Q4 < {value:.6f}", "cars")
    assert found.together is not None
    cells = made.column("cars")[:, 1:4]
    covariance = np.cov(cells, rowvar=False)
    gap = value - total(made, "exports")
    shift = covariance.sum(axis=1) * gap / covariance.sum()
    path = found.together.levers[0]
    np.testing.assert_allclose(path.needed - path.baseline, shift, rtol=0.02)
    assert found.together.distance == pytest.approx(gap**2 / covariance.sum(), rel=0.01)
    np.testing.assert_allclose(path.deviations, (path.needed - path.baseline) / cells.std(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(path.percent, 100 * (path.needed / path.baseline - 1), rtol=1e-12)
    totals = made.column("exports")[:, 1:4].sum(axis=1)
    assert found.probability == pytest.approx((totals < value).mean())
    assert found.together.probability == pytest.approx((totals + gap < value).mean(), abs=2e-3)


def test_levers_that_stop_at_zero_against_a_general_solver() -> None:
    rng = np.random.default_rng(3)
    made = cube(3)
    level = np.array([0, 1.0, 10, 40, 0, 0, 0])
    common = rng.normal(0, 0.3, (2000, 1)) + rng.normal(0, 0.2, (2000, 7))
    paths = level + common * np.array([0, 1, 3, 9, 0, 0, 0])
    paths = np.maximum(paths, 0.0)
    effect = np.array([0, 1.0, 1, 1, 0, 0, 0])
    found = stress(
        made, target(made, f"exports 2026Q4 < {total(made, 'exports') - 49!r}"), [Lever("l", "mn", paths, effect)]
    )
    assert found.together is not None
    path = found.together.levers[0]
    covariance = np.cov(paths[:, 1:4], rowvar=False)
    inverse = np.linalg.inv(covariance)
    oracle = minimize(
        lambda d: d @ inverse @ d, -path.baseline * 0.97, jac=lambda d: 2 * inverse @ d, method="SLSQP",
        bounds=[(-one, None) for one in path.baseline], options={"ftol": 1e-12, "maxiter": 500},
        constraints={"type": "eq", "fun": lambda d: d.sum() + 49},
    )  # fmt: skip
    assert oracle.success
    assert path.needed.min() < 1e-6 < path.baseline.min()
    np.testing.assert_allclose(path.needed - path.baseline, oracle.x, atol=0.01)
    assert found.together.distance == pytest.approx(oracle.fun, rel=0.02)


def test_one_more_of_a_lever_moves_what_holds_it() -> None:
    made = cube(4)
    linear = target(made, "trade 2026Q4 < 1")
    of = {one.name: one.effect for one in levers_of(("cars",), made, linear, CATALOGUE)}
    of |= {one.name: one.effect for one in levers_of(("number", "price"), made, linear, CATALOGUE)}
    inside = np.array([0, 1, 1, 1, 0, 0, 0])
    number, cars = made.column("number").mean(axis=0), made.column("cars").mean(axis=0)
    np.testing.assert_allclose(of["cars"], inside)
    np.testing.assert_allclose(of["number"], inside * cars / number)
    np.testing.assert_allclose(of["price"], inside * number)
    part = levers_of(("cars",), made, target(made, "new 2026Q4 < 1"), CATALOGUE)[0]
    np.testing.assert_allclose(part.effect, inside * 0.6)
    share = levers_of(("cars",), made, target(made, "cars / exports 2026-12 < 40 %"), CATALOGUE)[0]
    np.testing.assert_allclose(share.effect, 0.6 * (np.arange(7) == 3))
    assert lever_series(("price", "tools"), CATALOGUE) == ("tools", "cars", "number")


@pytest.mark.parametrize("lever", ["cars", "number", "price"])
def test_the_uniform_change_does_it_alone(lever: str) -> None:
    made = cube(5)
    value = 0.9 * total(made, "exports")
    found = asked(made, f"exports 2026Q4 < {value!r}", lever)
    assert found.smallest is not None
    factor = np.ones(7)
    factor[1:4] += found.smallest.percent / 100
    after = made.column("cars") * factor + made.column("tools")
    assert after[:, 1:4].sum(axis=1).mean() == pytest.approx(value, rel=2e-3 if lever == "price" else 1e-6)


def test_the_smallest_lever_is_named_and_a_weak_one_says_how_far_it_gets() -> None:
    made = cube(6)
    value = 0.6 * total(made, "exports")
    found = asked(made, f"exports 2026Q4 < {value!r}", "cars", "tools")
    assert found.smallest is not None
    assert found.smallest.lever == "cars"
    weak = next(one for one in found.alone if one.lever == "tools")
    assert weak.way is None
    assert np.isnan(weak.percent)
    assert weak.furthest == pytest.approx(total(made, "cars"), rel=1e-9)


def test_a_target_that_is_met_says_so_with_numbers() -> None:
    made = cube(7)
    found = asked(made, "exports 2026Q4 < 1000", "cars")
    assert (found.met, found.together, found.alone, found.smallest) == (True, None, (), None)
    assert found.mean == pytest.approx(total(made, "exports"), rel=1e-9)
    assert found.probability == 1.0


def test_growth_targets_and_rises() -> None:
    made = cube(8)
    found = asked(made, "exports 2026Q4 yoy > 50 %", "tools")
    assert found.mean == pytest.approx(100 * (total(made, "exports") / 300 - 1), rel=1e-9)
    assert found.together is not None
    assert total(made, "exports") + float(
        (found.together.levers[0].needed - found.together.levers[0].baseline).sum()
    ) == pytest.approx(450, rel=1e-6)
    assert found.together.probability > found.probability


def test_spillover_uses_what_moves_together() -> None:
    """Gas has no part in exports; where it moves with them, it may stand in for them when asked."""
    made = cube(9)
    paths = made.paths.copy()
    paths[:, :, SERIES.index("gas")] = 0.5 * made.column("exports") + 10
    joined = made.with_paths(paths)
    value = 0.9 * total(made, "exports")
    with pytest.raises(ForecastingError, match="gas has no influence"):
        asked(joined, f"exports 2026Q4 < {value!r}", "gas")
    found = asked(joined, f"exports 2026Q4 < {value!r}", "gas", spillover=True)
    assert found.together is not None
    path = found.together.levers[0]
    assert [str(one) for one in path.months] == ["2026-09", "2026-10", "2026-11", "2026-12"]
    moved = float((path.needed - path.baseline)[1:].sum())
    assert moved == pytest.approx(-0.05 * total(made, "exports"), rel=0.05)


def test_levers_that_always_move_together() -> None:
    """Two levers that always move together leave a covariance without inverse; shrinkage gives it one."""
    made = cube(10)
    linear = target(made, f"exports 2026Q4 < {0.9 * total(made, 'exports')!r}")
    one = levers_of(("cars",), made, linear, CATALOGUE)[0]
    found = stress(made, linear, [one, Lever("twin", "mn", 2 * one.paths, one.effect)])
    assert found.together is not None
    assert np.isfinite(found.together.distance)


@pytest.mark.parametrize(
    ("text", "levers", "message"),
    [
        ("exports 2026Q4 < 50", ("cars",), "out of reach of cars: with these at zero it is still"),
        ("exports 2026Q4 < 200", ("gas",), "gas has no influence on"),
        ("exports 2026Q4 < 200", ("cars", "number"), "move one another"),
        ("exports 2026Q4 < 200", ("cars", "price"), "move one another"),
        ("exports 2026Q4 < 200", ("carz",), "Nearest: cars"),
        ("trade 2026Q4 < 200", ("trade",), "computed and no lever: name exports or imports"),
        ("exports 2026Q4 = 200", ("cars",), "is no target"),
        ("exports 2026Q4 < 200 ± 5", ("cars",), "is no target"),
        ("exports 2026Q4 < 200", (), "needs levers"),
    ],
)
def test_clear_errors(text: str, levers: tuple[str, ...], message: str) -> None:
    with pytest.raises(ForecastingError, match=message):
        asked(cube(11, paths=200), text, *levers)


def test_the_order_of_levers_changes_nothing() -> None:
    made = cube(12, paths=300)
    text = f"exports 2026Q4 < {0.9 * total(made, 'exports')!r}"
    one, other = asked(made, text, "cars", "tools"), asked(made, text, "tools", "cars")
    assert one.together is not None
    assert other.together is not None
    np.testing.assert_array_equal(one.together.levers[0].needed, other.together.levers[0].needed)
