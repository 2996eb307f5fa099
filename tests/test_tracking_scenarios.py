"""Studies of scenarios in MLflow: once, beneath the forecast they start from, and fit to be shared."""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_tracking
from conftest import invented

from forecasting import scenarios, tracking_scenarios
from forecasting.conditioning import Plausibility, Stated
from forecasting.conditions import CONDITIONAL, Conditional
from forecasting.forecast import FORECAST_COLUMNS
from forecasting.scenario import BASELINE, Assumption, Reroute, Size
from forecasting.scenario_file import parse
from forecasting.scenarios import Study
from forecasting.tracking_client import KEY
from forecasting.tracking_scenario_sheet import (
    Extra,
    Told,
    described,
    forecast_sheet,
    of_condition,
    of_plausibility,
    scenario_sheet,
)
from forecasting.tracking_scenarios import EXPERIMENT, PARENT, record, record_or_say
from forecasting.tracking_view import scenario_view_tags
from forecasting.workflow import Request

new_home, blank, home = test_tracking.new_home, test_tracking.blank, test_tracking.home
FILES = {
    "no-s0": """
name = "no-s0"
description = "All of s0 is banned, and s2 grows a little."
probability = "15 %"
[[assumption]]
name = "banned"
target = "s0"
kind = "ban"
residual = { triangular = ["0 %", "1 %", "5 %"] }
start = "2026-10"
ramp = 1
source = "judgement of the tests"
[[assumption]]
target = "s2"
kind = "scale"
size = "10 %"
start = "2026-12"
end = "2027-01"
recovery = 2
source = "judgement of the tests"
""",
    "half-s1": """
name = "half-s1"
[[assumption]]
target = "s1"
kind = "scale"
size = "-50 %"
start = "2026-10"
source = "judgement of the tests"
""",
    "nothing": 'name = "nothing"\n',
}
PNG = b"\x89PNG invented"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three scenarios on three invented series, months to March 2027."""
    y = invented(3, 60).y
    file = tmp_path_factory.mktemp("figures") / "figures.csv"
    y.set_axis(y.index.astype(str)).rename_axis("month").reset_index().to_csv(file, index=False)
    found = [parse(tomllib.loads(text), f"{name}.toml", {}, text) for name, text in FILES.items()]
    return scenarios.run(found, Request(data=file, horizon=7, paths=60, cache=False), "seasonal_naive")


@pytest.fixture
def told(study: Study) -> Told:
    return Told(study, str, PNG)


def in_store(root: Path) -> list[Any]:
    return test_tracking.in_store(root, EXPERIMENT)


def by_name(root: Path) -> dict[str, Any]:
    found = {run.info.run_name: run for run in in_store(root)}
    assert len(found) == len(in_store(root))
    return found


def artifacts(root: Path, run: Any) -> Path:
    return root / "mlruns" / EXPERIMENT / run.info.run_id / "artifacts"


def some(study: Study, *names: str) -> Study:
    """The study of these scenarios only."""
    table = study.table[study.table["scenario"].isin([BASELINE, *names])]
    return replace(study, scenarios=tuple(one for one in study.scenarios if one.name in names), table=table)


# --- What the runs hold ----------------------------------------------------------------------------------


def test_sheets_hold_the_numbers_of_the_table(told: Told) -> None:
    found = scenario_sheet(told, told.study.scenarios[0])
    rows = told.study.table.query("kind == 'quarter' and period == '2027Q1' and series == 's0'").set_index("scenario")
    before, after = rows.loc[BASELINE, "mean"], rows.loc["no-s0", "mean"]
    last = {one.name: one.value for one in found.metrics}  # the page shows the last step, too
    assert last["quarter_pct/s0"] == pytest.approx(100 * (after / before - 1), rel=1e-3)
    assert last["quarter/s0"] == pytest.approx(after - before, rel=1e-3)
    assert last["quarter_low80/s0"] < last["quarter/s0"] < last["quarter_high80/s0"] < 0
    assert (last["probability_pct"], last["assumptions"]) == (15, 2)
    levels = [one.value for one in found.metrics if one.name == "level/s0"]
    gaps = [one.value for one in found.metrics if one.name == "month/s0"]
    held = [one.value for one in forecast_sheet(told).metrics if one.name == "level/s0"]
    np.testing.assert_allclose(np.array(levels) - held, gaps, atol=2e-3 * max(held))
    assert [one.step for one in found.metrics if one.name == "month/s0"] == list(range(1, 8))


def test_files_are_whole_tables(told: Told) -> None:
    found = scenario_sheet(told, told.study.scenarios[0])
    assert found.files["scenario.toml"].decode() == FILES["no-s0"]
    shares = told.study.contributions
    assert found.files["contributions.csv"].count(b"\n") == 1 + (shares["scenario"] == "no-s0").sum()
    assert found.files["contributions.csv"].startswith(b"scenario,series,unit,")
    held = forecast_sheet(told).files
    assert found.files["table.csv"].splitlines()[0] == held["table.csv"].splitlines()[0]
    assert found.files["table.csv"].startswith(",".join(FORECAST_COLUMNS).encode())
    assert held["table.csv"].count(b"\n") == 1 + (told.study.table["scenario"] == BASELINE).sum()
    assert (found.files["chart.png"], held["chart.png"]) == (PNG, PNG)
    assert "chart.svg" in scenario_sheet(replace(told, chart=b"<svg/>"), told.study.scenarios[0]).files


def test_every_assumption_is_readable_in_params_and_words(told: Told) -> None:
    found = scenario_sheet(told, told.study.scenarios[0])
    first = {name: value for name, value in found.params.items() if name.startswith("a1.")}
    assert first == {
        "a1.name": "banned", "a1.target": "s0", "a1.kind": "ban", "a1.residual": "1 % (0 % to 5 %)",
        "a1.start": "2026-10", "a1.ramp": "1 month", "a1.source": "judgement of the tests",
    }  # fmt: skip
    assert "scale of `s2`, size 10 %, from 2026-12 to 2027-01, recovery 2 months" in found.note
    assert "Probability given by its author: 15 %" in found.note
    assert found.tags["effect"].startswith("s0 −9")
    assert (found.tags["kinds"], found.tags["targets"], found.params["period"]) == ("ban, scale", "s0, s2", "2027Q1")


def test_what_changes_nothing_says_so(told: Told) -> None:
    found = scenario_sheet(told, told.study.scenarios[2])
    assert found.tags["effect"] == "none"
    assert "Nothing of what is shown changes in 2027Q1." in found.note
    assert {one.value for one in found.metrics if one.name.startswith(("quarter", "month"))} == {0.0}


def test_a_remark_on_one_scenario_is_not_said_of_another(study: Study) -> None:
    remarked = Told(replace(study, remarks=("no-s0: late.", "nothing changes nothing of what is shown.", "All.")), str)
    said = [scenario_sheet(remarked, one).files["report.md"].decode() for one in study.scenarios]
    assert ["no-s0: late." in one for one in said] == [True, False, False]
    assert ["nothing changes nothing" in one for one in said] == [False, False, True]
    assert all("- All.\n" in one for one in said)


def test_without_a_whole_quarter_the_last_month_is_judged(study: Study) -> None:
    short = replace(study, table=study.table[study.table["kind"].str.startswith("month")])
    found = scenario_sheet(Told(short, str), study.scenarios[1])
    assert found.params["period"] == "2027-03"
    assert found.tags["effect"] == "s1 −50.0 %"


def test_columns_and_charts_are_of_what_changes_one_a_good(study: Study) -> None:
    assert Told(study, str).columns == ["s0", "s1", "s2"]
    assert Told(some(study, "half-s1"), str).columns == ["s1"]
    assert Told(some(study, "nothing"), str).columns == ["s0", "s1", "s2"]
    named = {"s0": "a.b.cars.value", "s1": "a.b.cars.quantity", "s2": "a.b.lng.value"}
    renamed = study.table.assign(series=study.table["series"].replace(named))
    official = replace(study, table=renamed, baseline=replace(study.baseline, series=tuple(named.values())))
    assert Told(official, str).columns == ["a.b.cars.value", "a.b.lng.value"]


def test_a_quota_and_a_price_kept_on_the_way_are_said() -> None:
    way = Reroute("s1", Size((0.5,)), lag=2, at_origin=True)
    quota = Assumption(
        "s0", "cap", pd.Period("2027-01", "M"), "s", size=Size((90.0,)), per="fiscal_year", reroute=(way,)
    )
    said = described(quota)
    assert (said["size"], said["per"]) == ("90", "fiscal year")
    assert said["reroute"] == "50 % to s1, 2 months later, at the price it has here"
    assert "per" not in described(replace(quota, per="month"))


def test_shipped_scenarios_are_described_with_their_source() -> None:
    for one in scenarios.read([file.stem for file in scenarios.folder().glob("*.toml")]):
        for assumption in one.assumptions:
            said = described(assumption)
            assert {"target", "kind", "start", "source"} <= set(said)
            assert all(said.values())
            assert ("reroute" in said) == bool(assumption.reroute)


def test_a_view_is_written_for_the_known_version_only() -> None:
    assert set(scenario_view_tags(["s0"], "3.17.2")) == {
        f"mlflow.sharedViewState.{one}" for one in ("leaderboard", "charts")
    }
    assert scenario_view_tags(["s0"], "3.18.0") == {}


# --- Recorded --------------------------------------------------------------------------------------------


def test_a_run_for_the_forecast_and_one_beneath_it_for_each_scenario(home: Path, study: Study) -> None:
    assert record_or_say(study, PNG) == f"In MLflow: 3 scenarios in {EXPERIMENT}. See them with tradecast ui."
    runs = by_name(home)
    assert set(runs) == {"seasonal_naive 2026-08", *FILES}
    parent = runs.pop("seasonal_naive 2026-08")
    assert PARENT not in parent.data.tags
    assert {run.data.tags[PARENT] for run in runs.values()} == {parent.info.run_id}
    assert parent.data.params | {"paths": "60", "seed": "0", "horizon": "7"} == parent.data.params
    assert runs["no-s0"].data.params["spillover"] == "no"
    assert runs["no-s0"].inputs.dataset_inputs[0].dataset.name == "observations 2026-08"
    assert {one.name for one in artifacts(home, parent).iterdir()} == {
        "table.csv", "table.parquet", "chart.png", "report.md",
    }  # fmt: skip
    assert {one.name for one in artifacts(home, runs["no-s0"]).iterdir()} == {
        "table.csv", "contributions.csv", "scenario.toml", "chart.png", "report.md",
    }  # fmt: skip
    assert list(pd.read_parquet(artifacts(home, parent) / "table.parquet")) == list(FORECAST_COLUMNS)
    assert len({run.data.tags["mlflow.runColor"] for run in in_store(home)}) == 4


def test_recorded_once_and_another_study_of_the_forecast_adds_beneath_it(home: Path, study: Study) -> None:
    assert record(some(study, "no-s0")).sent == 1
    found = record(study)
    assert (found.sent, found.present) == (2, 1)
    assert record_or_say(study).startswith("Already in MLflow: 3 scenarios")
    assert len(in_store(home)) == 4
    assert {run.data.tags["latest"] for run in in_store(home)} == {"yes"}


@pytest.mark.parametrize("changed", ["seed", "spillover", "text", "numbers"])
def test_another_study_makes_other_runs(home: Path, study: Study, changed: str) -> None:
    one = some(study, "half-s1")
    other = {
        "seed": lambda: replace(one, settings={**one.settings, "seed": 1}),
        "spillover": lambda: replace(one, settings={**one.settings, "spillover": True}),
        "text": lambda: replace(one, scenarios=(replace(one.scenarios[0], text="# checked\n"),)),
        "numbers": lambda: replace(one, table=one.table.assign(mean=one.table["mean"] * 1.5)),
    }[changed]()
    assert (record(one).sent, record(other).sent) == (1, 1)
    same_forecast = changed in ("spillover", "text")
    runs = in_store(home)
    assert len(runs) == (3 if same_forecast else 4)
    latest = sorted(run.data.tags["latest"] for run in runs)
    assert latest == (["yes"] * 3 if same_forecast else ["no", "no", "yes", "yes"])


@pytest.mark.parametrize("call", ["create_run", "log_batch", "log_artifacts", "set_terminated"])
@pytest.mark.parametrize("at", [1, 3])
def test_after_a_kill_the_same_command_leaves_each_run_once(
    home: Path, study: Study, call: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    with monkeypatch.context() as patch:
        real, calls = getattr(MlflowClient, call), []

        def dies(*given: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) == at:
                raise KeyboardInterrupt
            return real(*given, **named)

        patch.setattr(MlflowClient, call, dies)
        with pytest.raises(KeyboardInterrupt):
            record(study)
    found = record(study)
    assert found.present == max(at - 2, 0)
    runs = in_store(home)
    assert len(runs) == len({run.data.tags[KEY] for run in runs}) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len({run.data.tags[PARENT] for run in runs if PARENT in run.data.tags}) == 1


def test_scenarios_whose_forecast_was_deleted_are_written_beneath_a_new_one(home: Path, study: Study) -> None:
    from mlflow import MlflowClient

    record(study)
    MlflowClient(tracking_uri=f"sqlite:///{home / 'mlflow.db'}").delete_run(
        by_name(home)["seasonal_naive 2026-08"].info.run_id
    )
    assert record(study).sent == 3
    runs = by_name(home)
    assert {run.data.tags.get(PARENT) for run in runs.values()} == {None, runs["seasonal_naive 2026-08"].info.run_id}


def test_requests_a_run_do_not_grow(home: Path, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    counted: dict[str, int] = {}
    for name in ("create_run", "log_batch", "log_inputs", "update_run_info", "set_tag", "_search_runs", "log_metric"):
        test_tracking._count(monkeypatch, SqlAlchemyStore, name, counted)
    record(study)
    assert counted == dict.fromkeys(("create_run", "log_batch", "log_inputs", "update_run_info"), 4) | {
        "_search_runs": 3
    }
    counted.clear()
    record(study)
    assert counted == {"_search_runs": 3}


def test_nothing_private_is_logged(home: Path, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "zz-login-name")
    monkeypatch.setattr(socket, "gethostname", lambda: "zz-host-name")
    first, *others = study.scenarios
    private = replace(
        first,
        description=f"From {home}/notes.txt.",
        text=f"# {home}/notes.txt\n",
        assumptions=tuple(replace(one, source=f"{home}/memo.pdf") for one in first.assumptions),
    )
    record(replace(study, scenarios=(private, *others), remarks=(f"Read {home}/own.csv.",)))
    test_tracking._check_nothing_private(home)
    run = by_name(home)["no-s0"]
    assert (artifacts(home, run) / "scenario.toml").read_text() == "# ./notes.txt\n"
    assert run.data.params["a1.source"] == "./memo.pdf"


# --- Plausibility ----------------------------------------------------------------------------------------


def plausibility() -> Plausibility:
    stated = Stated("s0 2026Q4 = 5000", "as given", 5000.0, 0.0, 0.93, 4000.0, 3500.0, 4700.0)
    return Plausibility(2.2, 1, 0.138, (stated,))


def test_extras_are_logged_with_their_scenario(home: Path, study: Study) -> None:
    extras: Mapping[str, Extra] = {"half-s1": of_plausibility(plausibility())}
    assert record(study, extras=extras).sent == 3
    assert record(study, extras=extras).sent == 0
    runs = by_name(home)
    found = runs["half-s1"]
    assert found.data.metrics["plausibility/tail_pct"] == 13.8
    assert found.data.metrics["plausibility/percentile_1"] == 93
    assert "in 14 % of futures" in found.data.tags["mlflow.note.content"]
    assert pd.read_csv(artifacts(home, found) / "plausibility.csv")["percentile"].tolist() == [93.0]
    assert not any(one.startswith("plausibility") for one in runs["no-s0"].data.metrics)


def test_a_condition_is_a_run_beneath_the_same_forecast(home: Path, study: Study) -> None:
    one = some(study, "half-s1")
    table = one.table.assign(scenario=one.table["scenario"].replace("half-s1", CONDITIONAL))
    found = Conditional(one.baseline, one.outlooks["half-s1"], table, plausibility())
    made, extras = of_condition(found, seed=0)
    record(study)
    assert record(made, extras=extras).sent == 1
    runs = by_name(home)
    assert len(runs) == 5
    stated = runs["if s0 2026Q4 = 5000"]
    assert stated.data.tags[PARENT] == runs["seasonal_naive 2026-08"].info.run_id
    assert stated.data.metrics["quarter/s1"] == runs["half-s1"].data.metrics["quarter/s1"]
    assert "plausibility/tail_pct" in stated.data.metrics


# --- What goes wrong -------------------------------------------------------------------------------------


def test_a_store_that_is_down_costs_one_line(home: Path, study: Study) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = record_or_say(study, PNG, f"http://me:secret@127.0.0.1:{port}")
    assert said.startswith("Not in MLflow: No answer from http://127.0.0.1")
    assert said.endswith("Nothing was kept to send: run the same command again once the store answers.")
    assert "secret" not in said
    assert "\n" not in said


def test_a_slow_store_is_left_in_time_and_finished_by_the_next(home: Path, study: Study, monkeypatch: Any) -> None:
    monkeypatch.setattr(tracking_scenarios, "PATIENCE_SECONDS", 0.0)
    assert "too slow: 1 scenario written" in record_or_say(study)
    assert record(study).sent == 2


# --- In a browser ----------------------------------------------------------------------------------------


def test_the_page_lists_scenarios_flat_the_hardest_first_and_draws_them(home: Path, study: Study) -> None:
    ui = pytest.importorskip("test_mlflow_ui", reason="no playwright here: pip install 'tradecast[browser]'")
    if ui.BROWSER is None:
        pytest.skip("no browser here: apt-get install chromium to see the page")
    record(study)
    with (home / "log").open("w+") as log:
        server = ui._start(log)
        try:
            _look(ui, ui._links(server, home / "log"))
        finally:
            server.terminate()
            server.wait(30)


def _look(ui: Any, links: list[str]) -> None:
    with ui.playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=ui.BROWSER, args=ui.FLAGS)
        page = browser.new_context(viewport={"width": 1400, "height": 1600}).new_page()
        page.set_default_timeout(ui.SECONDS)
        page.goto(links[0])
        page.get_by_role("link", name="no-s0").wait_for()
        ui._close_assistant(page)
        names = page.locator("a", has_text=re.compile(r"^(no-s0|half-s1|nothing|seasonal_naive 2026-08)$"))
        found = names.all_inner_texts()
        assert (found[0], found[-1], len(found)) == ("no-s0", "seasonal_naive 2026-08", 4)
        page.get_by_text("s0 −9").first.wait_for()  # the effect
        page.get_by_role("columnheader", name="quarter_pct/s0").first.wait_for()
        page.goto(links[1])
        page.get_by_text("month/s0", exact=True).first.wait_for()
        page.locator(".js-plotly-plot .scatterlayer .trace").nth(2).wait_for(state="attached")
        browser.close()
