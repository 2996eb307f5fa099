"""The comparison with peers: the truth stays behind the cutoff, scores are what docs/benchmarks.md says they are."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.compute import silent
from forecasting.errors import DataError
from forecasting.forecast import QUANTILE_COLUMNS, QUANTILES
from forecasting.models.ensemble import Ensemble

sys.path.append(str(Path(__file__).parents[1] / "experiments/benchmarks"))

import accuracy
import speed
from against import data, others, ours, scoring

H = 6


def table(ends: dict[str, str], months: int = 60, split: bool = False) -> pd.DataFrame:
    """Series that end in these months: level, season and noise of their own."""
    pieces = []
    for at, (name, end) in enumerate(ends.items()):
        rng = np.random.default_rng(at)
        month = pd.period_range(end=end, periods=months, freq="M")
        y = 100 + 10 * at + 8 * np.sin(np.arange(months) * np.pi / 6) + rng.normal(size=months)
        pieces.append(pd.DataFrame({"unique_id": name, "ds": month.to_timestamp(), "y": y}))
        if split:
            pieces[-1]["split"] = np.where(np.arange(months) < months - H, "train", "test")
    return pd.concat(pieces, ignore_index=True)


@pytest.fixture
def file(tmp_path: Path):
    def write(frame: pd.DataFrame) -> Path:
        frame.to_parquet(tmp_path / "set.parquet")
        return tmp_path / "set.parquet"

    return write


@pytest.mark.parametrize("split", [False, True])
def test_the_last_months_are_held_out_and_no_panel_holds_them(file, split):
    frame = table({"a": "2020-12", "b": "2020-12"}, split=split)
    task = data.read(file(frame), H)
    assert task.dated
    assert str(task.cutoffs[0]) == "2020-06"
    assert task.panel(task.cutoffs[0]).cutoff == task.cutoffs[0]
    truth = scoring.Truth.of(task).cells
    expected = frame[frame["unique_id"] == "b"]["y"].to_numpy()[-H:]
    assert truth[truth["unique_id"] == "b"].sort_values("h")["actual"].to_numpy() == pytest.approx(expected)


def test_series_that_end_apart_are_put_on_one_clock_in_their_own_order(file):
    frame = table({"a": "1871-03", "b": "2003-09", "c": "1990-09"})
    task = data.read(file(frame), H)
    assert not task.dated
    assert task.y.index[-1].month == 9
    for one in "abc":
        assert task.y[one].to_numpy() == pytest.approx(frame[frame["unique_id"] == one]["y"].to_numpy())


def test_rolling_cutoffs_leave_the_whole_horizon_known_for_some_series(file):
    task = data.read(file(table({"a": "2020-12", "b": "2020-05", "c": "2020-10"}, months=90)), H, years=2, step=3)
    assert len(task.cutoffs) == 8
    assert str(task.cutoffs[-1]) == "2020-06"
    assert task.wanted(task.cutoffs[-1]) == ("a", "c")
    assert task.wanted(task.cutoffs[-2]) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.drop(columns="y"), "no column y"),
        (lambda one: pd.concat([one, one.tail(1)]), "two values of a for 2020-12"),
        (lambda one: one.tail(20), "no series has 25 months"),
        (lambda one: one.assign(split="train"), "0 months of split test"),
        (lambda one: one.assign(split=["test"] * H + ["train"] * (60 - H)), "test comes last"),
        (lambda one: one.assign(split=["train"] * (59 - H) + ["test"] * (H + 1)), "7 months of split test"),
        (lambda one: one.assign(unique_id=one["unique_id"].where(one.index != 3)), "no unique_id in row 4"),
        (lambda one: one.assign(ds=one["ds"].where(one.index != 3)), "no ds in row 4"),
        (lambda one: one.assign(ds=range(60)), "row 1: .* is not a month"),
        (lambda one: one.assign(y=one["y"].where(one.index != 3, np.inf)), "infinite value of a for 2016-04"),
        (lambda one: one.assign(y="x"), "no number"),
        (lambda one: one.iloc[:0], "no number"),
        (lambda one: one[one.index % 3 == 0], "a value every 3 months"),
        (lambda one: pd.concat([one, one.assign(unique_id="b").iloc[:-1]]).assign(t="x"), "Column t"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(file, change, said):
    with pytest.raises(DataError, match=said):
        data.read(file(change(table({"a": "2020-12"}))), H)


def test_a_data_set_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="no data set"):
        data.read(tmp_path / "none.parquet", H)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "set.parquet").write_text("unique_id,ds,y")
    with pytest.raises(DataError, match=r"set.parquet is no parquet file"):
        data.read(tmp_path / "set.parquet", H)


@pytest.mark.parametrize(
    "written",
    [
        lambda ds: ds.dt.tz_localize("Europe/Moscow"),
        lambda ds: (ds + pd.offsets.MonthEnd(0)).dt.tz_localize("America/New_York"),
        lambda ds: ds.dt.date,
        lambda ds: ds.dt.to_period("M"),
        lambda ds: ds.dt.strftime("%d/%m/%Y"),
        lambda ds: ds.dt.strftime("%Y%m"),
        lambda ds: ds.dt.strftime("%Y%m").astype(int),
    ],
)
def test_a_month_may_be_written_in_any_usual_way(file, written):
    frame = table({"a": "2020-12", "b": "2020-12"})
    expected = data.read(file(frame), H)
    got = data.read(file(frame.assign(ds=written(frame["ds"]))), H)
    pd.testing.assert_frame_equal(got.y, expected.y)


def test_a_hole_costs_its_cell_and_never_its_series(file, tmp_path):
    """In the test months, and in the last month before them: a forecast of 2020-09 is one of 2020-09."""
    frame = table({"a": "2020-12", "b": "2020-12", "c": "2020-12"}, split=True)
    lost = ((frame["unique_id"] == "a") & (frame["ds"] == "2020-12-01")) | (
        (frame["unique_id"] == "b") & (frame["ds"] >= "2020-05-01") & (frame["split"] == "train")
    )
    frame["y"] = np.where(frame["ds"].dt.month == 9, 1_000.0, frame["y"])
    task = data.read(file(frame.assign(y=frame["y"].where(~lost))), H)
    assert task.dated
    assert task.wanted(task.cutoffs[0]) == ("a", "b", "c")
    assert others.asked(task).groupby("unique_id")["ds"].max().nunique() == 1
    made = ours.of_ours(task, ["theta"], 100, 0, 1, tmp_path, silent)
    assert made.months.groupby("unique_id")["h"].apply(list).to_dict() == {one: list(range(1, H + 1)) for one in "abc"}
    largest = made.months.loc[made.months.groupby("unique_id")["point"].idxmax()]
    assert set(largest["h"]) == {3}
    scored = accuracy.scored_cells(task, None, made)
    assert scored.groupby("unique_id")["h"].size().to_dict() == {"a": H - 1, "b": H, "c": H}
    assert scored["mase"].notna().all()


def test_a_series_that_is_silent_at_one_cutoff_harms_none_of_the_others(file, tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "FEWEST_CHUNKS", 1)
    frame = table({"a": "2020-12", "b": "2020-12"}, months=72)
    silent_year = (frame["unique_id"] == "b") & frame["ds"].between("2018-11-01", "2019-12-01")
    task = data.read(file(frame[~silent_year]), H, origins=("2019-12", "2020-06"))
    assert [task.wanted(one) for one in task.cutoffs] == [("a",), ("a", "b")]
    made = ours.of_ours(task, ["theta", "boosting"], 50, 0, 1, tmp_path, silent)
    assert not made.failures
    assert made.months.groupby(["model", "cutoff"]).size().to_dict() == {
        (model, cutoff): size
        for model in ("theta", "boosting")
        for cutoff, size in (("2019-12", H), ("2020-06", 2 * H))
    }


def test_series_cut_in_different_months_are_cut_together(file):
    frame = table({"a": "2020-12", "b": "2020-12"}, split=True)
    later = (frame["unique_id"] == "b") & (frame["ds"] <= "2020-08-01")
    task = data.read(file(frame.assign(split=frame["split"].where(~later, "train"))), H)
    assert not task.dated
    cutoff = task.cutoffs[0]
    assert task.y["b"].loc[cutoff + 1 :].notna().sum() == 4
    expected = frame[(frame["unique_id"] == "b") & later]["y"].to_numpy()
    assert task.y["b"].loc[:cutoff].dropna().to_numpy() == pytest.approx(expected)


def test_series_that_are_not_forecast_or_not_scored_are_said(file):
    frame = pd.concat([table({"a": "2020-12", "flat": "2020-12"}), table({"brief": "2020-12"}, months=24)])
    frame["y"] = frame["y"].where(frame["unique_id"] != "flat", 5.0)
    said = " ".join(data.read(file(frame), H).remarks)
    assert "1 of 3 series are not forecast, such as brief" in said
    assert "1 series never change on a year earlier, such as flat" in said


def test_a_cutoff_from_which_nothing_can_be_scored_is_said(file):
    task = data.read(file(table({"a": "2020-12"})), H, origins=("2020-03", "2030-01"))
    assert "from 2030-01" in task.remarks[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--horizon", "0"), "0 is not a whole number from 1 on"),
        (("--horizon", "6", "--every", "x"), "x is not a whole number from 1 on"),
        (("--horizon", "6", "--origins", "20x"), "20x is not a month such as 2019-12"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(asked, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["accuracy.py", "--dataset", "set.parquet", *asked])
    with pytest.raises(SystemExit, match="2"):
        accuracy.arguments()
    assert said in capsys.readouterr().err


def test_cells_that_are_no_number_count_as_missing_and_are_said(file):
    frame = table({"a": "2020-12"})
    frame["y"] = frame["y"].astype(str).where(frame.index != 10, "…")
    task = data.read(file(frame), H)
    assert "1 cells hold no number" in task.remarks[0]
    assert task.y["a"].isna().sum() == 1


def test_naive2_of_a_pure_season_repeats_it_and_of_none_repeats_the_last_value():
    season = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    assert data.naive2(np.tile(season, 6), 14) == pytest.approx(np.r_[season, season[:2]])
    holed = np.tile(season, 6)
    holed[[20, 33]] = np.nan
    assert data.naive2(holed, 14) == pytest.approx(np.r_[season, season[:2]], rel=0.02)
    walk = 100 + np.cumsum(np.random.default_rng(3).normal(size=72))
    assert data.naive2(walk, 3) == pytest.approx(np.full(3, walk[-1]))


def rows_of(task: data.Task, model: str, spread: float, shift: float = 0.0) -> pd.DataFrame:
    """A forecast that knows the truth but for a shift, with bounds so many units wide."""
    truth = scoring.Truth.of(task).cells[["cutoff", "unique_id", "h", "actual"]]
    levels = dict(zip(QUANTILE_COLUMNS, QUANTILES, strict=True))
    bounds = {name: truth["actual"] + shift + spread * (q - 0.5) for name, q in levels.items()}
    return truth.drop(columns="actual").assign(model=model, point=bounds["q50"], **bounds)


def test_scores_by_their_definition(file):
    task = data.read(file(table({"a": "2020-12", "b": "2020-12"})), H)
    near, far = rows_of(task, "near", 8.0, 1.0), rows_of(task, "far", 0.0, 3.0)
    scored = scoring.cells(scoring.Truth.of(task), pd.concat([near, far]))
    shown = scoring.table(scored, H)
    past = task.y.loc[: task.cutoffs[0]]
    scale = (past - past.shift(12)).abs().mean()
    assert shown.loc["near", "mase"] == pytest.approx((1.0 / scale).mean())
    assert shown.loc["far", "mase"] == pytest.approx((3.0 / scale).mean())
    assert list(shown.loc["near", ["cov95", "cov80"]]) == [100, 100]
    assert list(shown.loc["far", ["cov95", "cov80"]]) == [0, 0]
    assert shown.loc["far", "msis95"] == pytest.approx((3.0 * 40 / scale).mean())
    # Of a forecast without spread every quantile is missed by the same: 2 · (1 − q) · 3, on average 3.
    assert shown.loc["far", "sql"] == pytest.approx((3.0 / scale).mean())
    gap = scoring.differences(scored, ["near"], ["far"], 1, 0).set_index("loss").loc["mase"]
    assert gap["low"] <= gap["difference"] <= gap["high"] < 0
    assert gap["difference"] == pytest.approx((-2.0 / scale).mean())


def test_only_cells_of_all_models_count_and_negative_forecasts_are_counted(file):
    task = data.read(file(table({"a": "2020-12", "b": "2020-12"})), H)
    one, two = rows_of(task, "one", 1.0), rows_of(task, "two", 1.0, -500.0)
    scored = scoring.cells(scoring.Truth.of(task), pd.concat([one, two[two["unique_id"] == "a"]]))
    assert set(scored["unique_id"]) == {"a"}
    assert scoring.table(scored, H)["negative"].to_dict() == {"one": 0, "two": H}


def test_bounds_that_are_missing_are_counted_and_left_out(file):
    task = data.read(file(table({"a": "2020-12", "b": "2020-12"})), H)
    rows = rows_of(task, "one", 1.0)
    rows.loc[rows["unique_id"] == "a", [*QUANTILE_COLUMNS]] = np.nan
    shown = scoring.table(scoring.cells(scoring.Truth.of(task), rows), H)
    assert shown.loc["one", "no bounds"] == H
    assert shown.loc["one", "cov95"] == 100


def test_our_chain_forecasts_from_every_cutoff_and_knows_nothing_after_it(file, tmp_path):
    frame = table({"a": "2020-12", "b": "2020-12"}, months=72)
    task = data.read(file(frame), H, origins=("2019-12", "2020-03"))
    made = ours.of_ours(task, ["theta", "seasonal_naive"], 200, 0, 1, tmp_path, silent)
    changed = frame.assign(y=frame["y"].where(frame["ds"] < "2020-01-01", 1.0))
    again = ours.of_ours(
        data.read(file(changed), H, origins=("2019-12", "2020-03")), ["theta"], 200, 0, 1, tmp_path, silent
    )
    first = made.months.query("cutoff == '2019-12' and model == 'theta'").reset_index(drop=True)
    pd.testing.assert_frame_equal(first, again.months.query("cutoff == '2019-12'").reset_index(drop=True))
    assert len(made.months) == 2 * 2 * 2 * H
    assert sorted(made.quarters["h"].unique()) == [3]


def test_a_peer_is_asked_for_what_was_known_at_each_cutoff(file):
    task = data.read(file(table({"a": "2020-12", "b": "2020-12"}, months=72)), H, origins=("2019-12", "2020-03"))
    asked = others.asked(task)
    last = asked.groupby("fold")["ds"].max()
    assert {fold: month - pd.Period(fold, "M").ordinal for fold, month in last.items()} == {"2019-12": 0, "2020-03": 0}


def test_bounds_of_a_peer_become_the_quantiles_of_the_house():
    bounds = {f"lo-{level}": [-level] for level in (50, 80, 90, 95)} | {
        f"hi-{level}": [level] for level in (50, 80, 90, 95)
    }
    found = others._rows(pd.DataFrame({"fold": ["x"], "unique_id": ["a"], "h": [1], "mean": [0.0], **bounds}), "peer")
    assert list(found[list(QUANTILE_COLUMNS)].iloc[0]) == [-95, -90, -80, -50, 0, 50, 80, 90, 95]


def many(count: int = 10, months: int = 60) -> pd.DataFrame:
    return table({f"u{at:02d}": "2020-12" for at in range(count)}, months)


def test_chunks_workers_and_company_change_no_number(file, tmp_path, monkeypatch):
    task = data.read(file(many()), H)
    names = ["theta", "boosting", "ensemble"]
    monkeypatch.setattr(ours, "_parts", lambda name, pool: ("theta", "boosting") if name == "ensemble" else (name,))
    monkeypatch.setattr(ours, "Ensemble", lambda: Ensemble(("theta", "boosting")))
    whole = ours.of_ours(task, names, 80, 0, 1, tmp_path / "whole", silent)
    assert not whole.failures
    assert len(whole.months) == 3 * 10 * H
    monkeypatch.setattr(ours, "CHUNK", 2)
    for workers, asked in ((1, names), (2, names), (1, ["ensemble"])):
        again = ours.of_ours(task, asked, 80, 0, workers, tmp_path / f"{workers}{len(asked)}", silent)
        assert len(again.files) == 5
        keys = ["model", "unique_id", "h"]
        expected = whole.months[whole.months["model"].isin(asked)].sort_values(keys, ignore_index=True)
        pd.testing.assert_frame_equal(again.months.sort_values(keys, ignore_index=True), expected, check_exact=True)


def test_the_ensemble_of_the_benchmark_is_that_of_the_models(file, tmp_path):
    task = data.read(file(many(4)), H)
    made = ours.of_ours(task, ["ensemble"], 80, 0, 1, tmp_path, silent).months
    panel = task.panel(task.cutoffs[0])
    paths = Ensemble().fit(panel).predict(panel.future(panel.cutoff + H), 80, 0).column("u02")
    assert made[made["unique_id"] == "u02"]["q90"].to_numpy() == pytest.approx(np.quantile(paths, 0.9, axis=0))


def test_rows_that_are_kept_are_not_made_again(file, tmp_path, monkeypatch):
    task = data.read(file(many(6)), H)
    first = ours.of_ours(task, ["theta"], 50, 0, 1, tmp_path, silent)
    lost = first.files[1]["theta"].with_suffix(".json")
    lost.unlink()
    asked = []
    work = ours._forecast
    monkeypatch.setattr(ours, "_forecast", lambda chunk: asked.append(chunk) or work(chunk))
    again = ours.of_ours(task, ["theta"], 50, 0, 1, tmp_path, silent)
    assert [one.task.series for one in asked] == [again.series[1]]
    pd.testing.assert_frame_equal(first.months, again.months)
    assert set(again.seconds) == {"theta"}


def test_scores_by_chunk_are_those_of_all_rows_at_once(file, tmp_path):
    task = data.read(file(many(7, 72)), H, origins=("2019-12", "2020-03"))
    made = ours.of_ours(task, ["theta", "seasonal_naive"], 50, 0, 1, tmp_path, silent)
    peers = rows_of(task, "peer", 4.0, 1.0)
    assert len(made.files) > 2
    rows = pd.concat([made.months, peers], ignore_index=True)
    expected = scoring.table(scoring.cells(scoring.Truth.of(task), rows), H)
    pd.testing.assert_frame_equal(scoring.table(accuracy.scored_cells(task, peers, made), H), expected)
    totals = accuracy.scored_cells(task, peers, made, quarters=True)
    assert totals.groupby("model").size().to_dict() == {"peer": 14, "seasonal_naive": 14, "theta": 14}
    part = task.y["u03"].loc["2020-01":"2020-03"].sum()
    past = task.y["u03"].loc[:"2019-12"].rolling(3).sum()
    mine = totals.query("model == 'peer' and unique_id == 'u03' and cutoff == '2019-12'")
    assert part > 0
    assert mine["mase"].to_numpy() == pytest.approx([3.0 / (past - past.shift(12)).abs().mean()])


def test_a_copied_series_is_another_one_of_the_same_length(file):
    task = data.read(file(many(3)), H)
    more = speed.few(task, 8)
    assert len(set(more.series)) == 8
    assert more.y.notna().sum().eq(60).all()
    assert not more.y.T.round(6).duplicated().any()
    np.testing.assert_allclose(more.y["u00 1"], task.y["u00"], rtol=0.15)
