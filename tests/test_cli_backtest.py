"""`tradecast backtest` from the command line to the last line: what would run, who wins, one line when it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from forecasting import backtest_files, cli, leaderboard
from forecasting.backtest_files import Result

FILE = """
name = "small"
description = "Two models."
horizon = 6
paths = 200
series = ["jp_world.exports.value", "jp_world.imports.value"]
cutoffs = { first = "2018-02", step = 3, last = "2026-05" }
[[forecasters]]
model = "seasonal_naive"
[[forecasters]]
model = "theta"
label = "theta line"
"""
Run = Callable[..., tuple[int, str, str]]
PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment and its result in ``small``."""
    made = tmp_path_factory.mktemp("backtests")
    (made / "small.toml").write_text(FILE)
    words = ["backtest", str(made / "small.toml"), "--out", str(made / "small"), "--workers", "1", "--no-track"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tradecast", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
    assert left.value.code == 0
    return made


@pytest.fixture
def run(tradecast: Run) -> Run:
    """Run `tradecast backtest …` in this process: exit code, standard output, standard error."""
    return partial(tradecast, "backtest")


def test_a_finished_backtest_is_in_mlflow_and_a_store_that_is_down_loses_nothing(
    folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (folder / "small.toml", "--out", folder / "small", "--workers", "1", "--tracking-uri")
    code, out, err = run(*words, "http://127.0.0.1:9")
    assert (code, "skill" in out) == (0, True)
    assert "Not in MLflow yet" in err
    assert "tradecast track sync" in err
    monkeypatch.setenv("TRADECAST_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    for name in ("catalogue.csv", "observations.csv"):
        (tmp_path / "data" / name).write_bytes((PROJECT / "data" / name).read_bytes())
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert "In MLflow: 2 runs of small" in run(*words, store)[2]
    assert "Already in MLflow: 2 runs" in run(*words, store)[2]


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [80, 110, 140])
def test_show_says_what_was_run_who_wins_and_how_sure_that_is(folder: Path, run: Run, width: int) -> None:
    code, out, _ = run("show", folder / "small", width=width)
    said = one_line(out)
    assert code == 0
    assert said.startswith("small: 2 series from 34 cutoffs, 2018-02 to 2026-05, 1 to 6 months ahead, by 2 models")
    assert "Judged: months." in said
    assert "better than seasonal naive (CRPS)" in said
    assert "Of its intervals, the 80 % ones held" in said
    table = out[out.index("#") :].splitlines()
    assert [line.split()[0] for line in table[1:3] if line[:1].isdigit()][:1] == ["1"]
    assert "theta line" in said
    assert "+0 %" in said


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (["--by", "step"], ["1", "2", "3", "4", "5", "6"]),
        (["--by", "kind"], ["month", "quarter"]),
        (["--by", "regime"], ["before 2020", "pandemic", "shock", "after"]),
    ],
)
@pytest.mark.parametrize("width", [80, 110])
def test_show_apart(folder: Path, run: Run, words: list[str], groups: list[str], width: int) -> None:
    code, out, _ = run("show", folder / "small", *words, width=width)
    assert code == 0
    table = out[out.index(f"\n{words[1]} ") :]
    lines = [line for line in table.splitlines() if line.rstrip().endswith(tuple("0123456789")) and "cells" not in line]
    assert [next(one for one in groups if line.startswith(one)) for line in lines] == groups
    assert all("*" in line for line in lines)


@pytest.mark.parametrize("width", [80, 110])
def test_show_by_series_keeps_ids_whole(folder: Path, run: Run, width: int) -> None:
    code, out, _ = run("show", folder / "small", "--by", "series", width=width)
    assert code == 0
    lines = [line.rstrip() for line in out.splitlines()]
    for one in ("jp_world.exports.value", "jp_world.imports.value"):
        numbers = lines[lines.index(one) + 1]
        assert "+0 %" in numbers
        assert "*" in numbers


def test_show_quarters_and_some_series_only(folder: Path, run: Run) -> None:
    code, out, _ = run("show", folder / "small", "--kind", "quarter", "--series", "*exports*")
    assert code == 0
    assert "1 series from 33 cutoffs" in one_line(out)
    assert "Judged: whole quarters ahead." in one_line(out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "headlin3"], "No backtest is called 'headlin3'"),
        (["show", "small", "--by", "colour"], "--by colour: choose from series, step, regime, kind."),
        (["show", "small", "--kind", "day"], "--kind day: choose from month, quarter, fiscal_year."),
        (["nothing"], "There is no experiment nothing"),
        (["headlin"], "name a .toml file or one of headline"),
        (["nothing.toml"], "There is no experiment nothing.toml"),
        (["/not/there.toml"], "/not/there.toml cannot be read: No such file"),
        (["headline", "--workers", "-1"], "--workers -1"),
        (["headline", "--seed", "-1", "--dry-run"], "--seed -1"),
        (["headline", "headline", "--dry-run"], "Two experiments are called headline"),
        (["--dri-run"], "No such option"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, words: list[str], said: str) -> None:
    code, out, err = run(*words)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not out


def test_a_mistake_in_the_second_file_stops_the_first(folder: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(FILE.replace("horizon", "horizn"))
    code, _, err = run(folder / "small.toml", tmp_path / "bad.toml", "--out", tmp_path / "out")
    assert code == 2
    assert "bad.toml: horizn is no key here (did you mean horizon?)" in err
    assert not (tmp_path / "out").exists()


def test_dry_run_says_what_would_run_and_writes_nothing(folder: Path, run: Run, tmp_path: Path) -> None:
    code, out, _ = run(folder / "small.toml", "--dry-run", "--out", tmp_path / "out")
    said = one_line(out)
    assert code == 0
    assert "2 series from 34 cutoffs, 2018-02 to 2026-05; 6 months ahead; 200 paths, seed 0." in said
    assert "Models: seasonal_naive, theta line." in said
    assert "136 fits in 4 parts; about" in said
    assert not (tmp_path / "out").exists()
    _, out, _ = run(folder / "small.toml", "--dry-run", "--out", folder / "small")
    assert "4 parts, 4 of them finished already" in one_line(out)


def test_seed_wins_over_the_file(folder: Path, run: Run) -> None:
    code, out, _ = run(folder / "small.toml", "--dry-run", "--seed", "7")
    assert code == 0
    assert "seed 7." in one_line(out)


def test_list_and_show_find_backtests_by_name(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest_files, "backtests_folder", lambda: folder)
    code, out, _ = run("list")
    assert code == 0
    assert out.splitlines()[1].split()[:4] == ["small", "2", "2", "34"]
    assert run("show", "small")[0] == 0
    damaged = folder / "damaged"
    damaged.mkdir()
    (damaged / "about.json").write_text("{")
    code, out, err = run("list")
    assert (code, err.count("\n")) == (2, 1)
    assert out.splitlines()[1].split()[:4] == ["small", "2", "2", "34"]
    assert f"{damaged} holds no finished backtest" in err
    shutil.rmtree(damaged)
    code, _, err = run("show", "smal")
    assert (code, "there are small." in err) == (2, True)


def test_help_answers_without_heavy_libraries(run: Run) -> None:
    for words in (["--help"], ["run", "--help"], ["show", "--help"]):
        assert run(*words)[0] == 0


# The words of the verdict


def test_equal_models_have_no_winner(folder: Path) -> None:
    result = backtest_files.read(folder / "small")
    one = result.rows[result.rows["model"] == "seasonal_naive"]
    rng = pd.Series(range(len(one)), index=one.index) % 2
    twin = one.assign(model="theta line", crps=one["crps"] * (1.0 + 1e-3 * (rng - 0.5)))
    of = leaderboard.board(Result(result.folder, pd.concat([one, twin]), result.timings, result.about))
    assert leaderboard.who_wins(of).endswith("is within noise of it: no clear winner.")


def test_a_clear_winner_is_called_one(folder: Path) -> None:
    result = backtest_files.read(folder / "small")
    one = result.rows[result.rows["model"] == "seasonal_naive"]
    better = one.assign(model="theta line", crps=one["crps"] * 0.5)
    of = leaderboard.board(Result(result.folder, pd.concat([one, better]), result.timings, result.about))
    said = leaderboard.who_wins(of)
    assert said.startswith("theta line comes first, 50 % better than seasonal naive (CRPS), and beyond noise")


def test_few_cutoffs_are_not_tested(folder: Path) -> None:
    result = backtest_files.read(folder / "small")
    rows = result.rows[result.rows["cutoff"] >= "2025-08"]
    of = leaderboard.board(Result(result.folder, rows, result.timings, result.about))
    assert "cannot be said: 4 cutoffs: 6 are needed" in leaderboard.who_wins(of)


def test_without_a_base_models_are_ranked_by_crps(folder: Path, run: Run, tmp_path: Path) -> None:
    about = json.loads((folder / "small" / "about.json").read_text())
    result = backtest_files.read(folder / "small")
    del about["models"]["seasonal_naive"]
    rows = result.rows[result.rows["model"] == "theta line"]
    of = leaderboard.board(Result(result.folder, rows, result.timings, about))
    assert of.table["skill"].isna().all()
    assert leaderboard.who_wins(of) == "theta line is the only model, so that nothing is compared."


def test_narrow_intervals_are_called_narrow(folder: Path) -> None:
    result = backtest_files.read(folder / "small")
    rows = result.rows.assign(q10=result.rows["q50"], q90=result.rows["q50"])
    of = leaderboard.board(Result(result.folder, rows, result.timings, result.about))
    assert "the 80 % ones held 0 % (too narrow)" in leaderboard.do_intervals_cover(of)


def test_cutoffs_are_tested_the_same_distance_apart() -> None:
    months = [*pd.period_range("2010-02", "2024-11", freq="M")[::3], *pd.period_range("2024-12", "2026-07", freq="M")]
    rows = pd.DataFrame({"cutoff": [str(one) for one in months]})
    kept = leaderboard.evenly(rows)["cutoff"]
    assert list(kept) == [str(one) for one in pd.period_range("2010-02", "2026-07", freq="M")[::3]]
