"""Sums in partitioned panels: what names a parent adds up on every path, and what cannot is left alone and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import invented
from hypothesis import given
from hypothesis import strategies as st
from test_partitioned import HERE, QUICK, asked, rows

from forecasting import lessons
from forecasting.errors import ModelError
from forecasting.experiments_file import Contender, parse
from forecasting.forecast import Forecast
from forecasting.lessons import Lesson, Lessons
from forecasting.models.naive import Naive
from forecasting.panel import Panel
from forecasting.partition_request import backtest_of
from forecasting.partition_sums import hierarchies, roots, tell, tied
from forecasting.partitioned import run
from forecasting.partitions import Folder, split
from forecasting.partitions import parse as parse_partition

PARENTS = {
    "exports": "trade", "imports": "trade", "cars": "exports", "trucks": "exports", "lng": "imports", "coal": "imports",
}  # fmt: skip
"""Cars and trucks are all exports; of the imports a part is not listed."""
CUTOFF = pd.Period("2026-08", "M")


def trade(months: int = 60) -> pd.DataFrame:
    """Seven series (T × 7) that add up in every month, rounded to one decimal, and two that belong to nothing."""
    y = invented(7, months).y.round(1)
    y.columns = pd.Index(["cars", "trucks", "lng", "coal", "oil", "alone", "other"])
    y["exports"] = y["cars"] + y["trucks"]
    y["imports"] = y["lng"] + y["coal"] + y.pop("oil")
    y["trade"] = y["exports"] + y["imports"]
    return y.round(1)


def cut(
    y: pd.DataFrame, folder: Path, files: list[list[str]], parents: dict[str, str] = PARENTS, **units: str
) -> Folder:
    """The table as long rows, these series to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, names in enumerate(files):
        long = y[names].rename_axis("month").reset_index().melt("month", var_name="series").dropna()
        long = long.assign(month=long["month"].astype(str), parent=[parents.get(one, "") for one in long["series"]])
        long["unit"] = [units.get(one, "mn_jpy") for one in long["series"]]
        long.to_parquet(folder / f"p{at:03d}.parquet", index=False)
    return Folder(str(folder))


def means(out: Folder) -> pd.DataFrame:
    """Means by kind and period (rows) and series (columns)."""
    return rows(out).pivot(index=["kind", "period"], columns="series", values="mean")


def paths(y: pd.DataFrame, study: lessons.Study = QUICK, parents: dict[str, str] = PARENTS) -> dict[str, np.ndarray]:
    """Tied paths (P × h) of every series over the months that all of them are forecast."""
    told = tell(study, y, parents, {}, Lessons((Lesson(CUTOFF),), {}, 0), None)
    assert not told.failures
    return {one: made.column(one)[:, -study.horizon :] for _, made in told.forecasts for one in made.series}


# --- What adds up ------------------------------------------------------------------------------------------


def test_sums_hold_on_every_path_and_what_is_not_listed_is_never_below_zero() -> None:
    made = paths(trade())
    assert set(made) == set(trade().columns)
    np.testing.assert_allclose(made["cars"] + made["trucks"], made["exports"], rtol=1e-9)
    np.testing.assert_allclose(made["exports"] + made["imports"], made["trade"], rtol=1e-9)
    left = made["imports"] - made["lng"] - made["coal"]
    assert (left >= -1e-9 * made["imports"]).all()
    assert left.mean() > 0.1 * made["imports"].mean()


def test_means_add_up_in_what_is_written_months_and_quarters(tmp_path: Path) -> None:
    y = trade()
    made = run(asked(cut(y, tmp_path / "in", [list(y.columns)]), tmp_path / "out"))
    table = means(Folder(str(tmp_path / "out")))
    np.testing.assert_allclose(table["cars"] + table["trucks"], table["exports"], rtol=1e-9)
    np.testing.assert_allclose(table["exports"] + table["imports"], table["trade"], rtol=1e-9)
    assert (table["lng"] + table["coal"] < table["imports"]).all()
    assert (made.total("tied"), made.total("untied")) == (3, 0)
    assert "3 of 3 parents add up on every path, 1 of them with parts that are not listed: _sums.csv." in made.remarks
    said = pd.read_csv(tmp_path / "out" / "_sums.csv").set_index("series")
    year = y.iloc[-12:].sum()
    assert said["not_listed"].to_dict() == {
        "exports": 0.0, "trade": 0.0, "imports": round(1 - (year["lng"] + year["coal"]) / year["imports"], 4),
    }  # fmt: skip
    assert said["why"].isna().all()


def test_what_belongs_to_no_sum_is_forecast_as_if_nobody_named_one(tmp_path: Path) -> None:
    y = trade()
    tied_, plain = (asked(cut(y, tmp_path / name, [list(y.columns)], parents), tmp_path / f"{name} out")
                    for name, parents in (("tied", PARENTS), ("plain", {})))  # fmt: skip
    both = [run(one) and rows(one.out) for one in (tied_, plain)]
    loose = [one[one["series"].isin(["alone", "other"])].reset_index(drop=True) for one in both]
    pd.testing.assert_frame_equal(*loose, check_exact=True)
    assert not both[0]["mean"].equals(both[1]["mean"])


@pytest.mark.parametrize("chunk", [1, 200])
def test_other_files_and_chunks_give_the_same_bytes_a_series(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = trade()
    family = ["trade", *PARENTS]
    request = asked(cut(y, tmp_path / "in", [sorted(y.columns)]), tmp_path / "out")
    run(request)
    monkeypatch.setattr(lessons, "CHUNK", chunk)
    other = asked(cut(y, tmp_path / "in 2", [["other"], [*reversed(family), "alone"]]), tmp_path / "out 2")
    run(other)
    pd.testing.assert_frame_equal(rows(request.out), rows(other.out), check_exact=True)


def test_a_part_that_is_published_later_than_its_parent_is_forecast_to_what_the_parent_leaves() -> None:
    y = trade()
    late = y.copy()
    late.iloc[-2:, late.columns.get_loc("cars")] = np.nan
    told = tell(QUICK, late, PARENTS, {}, Lessons((Lesson(CUTOFF),), {}, 0), None)
    made = next(one for _, one in told.forecasts if "cars" in one.series)
    assert made.months[0] == CUTOFF - 1
    ahead = made.steps()
    assert (ahead[:2, made.series.index("cars")] == [1, 2]).all()
    published = made.column("exports")[:, :2]
    np.testing.assert_array_equal(published, np.broadcast_to(y["exports"].iloc[-2:], published.shape))
    np.testing.assert_allclose(made.column("cars") + made.column("trucks"), made.column("exports"), rtol=1e-9)


def test_a_part_too_young_to_be_forecast_counts_to_what_is_not_listed() -> None:
    y = trade()
    y.iloc[:-5, y.columns.get_loc("trucks")] = np.nan
    found = hierarchies(QUICK, y, PARENTS, {}, [CUTOFF])[0][0]
    assert found.tree.parts["exports"] == ("cars", "exports|not listed")
    left = found.y["exports|not listed"]
    np.testing.assert_allclose(left, y["exports"] - y["cars"], rtol=1e-9)


def test_grandchildren_of_a_parent_that_cannot_be_forecast_are_parts_of_its_own_parent() -> None:
    y = trade()
    y.iloc[:-5, y.columns.get_loc("exports")] = np.nan
    found = hierarchies(QUICK, y, PARENTS, {}, [CUTOFF])[0][0]
    assert found.tree.parts["trade"] == ("cars", "imports", "trucks")


def test_what_the_parts_leave_is_not_known_while_one_of_them_is_not() -> None:
    y = trade()
    y.iloc[-1, y.columns.get_loc("coal")] = np.nan
    left = hierarchies(QUICK, y, PARENTS, {}, [CUTOFF])[0][0].y["imports|not listed"]
    assert left.last_valid_index() == CUTOFF - 1
    assert left.max() < y["imports"].max()


def test_sums_rest_on_what_was_known_at_each_cutoff() -> None:
    y = trade()
    early = CUTOFF - 12
    y.loc[early + 1 :, "trade"] *= 3  # from then on the parts leave something
    cutoffs = [early, CUTOFF]
    found = {cutoff: sums for sums, at in hierarchies(QUICK, y, PARENTS, {}, cutoffs) for cutoff in at}
    assert found[early].tree.parts["trade"] == ("exports", "imports")
    assert found[CUTOFF].tree.parts["trade"] == ("exports", "imports", "trade|not listed")


def test_coupling_pairs_paths_of_series_that_move_together() -> None:
    """LNG and coal that always moved together, then against one another: their paths rank so as well."""
    wave = np.random.default_rng(1).normal(0, 9, 120).cumsum()
    found = []
    for sign in (1, -1):
        y = trade(120)
        y["lng"], y["coal"] = 500 + wave, 500 + sign * wave
        y["imports"] = (1_900 + 30 * np.sin(np.arange(120))).round(1)
        y["trade"] = (y["exports"] + y["imports"]).round(1)
        made = paths(y.clip(lower=0))
        found.append(np.corrcoef(made["lng"].sum(axis=1), made["coal"].sum(axis=1))[0, 1])
    assert found[0] > found[1] + 0.4


def test_what_rounding_leaves_is_nothing() -> None:
    """Parts and parent rounded each for itself: no month adds up exactly, and still the parts are the whole."""
    y = trade()
    exact = y[["cars", "trucks"]] + 0.4
    y["cars"], y["trucks"] = exact["cars"].round(), exact["trucks"].round()
    y["exports"] = exact.sum(axis=1).round()
    assert ((y["cars"] + y["trucks"]) != y["exports"]).any()
    parents = {"cars": "exports", "trucks": "exports"}
    assert hierarchies(QUICK, y, parents, {}, [CUTOFF])[0][0].tree.parts == {"exports": ("cars", "trucks")}
    made = paths(y, parents=parents)
    np.testing.assert_allclose(made["cars"] + made["trucks"], made["exports"], rtol=1e-9)


# --- What does not -----------------------------------------------------------------------------------------


def _unit(y: pd.DataFrame, units: dict[str, str]) -> None:
    units["cars"] = "tonnes"


def _exceed(y: pd.DataFrame, units: dict[str, str]) -> None:
    y.loc[CUTOFF - 3, "exports"] *= 0.5


def _negative(y: pd.DataFrame, units: dict[str, str]) -> None:
    y.loc[CUTOFF - 3, "cars"] = -1.0


def _hole(y: pd.DataFrame, units: dict[str, str]) -> None:
    y.loc[CUTOFF - 1 :, "cars"] = np.nan
    y.loc[CUTOFF - 2, "trucks"] = np.nan
    y.loc[CUTOFF - 1, "trucks"] = np.nan


def _same_id(y: pd.DataFrame, units: dict[str, str]) -> None:
    y["exports|not listed"] = y["alone"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_unit, "cars has another unit"),
        (_exceed, "its parts exceed it by .* % of its mean in 2026-05"),
        (_negative, "it or a part of it has values below zero"),
        (_hole, "trucks lacks months since 2026-06"),
        (_same_id, r"exports\|not listed is the id of another series"),
    ],
)
def test_a_sum_that_cannot_hold_is_left_alone_and_said(spoil: Any, why: str, tmp_path: Path) -> None:
    y, units = trade(), dict[str, str]()
    spoil(y, units)
    parents = {one: up for one, up in PARENTS.items() if up != "trade"}
    made = run(asked(cut(y, tmp_path / "in", [list(y.columns)], parents, **units), tmp_path / "out"))
    said = pd.read_csv(tmp_path / "out" / "_sums.csv").set_index("series")["why"].dropna()
    assert list(said.index) == ["exports"]
    assert pd.Series([said["exports"]]).str.fullmatch(why).all(), said["exports"]
    table = means(Folder(str(tmp_path / "out")))
    assert not np.allclose(table["cars"] + table["trucks"], table["exports"], rtol=1e-6)
    assert set(table.columns) == set(y.columns)
    assert any(line.startswith("1 of 2 parents add up") and "_sums.csv, of 'exports'" in line for line in made.remarks)


@pytest.mark.parametrize(
    ("parents", "untied"),
    [
        ({"cars": "nobody"}, {"nobody": "cars names it, and no such series can be forecast here"}),
        ({"cars": "cars"}, {"cars": "it is a part of itself"}),
        ({"cars": "trucks", "trucks": "cars"}, dict.fromkeys(("cars", "trucks"), "it is a part of itself")),
    ],
)
def test_a_parent_that_is_none_is_said(parents: dict[str, str], untied: dict[str, str]) -> None:
    told = tell(QUICK, trade(), parents, {}, Lessons((Lesson(CUTOFF),), {}, 0), None)
    assert told.untied == untied
    assert {one for _, made in told.forecasts for one in made.series} == set(trade().columns)


class Picky(Naive):
    """A model that cannot forecast cars."""

    def fit(self, panel: Panel) -> Any:
        if "cars" in panel.series:
            raise ModelError("no cars today.")
        return super().fit(panel)


def test_where_a_part_has_no_forecast_its_sum_is_left_alone_and_the_others_hold(tmp_path: Path) -> None:
    y = trade()
    study = replace(QUICK, contenders=(Contender("picky", Picky()),), calibrate=False)
    made = run(asked(cut(y, tmp_path / "in", [list(y.columns)]), tmp_path / "out", study=study))
    assert list(made.failures["series"]) == ["cars"]
    said = pd.read_csv(tmp_path / "out" / "_sums.csv").set_index("series")["why"].dropna().to_dict()
    assert said == {"exports": "cars has no forecast"}
    table = means(Folder(str(tmp_path / "out")))
    np.testing.assert_allclose(table["exports"] + table["imports"], table["trade"], rtol=1e-9)


def test_a_series_with_two_parents_is_refused(tmp_path: Path) -> None:
    y = trade()
    data = cut(y, tmp_path / "in", [list(y.columns)])
    table = pd.read_parquet(Path(data.url, "p000.parquet"))
    table.loc[table.index[table["series"] == "cars"][0], "parent"] = "imports"
    table.to_parquet(Path(data.url, "p000.parquet"))
    found = parse_partition(Path(data.url, "p000.parquet").read_bytes(), "p000.parquet")
    assert found.refused == {"cars": "has more than one parent, exports and imports"}


# --- Backtests, and cutting up -----------------------------------------------------------------------------


def test_a_backtest_scores_tied_forecasts(tmp_path: Path) -> None:
    experiment = {
        "series": ["*"], "horizon": 3, "calibrate": True, "paths": 100,
        "cutoffs": {"first": "2025-01", "step": 3, "count": 4},
        "forecasters": [{"model": "seasonal_naive"}, {"model": "theta"}],
    }  # fmt: skip
    y = trade(80)
    data, out = cut(y, tmp_path / "in", [list(y.columns)]), Folder(str(tmp_path / "out"))
    made = run(replace(backtest_of(parse(experiment, "sums.toml"), data, out), where=HERE))
    table = rows(out)
    wide = table.pivot(index=["cutoff", "model", "kind", "period"], columns="series", values="mean").dropna()
    assert wide.index.get_level_values("cutoff").nunique() == 4
    np.testing.assert_allclose(wide["exports"] + wide["imports"], wide["trade"], rtol=1e-9)
    assert made.total("tied") == 3
    actual = table[table["kind"] == "month"].drop_duplicates(["series", "period"])
    truth = [y.loc[pd.Period(period, "M"), one] for one, period in zip(actual["series"], actual["period"], strict=True)]
    np.testing.assert_allclose(actual["actual"], truth)


class Tired(Naive):
    """A model that cannot forecast cars from the last cutoff."""

    def fit(self, panel: Panel) -> Any:
        if "cars" in panel.series and panel.cutoff == CUTOFF:
            raise ModelError("no cars any more.")
        return super().fit(panel)


def test_a_sum_that_two_models_miss_from_a_cutoff_is_missing_there_once() -> None:
    tired = (Contender("tired", Tired()), Contender("tired too", Tired()))
    study = replace(QUICK, contenders=tired, calibrate=False)
    lessons_ = Lessons(tuple(Lesson(CUTOFF - back) for back in (2, 1, 0)), {}, 0)
    told = tell(study, trade(), PARENTS, {}, lessons_, None)
    assert told.untied == {"exports": "cars has no forecast (at 1 of 3 cutoffs)"}


@given(
    up=st.lists(st.integers(0, 30), min_size=1, max_size=30).map(
        lambda ups: {f"s{at:02d}": f"s{one % at:02d}" for at, one in enumerate(ups) if at and one % 3}
    ),
    size=st.integers(1, 12),
)
def test_a_parent_and_all_below_it_come_into_one_file(up: dict[str, str], size: int) -> None:
    names = [f"s{at:02d}" for at in range(31)]
    top = roots(names, up)
    table = pd.DataFrame(
        [(one, f"2024-{month:02d}", 1.0 + month, up.get(one, "")) for one in names for month in (3, 1, 2)],
        columns=["series", "month", "value", "parent"],
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        table.sample(frac=1.0, random_state=1).to_csv(Path(folder, "all.csv"), index=False)
        made = split(Path(folder, "all.csv"), Folder(f"{folder}/cut"), size)
        files = [pd.read_parquet(one) for one in sorted(Path(folder, "cut").glob("*.parquet"))]
    assert made.series == len(names)
    homes = [{top[one] for one in file["series"]} for file in files]
    assert sum(map(len, homes)) == len(set(top.values()))
    assert all(file["series"].nunique() <= size or len(home) == 1 for file, home in zip(files, homes, strict=True))
    back = pd.concat(files).sort_values(["series", "month"], ignore_index=True)
    pd.testing.assert_frame_equal(
        back[["series", "month", "parent"]].fillna(""), table.sort_values(["series", "month"], ignore_index=True)[
            ["series", "month", "parent"]], check_dtype=False,
    )  # fmt: skip


def test_a_circle_of_parents_is_cut_up_and_ends(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [(one, f"2024-{month:02d}", 1.0, up) for one, up in (("a", "b"), ("b", "a"), ("c", "")) for month in (1, 2, 3)],
        columns=["series", "month", "value", "parent"],
    )
    table.to_parquet(tmp_path / "all.parquet")
    assert split(tmp_path / "all.parquet", Folder(str(tmp_path / "cut")), 10).series == 3


@given(st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from("abcdefgh"), max_size=7))
def test_a_root_is_one_for_all_that_hang_together(parents: dict[str, str]) -> None:
    series = list("abcdefg")
    top = roots(series, parents)
    assert set(top) == set(series)
    for one, up in parents.items():
        if up in top:
            assert top[one] == top[up]
    for one, found in top.items():
        assert found in series
        assert one in parents or found == one


def test_a_forecast_alone_is_not_touched() -> None:
    made = Forecast(
        np.arange(8.0).reshape(2, 2, 2), pd.period_range("2026-09", periods=2, freq="M"), ("a", "b"), (CUTOFF,) * 2, "m"
    )
    y = pd.DataFrame(1.0, pd.period_range("2026-01", CUTOFF, freq="M"), ["a", "b"])
    ((same,), untied) = tied([made], hierarchies(QUICK, y, {}, {}, [CUTOFF])[0][0], CUTOFF, 0)
    np.testing.assert_array_equal(same.paths, made.paths)
    assert untied == {}
