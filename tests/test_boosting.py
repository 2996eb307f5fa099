"""What the trees learn from the panel, and the paths around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import invented
from threadpoolctl import threadpool_limits

from forecasting.errors import ModelError
from forecasting.features import known
from forecasting.models import boosting
from forecasting.models.boosting import Boosting, Errors, _cut, _draw, _ready
from forecasting.models.boosting_yearly import YearlyBoosting
from forecasting.panel import Panel

SMALL = Boosting(n_trees=40, steps=6, min_leaf=10)


def with_switch(effect: float = 0.5, series: int = 6, months: int = 96) -> Panel:
    """Noise around a mean that a 0/1 covariate, known a year ahead, shifts on the log scale."""
    rng = np.random.default_rng(5)
    index = pd.period_range("2018-01", periods=months + 12, freq="M")
    switch = pd.DataFrame({"switch": rng.integers(0, 2, len(index)).astype(float)}, index=index)
    z = effect * switch.to_numpy() + rng.normal(0.0, 0.05, (len(index), series))
    y = pd.DataFrame(1000 * np.exp(z), index=index, columns=[f"s{i}" for i in range(series)])
    return Panel(y.iloc[:months], switch)


def median(panel: Panel, future: pd.DataFrame) -> np.ndarray:
    return np.median(SMALL.fit(panel).predict(future, 400, 0).paths, axis=0)


def test_a_covariate_moves_the_forecast_the_way_it_moved_the_past() -> None:
    panel = with_switch()
    future = panel.future(panel.cutoff + 3)
    ratio = median(panel, future.assign(switch=1.0)) / median(panel, future.assign(switch=0.0))
    np.testing.assert_allclose(np.log(ratio), 0.5, atol=0.15)


def test_covariates_that_end_too_soon_are_refused() -> None:
    panel = with_switch()
    with pytest.raises(ModelError, match="boosting: covariates are not known to"):
        SMALL.fit(panel).predict(panel.future(panel.cutoff + 14), 10, 0)
    short = replace(panel, x=panel.x.loc["2019-01":])
    with pytest.raises(ModelError, match="boosting: covariates do not cover 2018-01"):
        SMALL.fit(short)


def test_errors_of_a_path_stay_together(panel: Panel) -> None:
    """Levels that wander make errors alike from month to month: a sum varies more than months drawn apart."""
    paths = SMALL.fit(panel).predict(panel.future(panel.cutoff + 3), 4000, 0).column("s0")
    rng = np.random.default_rng(0)
    apart = np.column_stack([rng.permutation(paths[:, step]) for step in range(3)])
    assert paths.sum(axis=1).var() > 1.2 * apart.sum(axis=1).var()


def test_error_vectors_are_drawn_whole_and_chained_beyond_their_length() -> None:
    vectors = np.array([[1.0, 2.0, 3.0]] * 50 + [[10.0, np.nan, np.nan]] * 50)
    errors = Errors(vectors, np.zeros(len(vectors), dtype=bool))
    whole = errors.whole(5, sparse=False)
    assert whole.shape == (50, 3)
    drawn = _draw(whole, 5, 8, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, [[1.0, 2.0, 3.0, 4.0, 5.0]] * 8)
    assert len(errors.whole(1, sparse=False)) == 100


def test_a_series_says_the_same_whatever_the_number_of_threads(panel: Panel) -> None:
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            made.append(SMALL.fit(panel).predict(panel.future(panel.cutoff + 2), 50, 0).paths)
    assert made[0].tobytes() == made[1].tobytes()


def test_it_learns_a_season_and_reaches_beyond_the_steps_it_learned() -> None:
    panel = invented(series=4, months=121)
    known = panel.until(panel.cutoff - 24)
    made = SMALL.fit(known).predict(known.future(panel.cutoff), 300, 0)
    season = np.sin(2 * np.pi * np.arange(97, 121) / 12)  # as it was invented
    centre = np.log(np.median(made.paths, axis=0))
    for at in range(4):
        assert np.corrcoef(centre[:, at], season)[0, 1] > 0.8
    spread = np.log(made.paths).std(axis=0)
    assert (spread[-1] > spread[0]).all()


def test_only_the_last_months_are_learned_from() -> None:
    panel = invented(months=90)
    old = panel.y.copy()
    old.iloc[:30] *= 50.0
    settings = replace(SMALL, max_months=60)
    one, two = (settings.fit(p).predict(p.future(p.cutoff + 2), 50, 0).paths for p in (panel, Panel(old)))
    np.testing.assert_array_equal(one, two)


def test_more_rows_than_allowed_are_thinned() -> None:
    panel = invented(series=4)
    fitted = replace(SMALL, max_rows=300).fit(panel)
    assert fitted.learned.n_rows == 300
    assert "300 rows of 4 series" in fitted.describe()["chosen"].iloc[0]


def test_one_short_series_alone_is_forecast() -> None:
    panel = invented(series=1, months=24)
    made = Boosting().fit(panel).predict(panel.future(panel.cutoff + 6), 200, 0)
    assert (made.paths > 0).all()
    assert made.paths.std(axis=0).min() > 0


def test_it_says_how_sure_it_was_out_of_sample(panel: Panel) -> None:
    described = SMALL.fit(panel).describe()
    assert described["sigma"].between(0.02, 0.3).all()
    assert (described["n_months"] == 72).all()
    assert described["leans_on"].str.len().min() > 3


def uneven(series: int = 9) -> Panel:
    """Series that begin late, have holes, zeros or a ragged edge."""
    y = invented(series=series, months=80).y.copy()
    y.iloc[:30, 1] = np.nan
    y.iloc[40:44, 2] = np.nan
    y.iloc[::4, 3] = 0.0
    y.iloc[-2:, 4] = np.nan
    return Panel(y)


def drawn(panel: Panel, settings: Boosting = SMALL) -> np.ndarray:
    return settings.fit(panel).predict(panel.future(panel.cutoff + 8), 40, 0).select(tuple(sorted(panel.series))).paths


@pytest.mark.parametrize("most", [4, 100])
@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_a_series_says_the_same_in_whatever_chunk_it_is(monkeypatch, chunk: int, most: int) -> None:
    settings = replace(SMALL, max_series=most)
    whole = drawn(uneven(), settings)
    monkeypatch.setattr(boosting, "CHUNK", chunk)
    np.testing.assert_array_equal(drawn(uneven(), settings), whole)


def test_trees_asked_about_some_of_the_series_say_the_same_of_them() -> None:
    panel = uneven()
    fitted = replace(SMALL, max_series=4).fit(panel)
    future = panel.future(panel.cutoff + 8)
    some = ("s7", "s3", "s1")
    alone = fitted.on(replace(panel, y=panel.y[list(some)])).predict(future, 40, 0)
    np.testing.assert_array_equal(alone.paths, fitted.predict(future, 40, 0).select(some).paths)
    assert alone.series == some


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, lags=(1, 2, 30), windows=(5,)), YearlyBoosting(n_trees=40)])
def test_its_recursion_says_what_one_that_starts_afresh_each_month_would(monkeypatch, settings: Boosting) -> None:
    panel = uneven()
    shown = drawn(panel, settings)
    monkeypatch.setattr(boosting, "newest", lambda done, declared: known(done.z[: done.done], done.month, declared))
    np.testing.assert_array_equal(drawn(panel, settings), shown)


def test_a_bound_that_is_not_reached_changes_nothing() -> None:
    panel = uneven()
    np.testing.assert_array_equal(drawn(panel, replace(SMALL, max_series=9)), drawn(panel))
    assert replace(SMALL, max_series=9).sample(panel) is panel


def test_what_is_learned_from_is_a_sample_that_no_order_changes() -> None:
    panel = uneven()
    settings = replace(SMALL, max_series=5)
    turned = replace(panel, y=panel.y[list(panel.series[::-1])])
    assert set(settings.sample(panel).series) == set(settings.sample(turned).series)
    np.testing.assert_array_equal(drawn(panel, settings), drawn(turned, settings))
    fitted = settings.fit(panel)
    assert fitted.learned.series == 5
    assert "of 5 series" in fitted.describe()["chosen"].iloc[0]
    taught = settings.fit(settings.sample(panel)).learned
    assert taught.errors.vectors.tobytes() == fitted.learned.errors.vectors.tobytes()


def test_every_kind_of_series_is_in_the_sample_before_one_that_is_too_short() -> None:
    y = invented(series=60, months=150).y.copy()
    y.iloc[::4, 7] = 0.0
    y.iloc[:60, 8:11] = np.nan
    y.iloc[:130, 11:] = np.nan
    chosen = replace(SMALL, max_series=6).sample(Panel(y)).series
    assert "s7" in chosen
    assert set(chosen) & {"s8", "s9", "s10"}
    assert set(chosen) <= {f"s{at}" for at in range(11)}


def test_a_series_not_learned_from_is_as_uncertain_as_if_it_had_been() -> None:
    panel = invented(series=12, months=100)
    noisy = panel.y.copy()
    rng = np.random.default_rng(1)
    noisy.iloc[60:] *= np.exp(rng.normal(0.0, 0.25, (40, 12)) * (np.arange(12) % 2))
    panel = Panel(noisy)
    fitted = replace(SMALL, max_series=6).fit(panel)
    stranger = replace(fitted, learned=replace(fitted.learned, spread={}))
    told, found = (np.concatenate([one._own_spread(seen) for seen in one._seen()]) for one in (fitted, stranger))
    sampled = [one in fitted.learned.spread for one in panel.series]
    # The scale of one was chosen anew with the last months.
    np.testing.assert_allclose(found[sampled], told[sampled], rtol=0.2)
    assert found[1::2].min() > found[::2].max()


def test_rows_are_thinned_as_a_loop_over_all_of_them_would() -> None:
    y = uneven().y.to_numpy()
    ready = _ready(y, 6)
    known_before = np.cumsum(~np.isnan(y), axis=0) >= 12
    for origin, series, step in np.ndindex(80, 9, 6):
        target = origin + step + 1
        there = target < 80 and not np.isnan(y[[origin, target % 80], series]).any()
        assert ready[series, origin, step] == (there and known_before[origin, series])
    rows = SMALL.pick(ready, 10**6)
    target = np.add.outer(np.arange(80), np.arange(1, 7))
    assert _cut(ready, target, 0.6) == int(np.quantile(rows.target, 0.6))
    assert len(SMALL.pick(ready, 50).step) == 50


def test_a_series_that_ended_long_ago_is_named(panel: Panel) -> None:
    y = panel.y.copy()
    y.loc[y.index[-37] :, "s1"] = np.nan
    with pytest.raises(ModelError, match=r"boosting: s1 ends in .* more than 36 months before"):
        SMALL.fit(Panel(y))
