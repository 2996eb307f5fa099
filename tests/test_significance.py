"""Tests of significance: slow oracles, the size they promise, and words where nothing can be said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_scores import rows_of, several

from forecasting.errors import DataError
from forecasting.scores import with_regime
from forecasting.significance import (
    best_models,
    bootstrapped,
    compare,
    confidence_set,
    critical_value,
    fluctuation,
    losses_by_cutoff,
    pairwise,
    smoothed,
    stationary_blocks,
)

FAST = {"draws": 300}


def moving(rng: np.random.Generator, origins: int, horizon: int, models: int = 1) -> np.ndarray:
    """Losses (T × k) that share ``horizon`` − 1 shocks from one origin to the next."""
    noise = rng.normal(size=(origins + horizon - 1, models))
    return np.stack([np.convolve(one, np.ones(horizon), "valid") for one in noise.T], axis=1)


# Diebold–Mariano


@pytest.mark.parametrize(("origins", "horizon"), [(12, 1), (40, 1), (40, 4), (60, 12)])
def test_hln_of_statsmodels_is_the_formula(origins: int, horizon: int) -> None:
    d = moving(np.random.default_rng(0), origins, horizon)[:, 0] + 0.4
    centred = d - d.mean()
    variance = centred @ centred / origins
    for lag in range(1, horizon):
        variance += 2 * (1 - lag / horizon) * (centred[lag:] @ centred[:-lag]) / origins
    factor = np.sqrt((origins + 1 - 2 * horizon + horizon * (horizon - 1) / origins) / origins)
    statistic = factor * d.mean() / np.sqrt(variance / origins)
    assert compare(d, horizon).p_hln == pytest.approx(2 * stats.t.sf(abs(statistic), origins - 1))


def test_without_overlap_it_is_the_t_test() -> None:
    d = np.random.default_rng(1).normal(0.3, 1.0, 30)
    expected = stats.ttest_1samp(d, 0)
    result = compare(d, 1)
    assert (result.statistic, result.p, result.p_hln) == pytest.approx((expected.statistic, expected.pvalue, result.p))


@pytest.mark.parametrize(("origins", "horizon"), [(12, 1), (40, 1), (40, 3), (40, 6), (60, 12)])
def test_equally_good_models_differ_in_one_case_of_twenty(origins: int, horizon: int) -> None:
    rng = np.random.default_rng(2)
    rejected = [compare(moving(rng, origins, horizon)[:, 0], horizon).p < 0.05 for _ in range(400)]
    assert 0.02 <= np.mean(rejected) <= 0.10


def test_pairwise_by_step_against_plain_pandas() -> None:
    rows = several({"a": 1.0, "b": 2.0, "c": 0.5}, (30, 2, 3))
    table = pairwise(rows)
    assert table.columns.tolist() == [
        "step", "kind", "model", "other", "cutoffs", "horizon", "difference", "statistic", "p", "p_hln", "note",
    ]  # fmt: skip
    assert table[["step", "model", "other"]].to_numpy().tolist() == [
        [step, *pair] for step in (1, 2) for pair in (["a", "b"], ["a", "c"], ["b", "c"])
    ]
    assert table["horizon"].tolist() == [1, 1, 1, 2, 2, 2]
    one = rows[(rows["step"] == 1)].pivot_table(index="cutoff", columns="model", values="crps", aggfunc="mean")
    expected = stats.ttest_rel(one["a"], one["b"])
    assert table.iloc[0][["difference", "p"]].tolist() == pytest.approx([(one["a"] - one["b"]).mean(), expected.pvalue])


def test_horizons_are_counted_in_cutoffs() -> None:
    rows = rows_of(np.random.default_rng(0).normal(size=(20, 6, 2)), every=3)
    assert [one.horizon for one in losses_by_cutoff(rows, "mase", ["step"])] == [1, 1, 1, 2, 2, 2]
    assert [one.horizon for one in losses_by_cutoff(rows, "mase")] == [2]


def test_regimes_are_tested_apart() -> None:
    rows = with_regime(several({"a": 1.0, "b": 3.0}, (84, 1, 4)))
    table = pairwise(rows, by=["regime"])
    assert table["regime"].tolist() == ["before 2020", "pandemic"]
    assert (table["p"] < 0.05).all()


def test_what_cannot_be_tested_is_said() -> None:
    few = pairwise(several({"a": 1.0, "b": 2.0}, (1, 1, 3))).iloc[0]
    assert np.isnan([few["p"], few["p_hln"]]).all()
    assert few["note"] == "1 cutoff: 6 are needed"
    overlap = pairwise(several({"a": 1.0, "b": 2.0}, (30, 12, 1))).query("step == 12").iloc[0]
    assert np.isnan(overlap["p"])
    assert overlap["note"] == "30 cutoffs: 36 are needed for forecasts that reach over 12"
    same = pairwise(several({"a": 1.0, "b": 1.0}, (20, 1, 3))).iloc[0]
    assert (same["p"], same["note"]) == (1.0, "the same losses")
    assert pairwise(several({"a": 1.0}, (20, 1, 3))).empty
    assert compare(np.full(10, 0.5), 1).note == "the same difference at every cutoff"


def test_series_without_a_scale_and_unknown_losses() -> None:
    rows = several({"a": 1.0, "b": 2.0}, (20, 1, 3))
    constant = rows.assign(scale=rows["scale"].where(rows["series"] != "s0", 0.0))
    pd.testing.assert_frame_equal(pairwise(constant), pairwise(rows[rows["series"] != "s0"]))
    assert pairwise(rows.assign(scale=0.0)).empty
    with pytest.raises(DataError, match="mae cannot be compared over series: choose one of mase"):
        pairwise(rows, loss="mae")


# Model confidence set


def test_confidence_set_against_a_slow_reading_of_the_paper() -> None:
    losses = np.random.default_rng(5).normal(size=(25, 4)) + np.array([0.0, 0.2, 0.5, 1.0])
    null = bootstrapped(losses, 1, 200, seed=0)
    p, left, highest = {}, [0, 1, 2, 3], 0.0
    while len(left) > 1:
        t, drawn = {}, {}
        for i in left:
            other = np.mean([[null.means[r, i] - null.means[r, j] for j in left] for r in range(200)], axis=1)
            deviation = np.sqrt(np.mean(other**2))
            t[i] = np.mean([losses[:, i].mean() - losses[:, j].mean() for j in left]) / deviation
            drawn[i] = other / deviation
        worst = max(left, key=lambda i: t[i])
        highest = max(highest, np.mean([max(drawn[i][r] for i in left) >= t[worst] for r in range(200)]))
        p[worst] = highest
        left.remove(worst)
    expected = [p.get(i, 1.0) for i in range(4)]
    assert confidence_set(losses, null) == pytest.approx(expected)


def test_the_best_has_one_and_a_bad_model_is_thrown_out() -> None:
    rows = several({"good": 1.0, "alike": 1.05, "bad": 4.0}, (40, 3, 5))
    table = best_models(rows, **FAST).set_index("model")
    assert table["p"].max() == 1.0
    assert table["p"].idxmax() == table["loss"].idxmin()
    assert table.loc["bad", "p"] < 0.05
    assert table.loc["bad", "p_bootstrap"] < 0.05
    assert table["rank"].sort_values().tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(best_models(rows, **FAST), best_models(rows.sample(frac=1.0, random_state=0), **FAST))


def test_equally_good_models_stay_in_the_set() -> None:
    rng = np.random.default_rng(6)
    thrown = []
    for _ in range(150):
        losses = moving(rng, 40, 6, 4)
        thrown.append(confidence_set(losses, smoothed(losses, 6, 300, seed=0)).min() < 0.05)
    assert np.mean(thrown) <= 0.12


def test_confidence_set_with_nothing_to_compare() -> None:
    alone = best_models(several({"a": 1.0}, (20, 1, 2))).iloc[0]
    assert np.isnan(alone["p"])
    assert alone["note"] == "one model: nothing to compare"
    single = best_models(several({"a": 1.0, "b": 2.0}, (1, 1, 2)))
    assert single["p"].isna().all()
    assert (single["note"] == "1 cutoff: 6 are needed").all()
    same = best_models(several({"a": 1.0, "b": 1.0}, (20, 1, 2)), **FAST)
    assert same["p"].tolist() == [1.0, 1.0]
    perfect = rows_of(np.zeros((20, 1, 2)), spread=0.0).assign(crps=0.0, pit=0.5)
    table = best_models(pd.concat([perfect, several({"b": 2.0}, (20, 1, 2)).assign(actual=0.0)]), **FAST)
    assert table["p"].tolist()[1] == 1.0


def test_stationary_blocks_have_the_wanted_length() -> None:
    chosen = stationary_blocks(50, 5.0, 400, np.random.default_rng(7))
    assert chosen.min() == 0
    assert chosen.max() == 49
    follows = (chosen[:, 1:] == (chosen[:, :-1] + 1) % 50).mean()
    assert follows == pytest.approx(1 - 1 / 5, abs=0.02)
    counts = np.bincount(chosen.ravel(), minlength=50) / 400
    assert counts == pytest.approx(np.ones(50), abs=0.3)


# Over time


def test_critical_values_are_those_of_the_paper_when_much_is_known() -> None:
    """Giacomini and Rossi 2010, Table 1, 5 % two-sided: window 0.3 → 3.012, 0.5 → 2.779 in continuous time."""
    assert critical_value(300, 90, 1, seed=0) == pytest.approx(3.012, abs=0.2)
    assert critical_value(300, 150, 1, seed=0) == pytest.approx(2.779, abs=0.2)
    assert critical_value(40, 12, 6, seed=0) > 3.2


def test_fluctuation_sees_a_model_that_was_better_only_once() -> None:
    errors = np.random.default_rng(8).normal(size=(80, 1, 6))
    errors[40:] *= 4.0  # the wide forecast is right only then
    rows = pd.concat([rows_of(errors, 1.0, "seasonal_naive"), rows_of(errors, 4.0, "wide")])
    table = fluctuation(rows)
    assert len(table) == 80 - 24 + 1
    assert table.iloc[0][["first", "last"]].tolist() == ["2015-01", "2016-12"]
    assert table.iloc[0]["difference"] > 0 > table.iloc[-1]["difference"]
    assert table["outside"].any()
    assert (table["outside"] == (table["statistic"].abs() > table["critical"])).all()


def test_fluctuation_of_equally_good_models_stays_inside() -> None:
    rng = np.random.default_rng(9)
    outside = []
    for _ in range(60):
        a, b = rng.normal(size=(2, 40, 1, 2))
        rows = pd.concat([rows_of(a, 1.0, "seasonal_naive"), rows_of(a, 1.0, "m")], ignore_index=True)
        rows["crps"] = np.concatenate([np.abs(a).ravel(), np.abs(b).ravel()])
        outside.append(fluctuation(rows)["outside"].any())
    assert np.mean(outside) <= 0.15


def test_fluctuation_says_what_it_cannot() -> None:
    with pytest.raises(DataError, match="No forecast of naive"):
        fluctuation(several({"a": 1.0}), base="naive")
    few = fluctuation(several({"seasonal_naive": 1.0, "b": 2.0}, (3, 1, 2)))
    assert few["statistic"].isna().all()
    assert not few["outside"].any()
    assert (few["note"] == "3 cutoffs: 6 are needed").all()
    same = fluctuation(several({"seasonal_naive": 1.0, "b": 1.0}, (20, 1, 2)))
    assert (same["note"] == "the same difference at every cutoff").all()
