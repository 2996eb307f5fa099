"""What the trees learn from the panel, and the paths around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import invented
from threadpoolctl import threadpool_limits

from forecasting.errors import ModelError
from forecasting.models.boosting import Boosting, Errors, _draw
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
    errors = Errors(vectors, np.ones(1), np.zeros(len(vectors), dtype=bool))
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
