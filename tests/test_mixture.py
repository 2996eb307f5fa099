"""Mixtures of scenarios are made of whole paths in exact shares; weights are Bayes, and keep what Bayes promises."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forecasting.errors import DataError
from forecasting.forecast import QUANTILES, Forecast
from forecasting.mixture import Density, allotment, log_densities, mix, shares, weigh, weights
from forecasting.seeds import stream

MONTHS = pd.period_range("2026-01", periods=4, freq="M")
HISTORY = pd.period_range("2022-01", "2025-12", freq="M")
SERIES = ("exports", "imports", "trade")
PRIOR = {"less": 0.3, "ban": 0.2, "baseline": 0.5}
PROBABILITIES = st.lists(st.integers(0, 100), min_size=1, max_size=5).map(lambda parts: [p / 500 for p in parts])


def with_trade(parts: np.ndarray) -> np.ndarray:
    return np.concatenate([parts, parts.sum(axis=-1, keepdims=True)], axis=-1)


def draw(count: int, *names: object) -> np.ndarray:
    shocks = 0.08 * stream(0, *names).standard_normal((count, len(MONTHS), 2))
    return with_trade(np.array([100.0, 60.0]) * np.exp(shocks.cumsum(axis=1)))


def under(scenario: str, paths: np.ndarray, less: float = 0.8, residual: float = 0.0) -> np.ndarray:
    factor = {"baseline": (1.0, 1.0), "less": (less, 1.0), "ban": (1.0, residual)}[scenario]
    return with_trade(paths[..., :2] * factor)


def forecast(paths: np.ndarray, scenario: str = "baseline", cutoff: str = "2025-12") -> Forecast:
    return Forecast(paths, MONTHS, SERIES, (pd.Period(cutoff, "M"),) * 3, "invented", scenario)


def cubes(count: int = 500, less: float = 0.8, seed: int = 0) -> dict[str, Forecast]:
    base = draw(count, "cube", seed)
    return {one: forecast(under(one, base, less), one) for one in PRIOR}


def landed(came: np.ndarray, until: int = len(MONTHS)) -> pd.DataFrame:
    """History and what came (h × n), of which the first months have landed."""
    past = with_trade(np.array([100.0, 60.0]) * np.exp(0.08 * stream(0, "past").standard_normal((len(HISTORY), 2))))
    actual = pd.DataFrame(np.vstack([past, came]), HISTORY.append(MONTHS), list(SERIES))
    return actual.iloc[: len(HISTORY) + until]


def reordered(given: Mapping[str, object]) -> dict[str, object]:
    return dict(reversed(given.items()))


# Probabilities


@given(PROBABILITIES)
def test_the_baseline_takes_what_is_left(parts: list[float]) -> None:
    found = weights({f"s{at}": part for at, part in enumerate(parts)})
    assert [found[f"s{at}"] for at in range(len(parts))] == parts
    assert list(found)[-1] == "baseline"
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-12)
    assert min(found.values()) >= 0.0


def test_nothing_is_left_to_the_baseline_by_rounding() -> None:
    assert weights({"a": 0.1, "b": 0.2, "c": 0.7})["baseline"] == 0.0
    assert weights({"a": 0.3, "baseline": 0.7}) == {"a": 0.3, "baseline": 0.7}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"a": 1.2}, "a has probability 1.2"),
        ({"a": -0.1}, "a has probability -0.1"),
        ({"a": float("nan")}, "a has probability nan"),
        ({"a": True}, "a has probability True"),
        ({"a": 0.7, "b": 0.5}, r"sum to 1.2 \(0.7 \+ 0.5\)"),
        ({"a": None, "b": None}, "No scenario has a probability"),
        ({}, "No scenario has a probability"),
        ({"a": 0.2, "b": None}, "Scenario b has no probability: add"),
        ({"a": 0.2, "baseline": 0.5}, "baseline is given 0.5, but the others leave 0.8"),
    ],
)
def test_probabilities_that_cannot_be_are_refused_in_one_line(stated: dict, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        weights(stated)
    assert "\n" not in str(caught.value)


# The mixture


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 200), st.integers(0, 60), st.integers(0, 40), st.integers(0, 5))
def test_every_path_is_one_scenarios_own_and_shares_are_exact(count: int, less: int, ban: int, seed: int) -> None:
    given_, forecasts = weights({"less": less / 100, "ban": ban / 100}), cubes(count)
    mixture, whose = mix(forecasts, given_, seed), allotment(forecasts, given_, seed)
    for path, one in enumerate(whose):
        assert (mixture.paths[path] == forecasts[one].paths[path]).all()
    for one, weight in given_.items():
        assert abs((whose == one).sum() - weight * count) < 1.0
    assert mixture.scenario == "mixture"
    assert (mixture.column("exports") + mixture.column("imports") == mixture.column("trade")).all()


def test_the_order_of_scenarios_and_of_series_changes_nothing() -> None:
    forecasts = cubes()
    thirds = dict.fromkeys(PRIOR, 1 / 3)
    assert (allotment(forecasts, thirds) == allotment(reordered(forecasts), reordered(thirds))).all()
    mixture = mix(forecasts, PRIOR)
    assert (mix(reordered(forecasts), reordered(PRIOR)).paths == mixture.paths).all()
    turned = {one: each.select(SERIES[::-1]) for one, each in forecasts.items()}
    assert (mix(turned, PRIOR).select(SERIES).paths == mixture.paths).all()
    assert (mix(forecasts, PRIOR, seed=1).paths != mixture.paths).any()


@pytest.mark.parametrize("one", list(PRIOR))
def test_weight_one_gives_a_scenario_back_bit_for_bit(one: str) -> None:
    forecasts = cubes()
    mixture = mix(forecasts, {other: float(other == one) for other in PRIOR})
    assert mixture.paths.tobytes() == forecasts[one].paths.tobytes()


def test_shares_by_rank_are_nearer_to_the_exact_mixture_than_shares_at_random() -> None:
    def error(whose: np.ndarray, totals: dict[str, np.ndarray]) -> float:
        mixed = np.select([whose == one for one in totals], list(totals.values()))
        exact = np.quantile(
            np.concatenate([np.repeat(x, round(10 * PRIOR[one])) for one, x in totals.items()]), QUANTILES
        )
        return float(np.abs(np.quantile(mixed, QUANTILES) - exact).mean())

    by_rank, at_random = [], []
    for seed in range(20):
        forecasts = cubes(seed=seed)
        totals = {one: each.column("trade").sum(axis=1) for one, each in forecasts.items()}
        whose = allotment(forecasts, PRIOR, seed)
        by_rank.append(error(whose, totals))
        at_random.append(error(stream(seed, "shuffled").permutation(whose), totals))
    assert np.mean(by_rank) < 0.7 * np.mean(at_random)


def test_forecasts_that_do_not_fit_together_are_refused() -> None:
    forecasts = cubes(50)
    with pytest.raises(DataError, match="Scenario ban lacks its forecast"):
        mix({one: forecasts[one] for one in ("less", "baseline")}, PRIOR)
    with pytest.raises(DataError, match=r"weights sum to 0.5"):
        mix(forecasts, {**PRIOR, "baseline": 0.0})
    with pytest.raises(DataError, match="Scenario less has other months, series or paths"):
        mix({**forecasts, "less": cubes(60)["less"]}, PRIOR)
    with pytest.raises(DataError, match="No baseline among less"):
        mix({"less": forecasts["less"]}, {"less": 1.0})


# What each scenario adds


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 9))
def test_shares_add_up_to_mean_and_variance_of_the_exact_mixture(less: int, ban: int, seed: int) -> None:
    parts = {"less": less, "ban": ban, "baseline": 20 - less - ban}
    paths = {one: each.paths for one, each in cubes(40, seed=seed).items()}
    found = shares(paths, {one: part / 20 for one, part in parts.items()})
    whole = np.concatenate([np.tile(paths[one], (part, 1, 1)) for one, part in parts.items()])
    np.testing.assert_allclose(found.total_mean, whole.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.total_variance, whole.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.of_variance.sum(axis=0), 1.0, rtol=1e-12)


def test_one_scenario_has_no_variance_between_and_published_cells_none_at_all() -> None:
    paths = cubes(40)["baseline"].paths.copy()
    paths[:, 0] = 7.0
    found = shares({"a": paths, "baseline": paths}, {"a": 0.25, "baseline": 0.75})
    np.testing.assert_allclose(found.between, 0.0, atol=1e-20)
    np.testing.assert_allclose(found.mean[0], 0.25 * paths.mean(axis=0))
    assert np.isnan(found.of_variance[:, 0]).all()
    with pytest.raises(DataError, match="needs both paths and a weight"):
        shares({"a": paths}, {"a": 0.5, "baseline": 0.5})


# Densities


@pytest.mark.parametrize("freedom", [5.0, np.inf])
def test_densities_are_ratios_of_scipys_joint_densities(freedom: float) -> None:
    rng = stream(0, "oracle")
    paths = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 4))
    base, y = 9.0 * rng.standard_normal((300, 4)) @ rng.standard_normal((4, 4)), rng.standard_normal(4)
    base[:, 2:] *= 0.001
    ordinary, covariance = np.cov(base.T, bias=True), np.cov(paths.T, bias=True)
    lacking = np.sqrt(np.maximum(0.25 * np.diag(ordinary) - np.diag(covariance), 0.0))
    covariance += np.corrcoef(base.T) * np.outer(lacking, lacking)
    covariance = 0.8 * covariance + 0.2 * np.diag(np.diag(covariance))
    assert (lacking > 0).tolist() == [True, True, False, False]

    def joint(k: int) -> float:
        at, of = paths.mean(axis=0)[:k], covariance[:k, :k]
        if np.isinf(freedom):
            return float(stats.multivariate_normal(at, of).logpdf(y[:k]))
        return float(stats.multivariate_t(at, of * (freedom - 2) / freedom, freedom).logpdf(y[:k]))

    slow = [joint(1), *(joint(k) - joint(k - 1) for k in (2, 3, 4))]
    np.testing.assert_allclose(log_densities(paths, base, y, Density(freedom, 0.2)), slow, rtol=1e-9)


def test_a_wild_month_says_less_under_the_t_than_under_a_normal() -> None:
    paths = stream(0, "wild").standard_normal((1000, 1))

    def odds(freedom: float) -> float:
        near, far = (log_densities(paths + at, paths, np.array([8.0]), Density(freedom))[0] for at in (1, 0))
        return float(near - far)

    assert 0.0 < odds(6.0) < 0.3 * odds(np.inf)


# Weights as months land


def test_weights_without_floor_are_bayes() -> None:
    actual = landed(under("less", draw(1, "came"), 0.93)[0])
    found = weigh(cubes(less=0.93), PRIOR, actual, SERIES, floor=0.0)
    joint = {one: PRIOR[one] * np.exp(found.steps["log_density"][one].sum()) for one in PRIOR}
    for one in PRIOR:
        assert found.posterior[one] == pytest.approx(joint[one] / sum(joint.values()), rel=1e-9)
        assert found.steps["prior"][one].iloc[0] == PRIOR[one]
    assert found.log_score().sum() == pytest.approx(np.log(sum(joint.values())), rel=1e-9)
    assert found.prior == PRIOR
    assert list(found.steps.index) == list(MONTHS)
    assert found.values.tolist() == [3, 3, 3, 3]
    assert (found.steps["prior"].iloc[1:].to_numpy() == found.steps["posterior"].iloc[:-1].to_numpy()).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 20), st.sampled_from([0.0, 0.01, 0.2]))
def test_scenarios_alike_in_the_landed_months_keep_their_ratio(less: int, twin: int, seed: int, floor: float) -> None:
    forecasts = cubes(60, seed=seed)
    later = forecasts["baseline"].paths.copy()
    later[:, 2:] *= 0.5
    alike = {"less": forecasts["less"], "twin": forecast(later), "baseline": forecasts["baseline"]}
    prior = weights({"less": less / 100, "twin": twin / 100})
    found = weigh(alike, prior, landed(draw(1, "came", seed)[0], until=2), SERIES, floor)
    density = found.steps["log_density"]
    assert (density["twin"] == density["baseline"]).all()
    assert (density["less"] != density["baseline"]).all()
    ratio = found.posterior["twin"] / found.posterior["baseline"]
    assert ratio == pytest.approx(prior["twin"] / prior["baseline"], rel=1e-14)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 20), st.sampled_from([0.001, 0.01, 0.3]))
def test_no_weight_falls_below_its_floor_and_none_revives(seed: int, floor: float) -> None:
    prior = {"less": 0.0, "ban": 0.2, "baseline": 0.8}
    found = weigh(cubes(60), prior, landed(under("less", draw(1, "came", seed)[0], 0.5)), SERIES, floor)
    posterior = found.steps["posterior"]
    assert (posterior["less"] == 0.0).all()
    for one in ("ban", "baseline"):
        assert (posterior[one] >= floor * prior[one]).all()
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-12)


def test_nothing_landed_leaves_the_prior() -> None:
    found = weigh(cubes(50), PRIOR, landed(draw(1, "came")[0], until=0), SERIES)
    assert found.posterior == PRIOR
    assert len(found.steps) == len(found.values) == len(found.log_score()) == 0
    assert weigh(cubes(50), PRIOR, landed(np.zeros((4, 3))).iloc[:0], SERIES).posterior == PRIOR


def test_without_history_the_scale_is_chosen_on_the_forecast() -> None:
    found = weigh(cubes(50), PRIOR, landed(draw(1, "came")[0]).loc[MONTHS], SERIES)
    assert found.scales["exports"] == "log"
    assert len(found.steps) == len(MONTHS)


def test_months_before_the_cutoff_and_months_not_published_do_not_count() -> None:
    published = {one: forecast(each.paths, one, "2026-01") for one, each in cubes(50).items()}
    actual = landed(draw(1, "came")[0])
    actual.loc[MONTHS[2], "imports"] = np.nan
    found = weigh(published, PRIOR, actual, ("exports", "imports"))
    assert found.values.to_dict() == {MONTHS[1]: 2, MONTHS[2]: 1, MONTHS[3]: 2}


def test_a_month_that_lands_leaves_the_earlier_rows_as_they_were() -> None:
    came = draw(1, "came")[0]
    came[2:] = 0.0
    whole = weigh(cubes(), PRIOR, landed(came), SERIES).steps
    for until in (1, 2, 3):
        part = weigh(cubes(), PRIOR, landed(came, until), SERIES).steps
        pd.testing.assert_frame_equal(part, whole.iloc[:until], rtol=1e-9, check_freq=False)


def test_weights_do_not_depend_on_the_order_of_scenarios_or_series() -> None:
    forecasts, actual = cubes(), landed(under("less", draw(1, "came"), 0.9)[0])
    found = weigh(forecasts, PRIOR, actual, SERIES)
    turned = weigh(reordered(forecasts), reordered(PRIOR), actual[list(SERIES[::-1])], SERIES[::-1])
    assert found.posterior == turned.posterior
    pd.testing.assert_frame_equal(found.steps, turned.steps[found.steps.columns], check_exact=True)


def test_a_ban_without_residual_is_found_though_it_leaks() -> None:
    actual = landed(under("ban", draw(1, "came"), residual=0.05)[0])
    found = weigh(cubes(), PRIOR, actual, ("imports",))
    assert found.posterior["ban"] > 0.9
    assert np.isfinite(found.steps["log_density"].to_numpy()).all()
    assert found.scales == {"imports": "square root, not below zero"}


def test_trade_that_stops_where_nobody_foretold_it_is_finite() -> None:
    only = {one: each for one, each in cubes().items() if one != "ban"}
    found = weigh(only, {"less": 0.5, "baseline": 0.5}, landed(np.zeros((4, 3))), SERIES)
    assert found.scales["exports"] == "log"
    assert np.isfinite(found.steps.to_numpy()).all()
    assert found.posterior["less"] > 0.5
    almost = weigh(only, {"less": 0.5, "baseline": 0.5}, landed(np.full((4, 3), 0.01)), SERIES)
    assert found.posterior == almost.posterior


def test_a_series_that_no_scenario_moves_from_one_value_is_weighed_too() -> None:
    dead = {one: each.with_paths(np.where(np.arange(3) == 1, 60.0, each.paths)) for one, each in cubes(50).items()}
    found = weigh(dead, PRIOR, landed(np.full((4, 3), 61.0)), ("imports",))
    assert found.steps["log_density"].abs().to_numpy().max() < 30
    assert found.posterior == pytest.approx(PRIOR, rel=1e-12)


def test_a_scenario_of_weight_nothing_may_foretell_best_without_harm() -> None:
    prior = {"less": 0.0, "ban": 0.2, "baseline": 0.8}
    actual = landed(under("less", draw(1, "came"), 0.01)[0])
    found = weigh(cubes(less=0.01), prior, actual, ("exports",), fit=Density(freedom=np.inf))
    assert found.steps["log_density"]["less"].sum() > found.steps["log_density"]["baseline"].sum() + 750
    assert found.posterior == pytest.approx(prior, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.integers(1, 60), st.integers(1, 39), st.sampled_from([0.0, 0.01, 0.1]))
def test_the_mixture_loses_at_most_minus_log_prior_to_the_best(seed: int, less: int, ban: int, floor: float) -> None:
    prior = weights({"less": less / 100, "ban": ban / 100})
    truth = str(stream(seed, "which").choice(list(prior)))
    found = weigh(cubes(80), prior, landed(under(truth, draw(1, "came", seed))[0]), SERIES, floor)
    for one, weight in prior.items():
        regret = found.steps["log_density"][one].sum() - found.log_score().sum()
        assert regret <= -np.log(weight) - len(MONTHS) * np.log(1.0 - floor) + 1e-9


@pytest.mark.parametrize("truth", list(PRIOR))
def test_weights_converge_to_the_scenario_that_came_true(truth: str) -> None:
    forecasts = cubes(less=0.7)
    found = [weigh(forecasts, PRIOR, landed(under(truth, draw(1, "true", at), 0.7)[0]), SERIES) for at in range(15)]
    mean = pd.concat([one.steps["posterior"][truth] for one in found], axis=1).mean(axis=1)
    assert mean.iloc[-1] > 0.9
    assert mean.iloc[-1] > PRIOR[truth]


def test_weights_are_calibrated() -> None:
    """Truth drawn from the prior: the truth's weight is on average what the weights promise, Σ weight², and the mean
    weight of every scenario is its prior."""
    prior = {"less": 0.4, "baseline": 0.6}
    forecasts = {one: each for one, each in cubes(1000, less=0.9).items() if one in prior}
    found = []
    for at in range(250):
        truth = str(stream(at, "truth").choice(list(prior), p=list(prior.values())))
        came = under(truth, draw(1, "true", at), 0.9)[0]
        posterior = weigh(forecasts, prior, landed(came, 2), ("exports", "imports"), floor=0.0).posterior
        found.append((posterior[truth] - sum(p**2 for p in posterior.values()), posterior["less"] - 0.4))
    surprise, drift = np.array(found).T
    for off in (surprise, drift):
        assert abs(off.mean()) < 3.5 * off.std() / np.sqrt(len(off))
    assert drift.std() > 0.1


def test_bad_requests_are_refused() -> None:
    forecasts, actual = cubes(50), landed(draw(1, "came")[0])
    with pytest.raises(DataError, match="Series cars is not among the forecast"):
        weigh(forecasts, PRIOR, actual, ("cars",))
    with pytest.raises(DataError, match="Series trade is not among the published figures"):
        weigh(forecasts, PRIOR, actual[["exports", "imports"]], SERIES)
    with pytest.raises(DataError, match=r"floor of the weights is 1.0"):
        weigh(forecasts, PRIOR, actual, SERIES, floor=1.0)
