"""Backtests in MLflow: recorded once, whatever is killed, down or run at the same time; and fit to be shared."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from forecasting import tracking, tracking_store, tracking_view
from forecasting.backtest_files import read, write
from forecasting.cli import track
from forecasting.errors import TrackingError
from forecasting.forecast import QUANTILE_COLUMNS, QUANTILES
from forecasting.tracking_report import report
from forecasting.tracking_sheet import Clean, Metric, Numbers, finite, metric_name, sheets

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = {"seasonal_naive": 1.4, "naive": 1.9, "theta": 1.05, "ets": 1.0, "sarima": 0.95, "ensemble": 0.8}
FEW = {"seasonal_naive": 1.4, "theta": 1.0, "sarima": 0.9}


def invented_backtest(
    folder: Path, models: Mapping[str, float] = MODELS, series: int = 3, cutoffs: int = 24, horizon: int = 3,
    seed: int = 0, **about: object,
) -> Path:  # fmt: skip
    """A finished backtest in ``folder``: the smaller a model's number, the better it is; naive is overconfident."""
    parts = [_forecasts(model, size, series, cutoffs, horizon, seed) for model, size in models.items()]
    rows = pd.concat(parts, ignore_index=True).assign(experiment=folder.name)
    timings = pd.DataFrame({"model": list(models)}).merge(rows[["cutoff"]].drop_duplicates(), how="cross")
    told = {
        "experiment": {"name": folder.name, "description": "Invented figures."},
        "finished": "2026-11-22T07:05:33+00:00",
        "horizon": horizon, "window": "expanding", "panel": "latest", "refit": "every", "calibrate": True,
        "paths": 1000, "seed": seed, "kind": "month", "sort_by": ["skill"], "n_series": series,
        "models": {one: {"model": one, "settings": {"order": [1, 1]} if one == "sarima" else {}} for one in models},
        "data": {"source": "official figures", "vintage": "2026-08", "digest": "a" * 64}, "failures": [],
        "cpu_seconds": dict.fromkeys(models, 12.0), "versions": {"tradecast": "0.1.0"},
        "git": {"commit": "0123456789" * 4, "dirty": True},
    } | about  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, rows, timings.assign(seconds=0.5, fits=series), told, f'name = "{folder.name}"\n')
    return folder


def _forecasts(model: str, size: float, series: int, cutoffs: int, horizon: int, seed: int) -> pd.DataFrame:
    months = [str(one) for one in pd.period_range(end="2026-05", periods=cutoffs, freq="M")]
    names = [f"jp_ru.imports.good{at}.value" for at in range(series)]
    grid = pd.MultiIndex.from_product([names, months, range(1, horizon + 1)], names=["series", "cutoff", "step"])
    rows = grid.to_frame(index=False)
    shock = np.random.default_rng(seed).normal(size=len(rows))
    own = np.random.default_rng([seed, *model.encode()]).normal(size=len(rows))
    spread, actual = 10.0 * rows["step"] ** 0.3, 200.0 + 10.0 * shock
    width = spread * size * (0.6 if model == "naive" else 1.0)
    mean = actual - spread * size * (0.8 * shock + 0.6 * own)
    z = (actual - mean) / width
    density = norm.pdf(z) * 2 - 1 / np.sqrt(np.pi)
    return rows.assign(
        model=model, kind="month", observed_months=0, mean=mean, actual=actual, scale=15.0, scale_sq=400.0,
        period=[str(pd.Period(c, "M") + s) for c, s in zip(rows["cutoff"], rows["step"], strict=True)],
        crps=width * (z * (2 * norm.cdf(z) - 1) + density), pit=norm.cdf(z),
        **{one: mean + width * norm.ppf(q) for one, q in zip(QUANTILE_COLUMNS, QUANTILES, strict=True)},
    )  # fmt: skip


@pytest.fixture
def new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project; a space in its name, because paths with one are often broken."""
    root = tmp_path / "my project"
    (root / "data").mkdir(parents=True)
    (root / "data" / "catalogue.csv").write_text("id,title,unit\n")
    monkeypatch.setenv("TRADECAST_HOME", str(root))
    monkeypatch.delenv("TRADECAST_CACHE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return root


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store: MLflow takes three seconds to make its 65 tables."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("blank") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def home(new_home: Path, blank: Path) -> Path:
    """An empty project with an empty store."""
    shutil.copy(blank, new_home / "mlflow.db")
    return new_home


def in_store(root: Path, name: str = "headline") -> list[Any]:
    """Runs of an experiment that are not deleted."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    found = client.get_experiment_by_name(name)
    return list(client.search_runs([found.experiment_id], max_results=1000)) if found else []


def keys(root: Path) -> list[str]:
    return sorted(run.data.tags[tracking.KEY] for run in in_store(root) if run.info.status == "FINISHED")


# --- Without MLflow --------------------------------------------------------------------------------------


def test_importing_does_not_import_mlflow():
    code = "import sys, forecasting.cli, forecasting.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_metrics_are_finite_rounded_and_dropped_by_name():
    kept, dropped = finite([Metric("a", 0.123456), Metric("b", math.nan), Metric("c", math.inf), Metric("b", math.nan)])
    assert [(one.name, one.value) for one in kept] == [("a", 0.1235)]
    assert dropped == ["b", "c"]


@pytest.mark.parametrize("name", ["a%b", "a//b", "x@(y)", "輸入/車"])
def test_names_are_what_mlflow_takes_and_stay_apart(name: str):
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(f"series/{metric_name(name)}")
    assert metric_name(name) != metric_name(name.replace("%", "_").replace("@", "_").replace("/", "."))


def test_nothing_private_stays_in_a_text(tmp_path: Path):
    clean = Clean(tmp_path, Path("/abode"))
    said = clean(f"{tmp_path}/data/x.csv and /abode/y and postgresql://me:secret@host/db")
    assert said == "./data/x.csv and ~/y and postgresql://host/db"


def test_report_needs_nothing_else_and_is_the_same_every_time(home: Path):
    result = read(invented_backtest(home / "data/backtests/headline"))
    text = report(Numbers(result))
    assert text == report(Numbers(result))
    assert not re.search(r"""(src|href)=["'](https?:|//)|@import|<script""", text)
    assert all(model in text for model in MODELS)
    assert len(text) < 300_000


def test_a_model_that_failed_somewhere_is_judged_on_the_rest_and_says_so(home: Path):
    failed = [{"model": "theta", "series": "jp_ru.imports.good0.value", "cutoff": "2025-01", "reason": "too short"}]
    numbers = Numbers(read(invented_backtest(home / "data/backtests/headline", FEW, failures=failed)))
    found = next(sheets(numbers, ["theta"], b"", Clean(home, Path.home())))
    assert "too short" in found.note
    assert next(one.value for one in found.metrics if one.name == "failed") == 1


def test_without_a_seasonal_naive_there_is_no_skill(home: Path):
    numbers = Numbers(read(invented_backtest(home / "data/backtests/headline", {"theta": 1.0, "sarima": 0.9})))
    found = next(sheets(numbers, ["theta"], b"", Clean(home, Path.home())))
    assert not any("skill" in one.name for one in found.metrics)
    assert "crps" in {one.name for one in found.metrics}


def test_a_view_is_written_for_the_known_version_only():
    assert set(tracking_view.view_tags(True, "3.17.2")) == {
        f"mlflow.sharedViewState.{one}" for one in ("leaderboard", "charts")
    }
    assert tracking_view.view_tags(True, "3.18.0") == {}


def test_the_store_is_found_from_a_sub_folder(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TRADECAST_HOME")
    (home / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(home / "deep" / "er")
    assert tracking_store.tracking_uri() == f"sqlite:///{home / 'mlflow.db'}"


def test_an_address_that_is_given_wins_and_a_folder_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert tracking_store.tracking_uri() == "http://127.0.0.1:9"
    assert tracking_store.tracking_uri("sqlite:////x/y.db") == "sqlite:////x/y.db"
    with pytest.raises(TrackingError, match="folder"):
        tracking_store.tracking_uri("./mlruns")


# --- Recorded --------------------------------------------------------------------------------------------


def test_what_a_run_holds(home: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "zz-login-name")
    monkeypatch.setattr(socket, "gethostname", lambda: "zz-host-name")
    folder = invented_backtest(home / "data/backtests/headline")
    (folder / "experiment.toml").write_text(f'name = "headline"\ndata = "{home}/own.csv"\n')
    assert tracking.record_or_say(folder) == "In MLflow: 6 runs of headline. See them with tradecast ui."
    runs = {run.data.params["model"]: run for run in in_store(home)}
    assert set(runs) == set(MODELS)
    best = runs["ensemble"]
    assert best.info.run_name == "ensemble 2026-08"
    assert best.data.tags["verdict"] == "first, 3 others may equal it"
    assert best.data.tags["mlflow.source.git.commit"] == "0123456789" * 4
    assert runs["naive"].data.tags["intervals"] == "all too narrow"
    assert best.data.metrics["skill"] == max(run.data.metrics["skill"] for run in runs.values())
    assert all(math.isfinite(one) and one == float(f"{one:.4g}") for one in best.data.metrics.values())
    assert best.inputs.dataset_inputs[0].dataset.digest == "a" * 16
    _check_steps(home, best.info.run_id)
    _check_artifacts(home, best.info.run_id)
    _check_nothing_private(home)


def _check_steps(root: Path, run: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    assert [one.step for one in client.get_metric_history(run, "step/skill")] == [1, 2, 3]
    over_time = client.get_metric_history(run, "cutoff/skill")
    dates = [pd.Timestamp(one.timestamp, unit="ms").strftime("%Y-%m") for one in over_time]
    assert (dates[0], dates[-1], len(dates)) == ("2024-06", "2026-05", 24)


def _check_artifacts(root: Path, run: str) -> None:
    folder = root / "mlruns" / "headline" / run / "artifacts"
    assert {one.name for one in folder.iterdir()} == {
        "experiment.toml",
        "forecasts.parquet",
        "report.html",
        "series.csv",
    }
    assert pd.read_csv(folder / "series.csv")["series"].is_unique
    assert (folder / "experiment.toml").read_text() == 'name = "headline"\ndata = "./own.csv"\n'
    assert set(pd.read_parquet(folder / "forecasts.parquet")["model"]) == {"ensemble"}


def _check_nothing_private(root: Path) -> None:
    """MLflow's own columns for artifact locations hold the path, nothing else does."""
    host = os.uname().nodename
    words = [str(root), "zz-login-name", "zz-host-name", *([host] if len(host) > 4 else [])]  # "vm" is in any text
    secret = re.compile("|".join(map(re.escape, words)))
    own = {(table, column) for table, column in tracking_store.PATHS}
    with sqlite3.connect(root / "mlflow.db") as base:
        for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = base.execute(f"SELECT * FROM {table}")
            names = [one[0] for one in cursor.description]
            for row in cursor.fetchall():
                shown = [str(cell) for name, cell in zip(names, row, strict=True) if (table, name) not in own]
                assert not secret.search("\n".join(shown)), table
    for file in (root / "mlruns").rglob("*"):
        assert not file.is_file() or not secret.search(file.read_bytes().decode("latin-1")), file


def test_recorded_once_and_again_only_when_the_table_changes(home: Path):
    folder = invented_backtest(home / "data/backtests/headline", FEW)
    assert tracking.record(folder).sent == 3
    assert tracking.record(folder).sent == 0
    shutil.copytree(folder, home / "copy")
    assert tracking.record(home / "copy").present == 3
    invented_backtest(folder, FEW, seed=1)
    assert tracking.record(folder).sent == 3
    latest = [run.data.tags["latest"] for run in in_store(home)]
    assert sorted(latest) == ["no"] * 3 + ["yes"] * 3
    assert len(set(keys(home))) == 6


@pytest.mark.parametrize("call", ["create_run", "log_batch", "log_inputs", "log_artifacts", "set_terminated"])
def test_after_a_kill_in_the_middle_sync_leaves_each_run_once(home: Path, call: str, monkeypatch: pytest.MonkeyPatch):
    from mlflow import MlflowClient

    folder = invented_backtest(home / "data/backtests/headline", FEW)
    with monkeypatch.context() as patch:
        real, calls = getattr(MlflowClient, call), []

        def dies(*given: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(*given, **named)

        patch.setattr(MlflowClient, call, dies)
        with pytest.raises(KeyboardInterrupt):
            tracking.record(folder)
    before = len(keys(home))
    [found] = tracking.sync(folder.parent)
    assert (before, found.sent) == (1, 2)
    assert len(set(keys(home))) == len(in_store(home)) == 3


def test_killed_after_the_last_run_the_experiment_still_says_what_it_is(home: Path, monkeypatch: pytest.MonkeyPatch):
    from mlflow import MlflowClient

    folder = invented_backtest(home / "data/backtests/headline", FEW)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "mark_latest", dies)
        with pytest.raises(KeyboardInterrupt):
            tracking.record(folder)
    assert [one.sent for one in tracking.sync(folder.parent)] == [0]
    client = MlflowClient(tracking_uri=f"sqlite:///{home / 'mlflow.db'}")
    assert "**skill**" in client.get_experiment_by_name("headline").tags["mlflow.note.content"]


def test_killed_while_the_store_is_made_the_next_one_makes_it_whole(new_home: Path):
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    folder, seen = invented_backtest(new_home / "data/backtests/headline", FEW), []

    def dies(connection: Any, cursor: Any, text: str, *_: Any) -> None:
        seen.append(text)
        if sum("ALTER" in one or "CREATE" in one for one in seen) == 90:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", dies)
    try:
        with pytest.raises(KeyboardInterrupt):
            tracking.record(folder)
    finally:
        event.remove(Engine, "before_cursor_execute", dies)
    assert not (new_home / "mlflow.db").exists()
    assert tracking.record(folder).sent == 3
    assert [one.name for one in new_home.glob(".tradecast-*")] == []


def test_a_damaged_backtest_is_named_and_the_others_go_on(home: Path, tradecast: Any):
    bad = invented_backtest(home / "data/backtests/bad", FEW)
    invented_backtest(home / "data/backtests/good", FEW)
    (bad / "table.parquet").write_bytes((bad / "table.parquet").read_bytes()[:-9])
    for words, heard in ((("track", "sync"), "good: 3 runs sent"), (("track", "status"), "good: 3 of 3 models")):
        code, out, err = tradecast(*words, width=200)
        assert (code, err.count("\n")) == (2, 1)
        assert f"{bad} holds no finished backtest" in err
        assert heard in out


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: b"garbage" * 900, "file is not a database; restore it from a backup"),
        (lambda content: content[: len(content) // 2], "malformed; restore it from a backup"),
    ],
)
def test_a_broken_database_is_one_line_and_left_alone(home: Path, tradecast: Any, spoil: Any, said: str):
    invented_backtest(home / "data/backtests/headline", FEW)
    database = home / "mlflow.db"
    database.write_bytes(spoil(database.read_bytes()))
    before = database.read_bytes()
    for words in (("track", "sync"), ("champion", "show")):
        code, _, err = tradecast(*words)
        assert (code, err.count("\n")) == (2, 1)
        assert said in err
        assert "SQL" not in err
    assert database.read_bytes() == before


def test_a_database_that_another_program_holds_is_one_line(home: Path, tradecast: Any):
    folder = invented_backtest(home / "data/backtests/headline", FEW)
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        code, _, err = tradecast("track", "sync")
        assert (code, err.count("\n")) == (2, 1)
        assert "database is locked; another program has it open: try again when that is done." in err
    assert tracking.record(folder).sent == 3


def test_where_no_lock_can_lie_nobody_writes(home: Path, tradecast: Any):
    invented_backtest(home / "data/backtests/headline", FEW)
    (home / ".cache").write_text("no folder")
    code, _, err = tradecast("track", "sync")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written: File exists. Set TRADECAST_CACHE to a folder that can." in err
    assert in_store(home) == []


def test_a_killed_process_frees_the_store(home: Path):
    folder = invented_backtest(home / "data/backtests/headline", FEW)
    code = (
        "import sys, time; from pathlib import Path; from forecasting import tracking\n"
        "from mlflow import MlflowClient; real = MlflowClient.log_artifacts\n"
        "def slow(*given): real(*given); print('in', flush=True); time.sleep(60)\n"
        "MlflowClient.log_artifacts = slow; tracking.record(Path(sys.argv[1]))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, folder], cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"in\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert [run.info.status for run in in_store(home)] == ["RUNNING"]
    assert tracking.record(folder).sent == 3
    assert len(in_store(home)) == len(set(keys(home))) == 3


def test_eight_processes_at_once_on_a_new_store(new_home: Path):
    folders = [invented_backtest(new_home / f"data/backtests/b{at % 4}", FEW) for at in range(8)]  # each twice
    # Forked, because eight imports of MLflow take most of a minute.
    with multiprocessing.get_context("fork").Pool(8) as pool:
        said = pool.map(tracking.record_or_say, folders, chunksize=1)
    assert sum("In MLflow: 3" in one for one in said) == 4, said
    assert sum("Already in MLflow: 3" in one for one in said) == 4, said
    assert [len(in_store(new_home, f"b{at}")) for at in range(4)] == [3, 3, 3, 3]


def test_per_series_runs_go_into_an_experiment_of_their_own(home: Path):
    folder = invented_backtest(home / "data/backtests/headline", FEW)
    tracking.record(folder, per_series_runs=True)
    tracking.record(folder, per_series_runs=True)
    children = in_store(home, "headline.series")
    assert len(children) == 9
    assert {one.data.tags["level"] for one in children} == {"series"}
    assert len(in_store(home)) == 3


def test_a_score_that_is_no_number_is_left_out_and_named(home: Path):
    folder = invented_backtest(home / "data/backtests/headline", FEW, cutoffs=3)
    tracking.record(folder)
    run = in_store(home)[0]
    assert "p_best" in run.data.tags["nonfinite"]
    assert "p_best" not in run.data.metrics
    assert run.data.tags["verdict"].startswith("not tested: 3 cutoffs")


def test_calls_a_run_do_not_grow_with_the_runs_that_are_there(home: Path, monkeypatch: pytest.MonkeyPatch):
    """Counted, not timed: four calls a run and three searches, whether it is 60 runs or 300."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    counted: dict[str, int] = {}
    for name in ("create_run", "log_batch", "log_inputs", "update_run_info", "set_tag", "_search_runs", "log_metric"):
        _count(monkeypatch, SqlAlchemyStore, name, counted)
    monkeypatch.setattr(tracking, "sheets", _bare)
    models = {"seasonal_naive": 1.4} | {f"m{at:03}": 1.0 for at in range(59)}
    folder = invented_backtest(home / "data/backtests/headline", models, series=1, cutoffs=1, horizon=1)
    assert tracking.record(folder).sent == 60
    writes = dict.fromkeys(("create_run", "log_batch", "log_inputs", "update_run_info"), 60)
    assert counted == writes | {"_search_runs": 3}
    counted.clear()
    assert tracking.record(folder).sent == 0
    assert counted == {"_search_runs": 3}


def _bare(*given: Any) -> Any:
    """Sheets without what takes long to work out."""
    from forecasting.tracking_sheet import Sheet, key_of

    numbers, only = given[:2]
    for model in only:
        yield Sheet(
            model, model, key_of(numbers.result, model), {"model": model}, (Metric("skill", 0.1),), {}, "", {}, 1.0
        )


def _count(patch: pytest.MonkeyPatch, kind: type, name: str, counted: dict[str, int]) -> None:
    real = getattr(kind, name)

    def counting(*given: Any, **named: Any) -> Any:
        counted[name] = counted.get(name, 0) + 1
        return real(*given, **named)

    patch.setattr(kind, name, counting)


# --- What goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_store_that_is_down_is_said_in_one_line_within_seconds(home: Path, scheme: str):
    folder = invented_backtest(home / "data/backtests/headline", FEW)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = time.monotonic()
    said = tracking.record_or_say(folder, f"{scheme}://me:secret@127.0.0.1:{port}/db")
    assert time.monotonic() - before < 8
    assert said.startswith("Not in MLflow yet: No answer from")
    assert "tradecast track sync" in said
    assert "secret" not in said
    assert "\n" not in said
    assert [one.sent for one in tracking.sync(folder.parent)] == [3]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 20\r\n\r\nInvalid Host header.", b""])
def test_a_server_that_refuses_or_never_answers_loses_nothing(
    home: Path, answer: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = invented_backtest(home / "data/backtests/headline", FEW)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, answer), daemon=True).start()
        said = tracking.record_or_say(folder, f"http://127.0.0.1:{server.getsockname()[1]}")
    assert said.startswith("Not in MLflow yet: The tracking store http://127.0.0.1")


def _answer(server: socket.socket, answer: bytes) -> None:
    kept = []
    while True:
        try:
            caller, _ = server.accept()
        except OSError:
            return
        kept.append(caller)  # not closed, so that the caller waits
        if answer:
            caller.recv(65536)
            caller.sendall(answer)


def test_a_slow_store_is_left_in_time_and_finished_later(home: Path):
    folder = invented_backtest(home / "data/backtests/headline", FEW)
    with pytest.raises(TrackingError, match="too slow"):
        tracking.record(folder, patience=0.0)
    assert tracking.record(folder).sent == 2


def test_paths_are_mended_after_the_folder_moved(home: Path, monkeypatch: pytest.MonkeyPatch):
    from mlflow import MlflowClient

    tracking.record(invented_backtest(home / "data/backtests/headline", FEW))
    moved = home.parent / "elsewhere"
    home.rename(moved)
    uri = f"sqlite:///{moved / 'mlflow.db'}"
    run = in_store(moved)[0].info.run_id
    assert MlflowClient(tracking_uri=uri).list_artifacts(run) == []
    assert tracking_store.relocate(moved, uri) == 4  # the experiment and three runs
    assert tracking_store.relocate(moved, uri) == 0
    assert len(MlflowClient(tracking_uri=uri).list_artifacts(run)) == 4
    monkeypatch.setenv("TRADECAST_HOME", str(moved))
    assert tracking.record(moved / "data/backtests/headline").present == 3


def test_an_experiment_of_a_server_or_a_deleted_one_is_explained(home: Path):
    from mlflow import MlflowClient

    folder = invented_backtest(home / "data/backtests/headline", FEW)
    tracking.record(folder)
    client = MlflowClient(tracking_uri=f"sqlite:///{home / 'mlflow.db'}")
    client.delete_experiment(client.get_experiment_by_name("headline").experiment_id)
    with pytest.raises(TrackingError, match="was deleted in MLflow"):
        tracking.record(folder)
    client.create_experiment("other", artifact_location="mlflow-artifacts:/1")
    with pytest.raises(TrackingError, match="made through a server"):
        tracking.record(invented_backtest(home / "data/backtests/other", FEW))


def test_ui_says_what_is_missing_or_taken(new_home: Path):
    with pytest.raises(TrackingError, match="nothing has been recorded yet"):
        track.ui(5000, None)
    tracking.record(invented_backtest(new_home / "data/backtests/headline", FEW))
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(TrackingError, match="is taken"),
    ):
        track.ui(taken.getsockname()[1], None)


def test_ui_runs_the_lean_server_and_keeps_the_address_out_of_the_command(home: Path, capsys: Any, monkeypatch: Any):
    tracking.record(invented_backtest(home / "data/backtests/headline", FEW), per_series_runs=True)
    started: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *given: started.extend(given))
    track.ui(5999, None)
    said = capsys.readouterr().out
    assert "headline\n  leaderboard  http://127.0.0.1:5999/#/experiments/1/runs?workflowType=machine_learning" in said
    assert said.count("viewStateShareKey=charts") == 1
    assert str(home) not in " ".join(started[1])
    assert started[2]["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{home / 'mlflow.db'}"
    assert started[2]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_status_and_sync_in_words(new_home: Path, capsys: Any):
    track.status(None)
    track.sync(None, False)
    invented_backtest(new_home / "data/backtests/headline", FEW)
    track.status(None)
    track.sync(None, False)
    track.status(None)
    track.relocate()
    none = f"No finished backtest in {new_home}/data/backtests: run tradecast backtest."
    assert capsys.readouterr().out.splitlines() == [
        none, none,
        "headline: 0 of 3 models in MLflow: tradecast track sync.",
        "headline: 3 runs sent, 0 were there.",
        "headline: 3 of 3 models in MLflow.",
        "Nothing to mend: every path points into this folder or exists.",
    ]  # fmt: skip
