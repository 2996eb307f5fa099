"""Partitioned panels: the same numbers however they are cut up, whatever dies, and everything missing is named."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import invented

from forecasting import lessons, partition_request, partition_survey, partitioned, partitions, store
from forecasting.compute import Lost, Where
from forecasting.errors import DataError, ForecastingError, ModelError
from forecasting.experiments_file import Contender, parse
from forecasting.lessons import Study
from forecasting.models.boosting import Boosting
from forecasting.models.naive import Naive
from forecasting.models.theta import Theta
from forecasting.panel import Panel
from forecasting.partition_request import Request, Watch, backtest_of
from forecasting.partitioned import Summary, run, run_on
from forecasting.partitions import Folder

HERE = Where()
QUICK = Study((Contender("theta", Theta()),), horizon=4, paths=100, seed=5)
SMALL = Boosting(n_trees=8, max_rows=2_000)
STUDY = Study((Contender("theta", Theta()), Contender("boosting", SMALL)), horizon=4, paths=100, seed=5)


def ragged() -> pd.DataFrame:
    """Nine series (T × 9): one ends earlier, one begins late, one has a hole, one is zero now and then."""
    y = invented(9, 60).y.copy()
    y.iloc[-2:, 1] = np.nan
    y.iloc[:30, 2] = np.nan
    y.iloc[40, 3] = np.nan
    y.iloc[::7, 4] = 0.0
    return y


def cut(y: pd.DataFrame, folder: Path, size: int, order: list[str] | None = None) -> Folder:
    """The table as long rows in files of so many series."""
    folder.mkdir(parents=True, exist_ok=True)
    names = order or list(y.columns)
    for at in range(0, len(names), size):
        long = y[names[at : at + size]].rename_axis("month").reset_index().melt("month", var_name="series")
        long["month"] = long["month"].dt.to_timestamp()
        long.dropna().to_parquet(folder / f"p{at:03d}.parquet", index=False)
    return Folder(str(folder))


def rows(out: Folder) -> pd.DataFrame:
    """All results, in an order that does not depend on the files."""
    pieces = [pd.read_parquet(Path(out.url, name)) for name in out.partitions()]
    keys = ["series", "cutoff", "model", "kind", "period"]
    return pd.concat(pieces).sort_values(keys, ignore_index=True)


def asked(data: Folder, out: Path, **more: Any) -> Request:
    return Request(**{"study": QUICK, "data": data, "out": Folder(str(out)), "where": HERE, **more})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("undisturbed")
    request = asked(cut(ragged(), folder / "in", 4), folder / "out", study=STUDY)
    return run(request), rows(request.out)


def test_every_series_has_months_and_quarters_and_says_where_it_came_from(
    undisturbed: tuple[Summary, pd.DataFrame],
) -> None:
    summary, table = undisturbed
    assert summary.failures.empty
    assert (int(summary.total("series")), int(summary.total("forecast")), summary.sample) == (9, 9, 9)
    assert set(table["model"]) == {"theta", "boosting"}
    months = table[(table["kind"] == "month") & (table["model"] == "theta")]
    assert months.groupby("series").size().to_dict() == {f"s{at}": 6 if at == 1 else 4 for at in range(9)}
    assert set(months.loc[months["series"] == "s1", "cutoff"]) == {"2026-06"}
    assert set(table[table["kind"] == "quarter"]["period"]) == {"2026Q3", "2026Q4"}
    assert (table["q025"] <= table["q975"]).all()
    assert (table["q025"] >= 0).all()


@pytest.mark.parametrize("size", [1, 9])
def test_other_partitions_give_the_same_bytes_a_series(
    size: int, undisturbed: tuple[Summary, pd.DataFrame], tmp_path: Path
) -> None:
    order = [f"s{at}" for at in (7, 3, 0, 8, 5, 1, 4, 2, 6)]
    request = asked(cut(ragged(), tmp_path / "in", size, order), tmp_path / "out", study=STUDY)
    run(request)
    pd.testing.assert_frame_equal(rows(request.out), undisturbed[1], check_exact=True)


def test_chunks_of_one_series_give_the_same_bytes(
    undisturbed: tuple[Summary, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons, "CHUNK", 1)
    request = asked(cut(ragged(), tmp_path / "in", 5), tmp_path / "out", study=STUDY)
    run(request)
    pd.testing.assert_frame_equal(rows(request.out), undisturbed[1], check_exact=True)


def test_processes_and_a_cluster_give_the_same_bytes(undisturbed: tuple[Summary, pd.DataFrame], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    data = cut(ragged(), tmp_path / "in", 2)
    run(asked(data, tmp_path / "processes", study=STUDY, where=Where(2)))
    cluster = distributed.LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
    with cluster:
        run(asked(data, tmp_path / "cluster", study=STUDY, where=Where(cluster=cluster.scheduler_address)))
    for out in ("processes", "cluster"):
        pd.testing.assert_frame_equal(rows(Folder(str(tmp_path / out))), undisturbed[1], check_exact=True)
    for name in data.partitions():
        assert (tmp_path / "processes" / name).read_bytes() == (tmp_path / "cluster" / name).read_bytes()


def test_the_plain_chain_gives_the_same_paths_before_calibration(tmp_path: Path) -> None:
    """The oracle: each model fitted to the whole panel at once, as `tradecast forecast` does."""
    study = replace(STUDY, calibrate=False)
    y = ragged()
    request = asked(cut(y, tmp_path / "in", 4), tmp_path / "out", study=study)
    run(request)
    table = rows(request.out)
    panel = Panel(y)
    for contender in study.contenders:
        made = contender.forecaster.fit(panel).predict(panel.future(panel.cutoff + 4), 100, 5)
        mine = table[(table["model"] == contender.label) & (table["kind"] == "month")]
        for one in made.series:
            medians = np.median(made.column(one), axis=0)[made.steps()[:, made.series.index(one)] >= 1]
            np.testing.assert_array_equal(mine.loc[mine["series"] == one, "q50"], medians)


def test_a_series_that_began_after_another_of_its_file_ended_is_forecast_as_it_is_alone(tmp_path: Path) -> None:
    y = ragged()[["s0", "s7", "s8"]]
    y.iloc[-20:, 0] = np.nan  # ends in 2024-12
    y.iloc[:-18, 1] = np.nan  # begins in 2025-03
    together = asked(cut(y, tmp_path / "one", 3), tmp_path / "a")
    assert run(together).failures.empty
    apart = asked(cut(y, tmp_path / "three", 1), tmp_path / "b")
    run(apart)
    pd.testing.assert_frame_equal(rows(together.out), rows(apart.out), check_exact=True)


# --- What is finished is not done again --------------------------------------------------------------------


def times(out: Path) -> dict[str, int]:
    return {one.name: one.stat().st_mtime_ns for one in out.glob("*.parquet")}


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    data = cut(ragged(), tmp_path / "in", 3)
    request = asked(data, tmp_path / "out")
    run(request)
    before = {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "p003.parquet").unlink()
    (tmp_path / "out" / "p006.parquet").write_bytes(before["p006.parquet"][:-20])
    untouched = times(tmp_path / "out")["p000.parquet"]
    again = run(request)
    assert again.already == 1
    assert times(tmp_path / "out")["p000.parquet"] == untouched
    assert {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()} == before


def test_when_all_is_finished_nothing_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(cut(ragged(), tmp_path / "in", 5), tmp_path / "out")
    first = run(request)
    monkeypatch.setattr(partitioned, "teach", lambda *_: pytest.fail("learned again"))
    second = run(request)
    assert second.already == 2
    assert second.digest == first.digest


@pytest.mark.parametrize(
    "other",
    [{"seed": 6}, {"paths": 101}, {"horizon": 5}, {"calibrate": False}, {"contenders": STUDY.contenders[1:]}],
)
def test_other_settings_do_everything_again(other: dict[str, Any], tmp_path: Path) -> None:
    data = cut(ragged()[["s0", "s5", "s6"]], tmp_path / "in", 2)
    run(asked(data, tmp_path / "out"))
    assert run(asked(data, tmp_path / "out", study=replace(QUICK, **other))).already == 0


def test_a_changed_month_does_its_partition_and_what_learned_from_it_again(tmp_path: Path) -> None:
    y = ragged()[["s0", "s5", "s6"]]
    run(asked(cut(y, tmp_path / "in", 2), tmp_path / "out"))
    y.iloc[3, 0] *= 1.01
    assert run(asked(cut(y, tmp_path / "in", 2), tmp_path / "out")).already == 0


# --- What goes wrong ---------------------------------------------------------------------------------------


def test_what_cannot_be_forecast_is_named_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    y = ragged()
    y.iloc[:50, 5] = np.nan  # ten months
    y.iloc[:, 6] = np.nan
    y.iloc[:15, 6] = 7.0  # ended 45 months ago
    data = cut(y, tmp_path / "in", 3)
    (tmp_path / "in" / "torn.parquet").write_bytes((tmp_path / "in" / "p000.parquet").read_bytes()[:-30])
    summary = run(asked(data, tmp_path / "out"))
    said = {(one.partition, one.series): one.why for one in summary.failures.itertuples()}
    assert set(said) == {("p003.parquet", "s5"), ("p006.parquet", "s6"), ("torn.parquet", "")}
    assert said["p003.parquet", "s5"] == "needs 13 months until 2026-08, fewer are known"
    assert said["p006.parquet", "s6"] == "has no value from 2023-08 on"
    assert "no whole Parquet file" in said["torn.parquet", ""]
    assert [one.name for one in summary.lost] == ["torn.parquet"]
    assert set(rows(Folder(str(tmp_path / "out")))["series"]) == {f"s{at}" for at in (0, 1, 2, 3, 4, 7, 8)}
    about = json.loads((tmp_path / "out" / "_summary.json").read_text())
    assert (about["forecast"], about["lost"]) == (7, ["torn.parquet"])
    assert str(tmp_path) not in (tmp_path / "out" / "_summary.json").read_text()


def test_fail_fast_stops_and_keeps_what_is_finished(tmp_path: Path) -> None:
    y = ragged()
    y.iloc[:50, 8] = np.nan
    request = asked(cut(y, tmp_path / "in", 3), tmp_path / "out")
    with pytest.raises(ForecastingError, match=r"Stopped by --fail-fast at p006\.parquet: s8 needs 13 months"):
        run(replace(request, fail_fast=True))
    assert run(request).already == 3


class Stuck(Naive):
    """A naive model that hangs at one series, runs out of memory at another and breaks at a third."""

    def fit(self, panel: Panel) -> Any:
        while "s3" in panel.series:
            sum(range(1000))
        if "s4" in panel.series:
            raise MemoryError
        if "s5" in panel.series:
            raise FloatingPointError("underflow")
        return super().fit(panel)


def test_a_fit_that_hangs_or_breaks_costs_its_series_only(tmp_path: Path) -> None:
    study = Study((Contender("stuck", Stuck()),), 4, 100, 0, calibrate=False)
    data = cut(ragged(), tmp_path / "in", 9)
    summary = run(asked(data, tmp_path / "out", study=study, seconds=0.3))
    said = dict(zip(summary.failures["series"], summary.failures["why"], strict=True))
    assert said == {
        "s3": "naive took longer than 0.3 seconds",
        "s4": "naive ran out of memory",
        "s5": "naive: FloatingPointError: underflow",
    }
    assert int(summary.total("forecast")) == 6


class Deadly(Naive):
    """A naive model that ends its process at one series, as a lack of memory does."""

    def fit(self, panel: Panel) -> Any:
        if "s4" in panel.series:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(panel)


def test_a_worker_that_dies_costs_its_partition_only(tmp_path: Path) -> None:
    study = Study((Contender("deadly", Deadly()),), 4, 100, 0, calibrate=False)
    data = cut(ragged(), tmp_path / "in", 3)
    summary = run(asked(data, tmp_path / "out", study=study, where=Where(2)))
    (lost,) = summary.lost
    assert lost.name == "p003.parquet"
    assert "SIGKILL" in lost.lost
    assert Folder(str(tmp_path / "out")).partitions() == ("p000.parquet", "p006.parquet")


def test_a_partition_larger_than_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_survey, "MEMORY_LIMIT", 170_000)
    with pytest.raises(DataError, match=r"has 5\d\d rows, more than the 3\d\d that a worker .* reads"):
        run(asked(cut(ragged(), tmp_path / "in", 9), tmp_path / "out"))


def test_what_makes_no_panel_is_refused_in_one_line(tmp_path: Path) -> None:
    y = ragged()
    data = cut(y, tmp_path / "in", 3)
    for inside in ("in", "in/results"):
        with pytest.raises(DataError, match="is the folder of --data or lies in it"):
            run(asked(data, tmp_path / inside))
    cut(y[["s0"]] * 0.0, tmp_path / "zero", 1)
    with pytest.raises(DataError, match=r"the first reason is p000\.parquet: s0 is zero in every month"):
        run(asked(Folder(str(tmp_path / "zero")), tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no Parquet file"):
        run(asked(Folder(str(tmp_path / "empty")), tmp_path / "out"))
    y[["s1"]].rename_axis("month").reset_index().assign(
        series="s1", month=lambda t: t["month"].dt.to_timestamp()
    ).rename(columns={"s1": "value"}).dropna().to_parquet(tmp_path / "in" / "twice.parquet")
    with pytest.raises(DataError, match=r"1 series stand in more than one partition, one of them in p000.*twice"):
        run(asked(data, tmp_path / "out"))
    (tmp_path / "in" / "twice.parquet").unlink()
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "other.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds other\.parquet, which is no partition of in"):
        run(asked(data, tmp_path / "out"))


def test_results_of_another_panel_or_kind_are_not_written_over(tmp_path: Path) -> None:
    y = ragged()
    out = tmp_path / "out"
    run(asked(cut(y, tmp_path / "mine", 9), out))
    before = {one.name: one.read_bytes() for one in out.iterdir()}
    scored = backtest_of(parse(EXPERIMENT, "panel.toml"), Folder(str(tmp_path / "mine")), Folder(str(out)))
    there = [
        (asked(cut(2 * y, tmp_path / "other", 9), out), "a forecast of mine, and this would be a forecast of other"),
        (replace(scored, where=HERE), "a forecast of mine, and this would be a backtest of mine"),
    ]
    for request, why in there:
        with pytest.raises(DataError, match=why):
            run(request)
    assert {one.name: one.read_bytes() for one in out.iterdir()} == before
    run(asked(cut(3 * y, tmp_path / "mine", 9), out))  # newer figures of the same panel
    assert {one.name: one.read_bytes() for one in out.iterdir()} != before


def test_a_month_after_the_last_published_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--as-of 2030-01 lies after the last published month, 2026-08"):
        run(asked(cut(ragged(), tmp_path / "in", 9), tmp_path / "out", as_of=pd.Period("2030-01", "M")))


def test_a_slip_of_the_last_month_is_said(tmp_path: Path) -> None:
    y = invented(120, 40).y
    later = y.reindex(pd.period_range(y.index[0], "2027-06", freq="M"))
    later.loc["2026-09":, "s7"] = 1000.0
    study = Study((Contender("naive", Naive()),), 3, 100, 0)
    summary = run(asked(cut(later, tmp_path / "in", 60), tmp_path / "out", study=study))
    assert summary.remarks[0].startswith("Only 1 of 120 series reach 2027-06")
    assert "most end in 2026-08: --as-of 2026-08" in summary.remarks[0]
    capped = run(asked(Folder(str(tmp_path / "in")), tmp_path / "out", study=study, as_of=pd.Period("2026-08", "M")))
    assert (capped.remarks, int(capped.total("forecast"))) == ((), 120)


# --- What breaks on the way --------------------------------------------------------------------------------

PLAIN = Study((Contender("naive", Naive()),), horizon=3, paths=100, seed=0, calibrate=False)


def contents(out: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in out.iterdir()}


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Request, dict[str, bytes]]:
    """A naive forecast of three partitions, and the bytes of its results."""
    request = asked(cut(ragged(), tmp_path / "in", 3), tmp_path / "out", study=PLAIN)
    run(request)
    return request, contents(tmp_path / "out")


def flipped(content: bytes, share: float) -> bytes:
    at = int(share * (len(content) - 1))
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    **{f"a bit at {share}": lambda content, share=share: flipped(content, share)  # type: ignore[misc]
       for share in (0.02, 0.3, 0.6, 0.75, 0.9, 0.97, 0.9999)},
    "cut short": lambda content: content[:-20],
    "cut in the middle": lambda content: content[:300] + content[-300:],
    "empty": lambda content: b"",
    "another's": lambda content: (lambda file: (pd.DataFrame({"a": [1]}).to_parquet(file), file.getvalue())[1])(
        io.BytesIO()
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_result_is_made_again(
    damage: Callable[[bytes], bytes], finished: tuple[Request, dict[str, bytes]], tmp_path: Path
) -> None:
    request, before = finished
    (tmp_path / "out" / "p003.parquet").write_bytes(damage(before["p003.parquet"]))
    assert run(request).already == 2
    assert contents(tmp_path / "out") == before


def no_space(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    plain = store._replace

    def replace_(content: bytes, path: Path) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(content, path)

    monkeypatch.setattr(store, "_replace", replace_)


def test_a_full_disk_costs_what_it_has_no_room_for(
    finished: tuple[Request, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, before = finished
    other = replace(request, out=Folder(str(tmp_path / "other")))
    with monkeypatch.context() as full:
        no_space(full, "p003.parquet")
        summary = run(other)
    assert [(one.name, "No space left" in one.lost) for one in summary.lost] == [("p003.parquet", True)]
    assert set(other.out.partitions()) == {"p000.parquet", "p006.parquet"}
    with monkeypatch.context() as full:
        no_space(full, "_summary.json")
        with pytest.raises(DataError, match=r"_summary\.json was not written: No space left"):
            run(other)
    assert run(other).already == 3
    assert contents(tmp_path / "other") == before


def test_an_out_that_cannot_be_written_is_refused_before_anything_is_read(
    finished: tuple[Request, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, _ = finished
    monkeypatch.setattr(Folder, "read", lambda *_: pytest.fail("read"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="file/out cannot be made: Not a directory"):
        run(replace(request, out=Folder(str(tmp_path / "file" / "out"))))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DataError, match="out may not be written to: choose another folder"):
        run(request)


def at_stage(stage: str, act: Callable[[], object]) -> Watch:
    """Acts once, when a run first tells of this stage."""
    todo = [act]
    return Watch(lambda now, *_: todo.pop()() if now == stage and todo else None)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda path: path.unlink(), "p003.parquet cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "p003.parquet was changed while it was read"),
    ],
    ids=["vanishes", "changes"],
)
def test_a_partition_that_goes_after_the_survey_is_named_and_the_rest_goes_on(
    act: Callable[[Path], object], why: str, finished: tuple[Request, dict[str, bytes]], tmp_path: Path
) -> None:
    request, before = finished
    request = replace(request, out=Folder(str(tmp_path / "other")))
    path = tmp_path / "in" / "p003.parquet"
    whole = path.read_bytes()
    summary = run(request, at_stage("Forecasting", lambda: act(path)))
    assert [one.lost.startswith(why) for one in summary.lost] == [True]
    assert set(request.out.partitions()) == {"p000.parquet", "p006.parquet"}
    path.write_bytes(whole)
    assert run(request).already == 2
    assert contents(tmp_path / "other") == before
    with pytest.raises(DataError, match=why):  # without it nothing can be learned
        run(replace(request, out=Folder(str(tmp_path / "new"))), at_stage("Drawing a sample", lambda: act(path)))


class Mortal:
    """Workers of whom one dies at its first look at p003.parquet."""

    def __init__(self) -> None:
        self.dies = True

    def each(self, function: Any, tasks: Any, shared: Any = None) -> Iterator[tuple[int, Any]]:
        for place, task in enumerate(tasks):
            if self.dies and task.name == "p003.parquet":
                self.dies = False
                yield place, Lost("its worker was ended by SIGKILL")
            else:
                yield place, function(task) if shared is None else function(task, shared)


def test_a_worker_that_dies_at_the_survey_changes_no_number(
    finished: tuple[Request, dict[str, bytes]], tmp_path: Path
) -> None:
    request, before = finished
    other = replace(request, out=Folder(str(tmp_path / "other")))
    workers = Mortal()
    run_on(other, request.data.partitions(), workers)
    assert not workers.dies
    assert contents(tmp_path / "other") == before


def test_a_result_of_an_earlier_run_where_a_partition_is_lost_is_said(
    finished: tuple[Request, dict[str, bytes]], tmp_path: Path
) -> None:
    request, _ = finished
    (tmp_path / "in" / "p003.parquet").write_bytes(b"PAR1")
    assert "1 of the partitions that were not done have a result of an earlier run" in run(request).remarks[-1]


class Never(Naive):
    """A naive model that never fits."""

    def fit(self, panel: Panel) -> Any:
        raise ModelError("never: does not fit.")


def test_where_nothing_can_be_calibrated_every_series_is_named(tmp_path: Path) -> None:
    study = Study((Contender("never", Never()),), 4, 100, 0)
    summary = run(asked(cut(ragged(), tmp_path / "in", 9), tmp_path / "out", study=study))
    assert set(summary.failures["series"]) == set(ragged().columns)
    assert set(summary.failures["why"]) == {"never: does not fit."}


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "+09:00", "-11:00"])
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_a_month_with_a_time_zone_is_that_of_the_calendar_there(zone: str, unit: str) -> None:
    months = pd.date_range("2024-01-01", periods=12, freq="MS", tz=zone).as_unit(unit)
    column = pa.array(months.asi8).cast(pa.timestamp(unit, zone))  # since 1970 in Greenwich, as Parquet has it
    content = parquet(series=["a"] * 12, month=column, value=np.arange(12.0))
    y = partitions.parse(content, "p").y
    assert (str(y.index[0]), str(y.index[-1]), len(y)) == ("2024-01", "2024-12", 12)


@pytest.mark.parametrize("text", ["2024-01x", "2024-011", "2024-01-32", "٢٠٢٤-01", "2024-01-1", "2024/01", ""])
def test_a_text_that_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is not a month: write dates"):
        partitions.parse(parquet(series=["a"], month=[text], value=[1.0]), "p")


def test_what_a_file_calls_its_units_is_printable_and_short_in_a_reason() -> None:
    content = parquet(series=["a"] * 2, month=["2024-01", "2024-02"], value=[1.0, 2.0], unit=["\x1b[31m", "x" * 999])
    why = partitions.parse(content, "p").refused["a"]
    assert why.isprintable()
    assert len(why) < 120


# --- Backtests ---------------------------------------------------------------------------------------------

EXPERIMENT = {
    "series": ["*"], "horizon": 3, "calibrate": True, "paths": 100,
    "cutoffs": {"first": "2025-06", "step": 6, "count": 2},
    "forecasters": [{"model": "seasonal_naive"}, {"model": "theta"}],
}  # fmt: skip


def backtest(tmp_path: Path, size: int, y: pd.DataFrame) -> Summary:
    experiment = parse(EXPERIMENT, "panel.toml")
    request = backtest_of(experiment, cut(y, tmp_path / f"in{size}", size), Folder(str(tmp_path / f"out{size}")))
    return run(replace(request, where=HERE))


def test_a_backtest_adds_up_over_partitions_and_is_what_its_rows_say(tmp_path: Path) -> None:
    summary, other = backtest(tmp_path, 4, ragged()), backtest(tmp_path, 9, ragged())
    pd.testing.assert_frame_equal(summary.scores, other.scores, rtol=1e-12)
    table = rows(Folder(str(tmp_path / "out4")))
    pd.testing.assert_frame_equal(table, rows(Folder(str(tmp_path / "out9"))), check_exact=True)
    assert set(table["cutoff"]) == {"2025-06", "2025-12"}
    mine = table[(table["model"] == "theta") & (table["kind"] == "month")]
    said = summary.scores.set_index(["model", "kind"]).loc[("theta", "month")]
    assert said["cells"] == len(mine)
    assert said["mase"] == pytest.approx(((mine["actual"] - mine["q50"]).abs() / mine["scale"]).mean())
    assert said["cover80"] == pytest.approx(mine["actual"].between(mine["q10"], mine["q90"]).mean())
    assert said["crps_scaled"] == pytest.approx((mine["crps"] / mine["scale"]).mean())


def test_nothing_after_a_cutoff_changes_its_forecasts(tmp_path: Path) -> None:
    y = ragged()
    backtest(tmp_path, 4, y)
    changed = y.copy()
    changed.loc["2025-07":] *= 3.0
    backtest(tmp_path, 9, changed)
    first, second = (rows(Folder(str(tmp_path / one))) for one in ("out4", "out9"))
    keys = [one for one in first if one.startswith(("q", "mean")) or one in ("series", "model", "period", "scale")]
    early = first["cutoff"] == "2025-06"
    pd.testing.assert_frame_equal(first.loc[early, keys], second.loc[second["cutoff"] == "2025-06", keys])


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("series", ["s1"], "is backtested as a whole"),
        ("window", 36, "window does not go with a partitioned panel"),
        ("cutoffs", ["2026-08"], "the last possible cutoff is 2026-07"),
    ],
)
def test_an_experiment_that_needs_a_small_panel_is_refused(key: str, value: Any, why: str, tmp_path: Path) -> None:
    data = cut(ragged(), tmp_path / "in", 9)
    with pytest.raises(DataError, match=why):
        run(replace(backtest_of(parse({**EXPERIMENT, key: value}, "p.toml"), data, Folder(str(tmp_path / "out"))),
                    where=HERE))  # fmt: skip


# --- The command line and other stores ---------------------------------------------------------------------


def test_the_command_says_what_was_done_and_fails_only_for_lost_partitions(
    tradecast: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    y = ragged()
    y.iloc[:50, 5] = np.nan
    cut(y, tmp_path / "in", 5)
    words = (
        "forecast",
        "--data",
        tmp_path / "in",
        "--out",
        tmp_path / "out",
        "--model",
        "seasonal_naive",
        "--workers",
        1,
    )
    code, out, err = tradecast(*words, "--memory-limit", "2GiB")
    assert code == 0, err
    assert "in: 8 of 9 series forecast from 2026-08, in 2 files; learned from 9 series." in out
    assert "1 × needs 13 months until 2026-08, fewer are known" in out
    code, out, _ = tradecast(*words)
    assert (code, "2 were finished already" in out) == (0, True)
    (tmp_path / "in" / "torn.parquet").write_bytes(b"PAR1")
    code, _, err = tradecast(*words)
    assert code == 1
    assert "1 of 3 partitions were not done" in err


def test_folders_have_names_that_hold_wherever_a_worker_was_started(
    tradecast: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(ragged(), tmp_path / "in", 9)
    monkeypatch.chdir(tmp_path)
    asked_for: list[Request] = []

    def refuse(request: Request, *_: Any) -> Summary:
        asked_for.append(request)
        raise DataError("seen")

    monkeypatch.setattr(partitioned, "run", refuse)
    assert tradecast("forecast", "--data", "in", "--out", "here/../out")[0] == 2
    assert [(one.data.url, one.out.url) for one in asked_for] == [(str(tmp_path / "in"), str(tmp_path / "out"))]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--growth",), "--growth does not go with a partitioned panel"),
        (("s1",), "SERIES does not go with"),
        (("--memory-limit", "12"), "--memory-limit 12: give a size such as 1GiB"),
        (("--time-limit", "0"), "--time-limit 0: give seconds above 0"),
        (("--time-limit", "nan"), "--time-limit nan: give seconds"),
        (("--time-limit", "inf"), "--time-limit inf: give seconds"),
        (("--memory-limit", "300MiB"), "needs 600MiB at least"),
        (("--cluster", "nonsense"), "nonsense"),
        (("--cluster", "tcp://127.0.0.1:9", "--workers", "2"), "omit --workers"),
        (("--horizon", "99"), "--horizon 99: give 1 to 60"),
        (("--model", "thet"), "thet"),
        (("--as-of", "2026-13"), "is not a month"),
        (("--cluster", "tcp://127.0.0.1:9"), "127.0.0.1:9"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    words: tuple[str, ...], why: str, tradecast: Callable[..., tuple[int, str, str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("forecasting.compute.PATIENCE", 1)
    cut(ragged(), tmp_path / "in", 9)
    code, _, err = tradecast("forecast", *words, "--data", tmp_path / "in", "--out", tmp_path / "out")
    assert code == 2
    assert why in err
    assert len(err.strip().splitlines()) == 1


def test_options_of_panels_do_nothing_for_one_file_and_say_so(tradecast: Callable[..., tuple[int, str, str]]) -> None:
    for option in (("--cluster", "tcp://x:1"), ("--memory-limit", "1GiB"), ("--time-limit", "5"), ("--fail-fast",)):
        code, _, err = tradecast("forecast", *option)
        assert (code, err.startswith(f"{option[0]} is for partitioned panels") or option[0] in err) == (2, True)


def test_a_backtest_of_a_panel_is_one_run_a_model_in_mlflow(
    tradecast: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    import mlflow

    cut(ragged(), tmp_path / "in", 5)
    (tmp_path / "panel.toml").write_text(
        'series = ["*"]\nhorizon = 3\npaths = 100\ncutoffs = { first = "2025-06", step = 6, count = 2 }\n'
        '[[forecasters]]\nmodel = "naive"\n[[forecasters]]\nmodel = "theta"\n'
    )
    uri = f"sqlite:///{tmp_path}/ml.db"
    words = ("backtest", "run", tmp_path / "panel.toml", "--data", tmp_path / "in", "--out", tmp_path / "out")
    for _ in range(2):
        code, _, err = tradecast(*words, "--workers", 1, "--tracking-uri", uri)
        assert code == 0, err
        assert "In MLflow: 2 runs of panel" in err
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("panel").experiment_id])
    assert sorted(one.data.params["model"] for one in runs) == ["naive", "theta"]
    theta = next(one for one in runs if one.data.params["model"] == "theta")
    scores = json.loads((tmp_path / "out" / "_summary.json").read_text())["scores"]
    month = next(one for one in scores if (one["model"], one["kind"]) == ("theta", "month"))
    assert theta.data.metrics["mase"] == pytest.approx(month["mase"], rel=1e-3)
    assert theta.data.metrics["quarter/cov80"] <= 100
    assert theta.data.params["n_series"] == "9"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 server on this machine."""
    server_module = pytest.importorskip("moto.server")
    fsspec = pytest.importorskip("s3fs")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    fsspec.S3FileSystem.clear_instance_cache()
    fsspec.S3FileSystem().makedirs("desk", exist_ok=True)
    yield "s3://desk"
    fsspec.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_store_that_speaks_s3_gives_the_same_bytes_as_a_folder(bucket: str, tmp_path: Path) -> None:
    data = cut(ragged(), tmp_path / "in", 4)
    local = asked(data, tmp_path / "out")
    run(local)
    there = Folder(f"{bucket}/in")
    for name in data.partitions():
        there.write(name, data.read(name))
    remote = replace(local, data=there, out=Folder(f"{bucket}/out"))
    assert run(remote).already == 0
    assert remote.out.partitions() == local.out.partitions()
    for name in (*local.out.partitions(), "_summary.json", "_failures.csv"):
        assert remote.out.read(name) == local.out.read(name)
    assert run(remote).already == 3


def test_a_store_that_is_not_there_is_one_line(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no Parquet file|cannot be listed"):
        run(asked(Folder("s3://nobody/in"), tmp_path / "out"))
    with pytest.raises(DataError, match="cannot be listed"):
        run(asked(Folder("gopher://x/in"), tmp_path / "out"))


def test_memory_is_read_from_one_partition_at_a_time() -> None:
    assert partitions.BYTES_A_ROW * 1_000_000 < partition_survey.SHARE_OF_MEMORY * partition_request.MEMORY_LIMIT
