"""The champion: judged on a table, promoted in a registry, used by forecasts, served by MLflow, killed on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from forecasting import backtest_files, champion, champion_file, champion_forecast, scenarios, store, workflow
from forecasting.backtest_files import Result
from forecasting.champion_file import Champion
from forecasting.cli import main
from forecasting.errors import DataError, TrackingError
from forecasting.forecast import FORECAST_COLUMNS, QUANTILE_COLUMNS, QUANTILES
from forecasting.scenario import Scenario

NAIVE, THETA, ETS = "seasonal_naive", "theta", "ets"
SERIES = {"jp_ru": "jp_ru.exports.value", "jp_world": "jp_world.imports.mineral_fuels.lng.value"}
OTHER = ("jp_ru.imports.value", "jp_ru.trade.value", "jp_world.imports.mineral_fuels.lng.quantity",
         "jp_world.imports.mineral_fuels.lng.unit_price")  # fmt: skip


def made(folder: Path, sizes: dict[str, float], widths: dict[str, float] | None = None, cutoffs: int = 40, **about):
    """A finished backtest: errors of each model are ``sizes`` large, its intervals ``widths`` times as wide."""
    rng = np.random.default_rng(0)
    months = [str(one) for one in pd.period_range(end="2026-07", periods=cutoffs, freq="M")]
    parts = []
    for at, (model, size) in enumerate(sizes.items()):
        for series in SERIES.values():
            error = size * np.random.default_rng(at).normal(size=cutoffs) + 0.1 * rng.normal(size=cutoffs)
            width = size * (widths or {}).get(model, 1.0)
            z = error / width
            rows = pd.DataFrame({"cutoff": months, "mean": 100.0 - error, "actual": 100.0, "pit": norm.cdf(z)})
            rows["crps"] = width * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
            for column, q in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
                rows[column] = rows["mean"] + width * norm.ppf(q)
            parts.append(rows.assign(model=model, series=series))
    table = pd.concat(parts, ignore_index=True).assign(
        experiment=folder.name, kind="month", step=1, observed_months=0, scale=2.0, scale_sq=4.0
    )
    table["period"] = [str(pd.Period(one, "M") + 1) for one in table["cutoff"]]
    timings = table[["model", "cutoff"]].drop_duplicates().assign(seconds=1.0, fits=1)
    said = {
        "experiment": {"name": folder.name}, "finished": "2026-11-22T07:00:00+00:00", "calibrate": True,
        "kind": "month", "window": "expanding", "sort_by": ["skill"], "failures": [], "regimes": {}, "seed": 0,
        "models": {one: {"model": one, "settings": {}} for one in sizes},
        "data": {"source": "official figures", "vintage": "2026-08", "digest": "a" * 64},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    return backtest_files.write(folder, table, timings, {**said, **about}, f'name = "{folder.name}"\n')


def as_champion(model: str, group: str = "jp_ru", **other) -> Champion:
    said = {"settings": {}, "version": 1, "promoted": "2026-11-01T00:00:00+00:00", "backtest": "b",
            "vintage": "2026-08", "why": "it won", "store": "mlflow.db"}  # fmt: skip
    return Champion(group=group, model=model, **(said | other))


# --- The decision ----------------------------------------------------------------------------------------


def test_the_best_model_by_skill_is_proposed_for_each_family(tmp_path) -> None:
    result = made(tmp_path / "b", {NAIVE: 2.0, THETA: 1.0, ETS: 1.4})
    assert champion.groups_of(result) == ("jp_ru", "jp_world")
    verdict = champion.choose(result, "jp_ru")
    assert (verdict.label, verdict.passed) == (THETA, True)
    assert verdict.skill > 0.3
    assert "no champion before it" in verdict.why
    assert "intervals cover: 80 % held" in verdict.why
    with pytest.raises(DataError, match="no series of a group 'jp_cn': there are jp_ru, jp_world"):
        champion.choose(result, "jp_cn")
    rows = result.rows.replace({"series": {SERIES["jp_world"]: "jp_other.imports.mineral_fuels.lng.value"}})
    assert champion.groups_of(replace(result, rows=rows)) == ("jp_ru",)
    with pytest.raises(DataError, match="no forecasts of arima for jp_ru: choose from theta, ets, seasonal_naive"):
        champion.choose(result, "jp_ru", label="arima")


def test_without_skill_nobody_is_champion(tmp_path) -> None:
    verdict = champion.choose(made(tmp_path / "b", {NAIVE: 1.0, THETA: 2.0}), "jp_ru", label=THETA)
    assert not verdict.passed
    assert "against seasonal_naive" in verdict.refusals
    assert "must be above 0" in verdict.refusals
    alone = champion.choose(made(tmp_path / "c", {THETA: 2.0}), "jp_ru")
    assert "add seasonal_naive to the experiment" in alone.refusals


def test_significantly_worse_than_the_champion_fails_and_within_noise_passes(tmp_path) -> None:
    result = made(tmp_path / "b", {NAIVE: 4.0, THETA: 1.0, ETS: 2.0})
    worse = champion.choose(result, "jp_ru", as_champion(THETA), label=ETS)
    assert "significantly worse than theta" in worse.refusals
    assert champion.choose(result, "jp_ru", as_champion(ETS), label=THETA).passed
    close = made(tmp_path / "c", {NAIVE: 4.0, THETA: 1.0, ETS: 1.02})
    noise = champion.choose(close, "jp_ru", as_champion(THETA), label=ETS)
    assert noise.passed
    assert any("cannot tell it from theta" in one for one in noise.remarks)
    assert champion.choose(result, "jp_ru", as_champion(THETA)).passed


def test_a_champion_that_was_not_backtested_cannot_be_beaten(tmp_path) -> None:
    result = made(tmp_path / "b", {NAIVE: 4.0, THETA: 1.0})
    assert "sarima, the present champion" in champion.choose(result, "jp_ru", as_champion("sarima")).refusals
    other_settings = as_champion(THETA, settings={"max_months": 60})
    assert "add it to the experiment" in champion.choose(result, "jp_ru", other_settings).refusals


def test_where_nothing_can_be_tested_the_loss_decides(tmp_path) -> None:
    result = made(tmp_path / "b", {NAIVE: 4.0, THETA: 1.0, ETS: 2.0}, cutoffs=5)
    worse = champion.choose(result, "jp_ru", as_champion(THETA), label=ETS)
    assert "loses more than theta, the present champion (not tested: 5 cutoffs: 6 are needed)" in worse.refusals
    assert "loses no more" in champion.choose(result, "jp_ru", as_champion(ETS), label=THETA).why


def test_too_narrow_fails_and_too_wide_is_said(tmp_path) -> None:
    result = made(tmp_path / "b", {NAIVE: 4.0, THETA: 1.0, ETS: 1.0}, {THETA: 0.4, ETS: 2.5})
    narrow = champion.choose(result, "jp_ru", label=THETA)
    assert "intervals too narrow: 80 % held" in narrow.refusals
    wide = champion.choose(result, "jp_ru", label=ETS)
    assert wide.passed
    assert "too wide" in wide.why


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"calibrate": False}, "did not calibrate"),
        ({"window": 60}, "only 60 months"),
        ({"experiment": {"name": "b", "covariates": "x.csv"}}, "gave models covariates"),
        ({"data": {"source": "mine.csv", "vintage": "2026-08", "digest": "a"}}, "ran on mine.csv"),
    ],
)
def test_a_backtest_of_other_forecasts_makes_no_champion(tmp_path, about, words) -> None:
    assert words in champion.choose(made(tmp_path / "b", {NAIVE: 4.0, THETA: 1.0}, **about), "jp_ru").refusals


# --- The file and the forecast ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A project with seven series of two families, and a backtest that theta wins."""
    root = tmp_path_factory.mktemp("project")
    data = root / "data"
    data.mkdir()
    wanted = (*SERIES.values(), *OTHER)
    ours = Path(__file__).resolve().parent.parent / "data"
    catalogue = pd.read_csv(ours / "catalogue.csv", dtype=str, keep_default_na=False)
    catalogue.loc[catalogue["id"].isin(wanted)].assign(parent="", within="").to_csv(data / "catalogue.csv", index=False)
    rows = pd.read_csv(ours / "observations.csv", dtype=str, keep_default_na=False)
    rows = rows[rows["series"].isin(wanted) & (rows["month"] >= "2020-01")]
    rows.to_csv(data / "observations.csv", index=False)
    made(data / "backtests" / "headline", {NAIVE: 2.0, THETA: 1.0, ETS: 1.05})
    return root


@pytest.fixture
def project(small, tmp_path, monkeypatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(small, root)
    monkeypatch.setenv("TRADECAST_HOME", str(root))
    monkeypatch.delenv("TRADECAST_CACHE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return root


def command(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tradecast", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return stop.value.code, said.out, said.err


def test_the_file_gives_back_what_was_put_and_is_refused_in_one_line_if_broken(project) -> None:
    assert champion_file.read() == {}
    put = {"jp_ru": as_champion("ensemble", settings={"members": ["theta", "ets"]}, skill=0.2)}
    champion_file.write(put)
    assert champion_file.read() == put
    assert put["jp_ru"].same_model("ensemble", {"members": ("theta", "ets")})
    assert str(project) not in champion_file.path().read_text()
    champion_file.path().write_text("{")
    with pytest.raises(DataError, match="`tradecast champion show` writes it anew"):
        champion_file.read()


def test_each_family_is_forecast_by_its_champion_with_the_numbers_of_that_model(project) -> None:
    champion_file.write({"jp_ru": as_champion(NAIVE), "jp_world": as_champion(THETA, "jp_world")})
    request = workflow.Request(paths=200, cache=False)
    outlook = champion_forecast.forecast(request)
    assert outlook.series == tuple(one for one in outlook.dataset.catalogue if outlook.dataset.catalogue[one].headline)
    for model, family in ((NAIVE, "jp_ru"), (THETA, "jp_world")):
        alone = workflow.forecast(replace(request, model=model)).table
        want = alone[alone["series"].str.startswith(family)]
        have = outlook.table[outlook.table["series"].str.startswith(family)]
        assert store.csv_text(have.reset_index(drop=True)) == store.csv_text(want.reset_index(drop=True))
    assert outlook.remarks[0] == ("jp_ru by seasonal_naive, champion since 2026-11-01 (version 1, backtest b): it won.")
    assert outlook.totals["month"].series == outlook.series
    assert set(outlook.described["model" if "model" in outlook.described else "series"])


def test_a_family_that_is_published_later_keeps_the_months_that_the_other_knows(project) -> None:
    champion_file.write({"jp_ru": as_champion(THETA), "jp_world": as_champion("naive", "jp_world")})
    late = "jp_world.imports.mineral_fuels.lng.quantity"
    rows = pd.read_csv(project / "data" / "observations.csv", dtype=str, keep_default_na=False)
    known = rows["month"].between("2025-10", "2026-05") & (rows["month"] != "2026-03")  # too few for theta, and a hole
    rows[(rows["series"] != late) | known].to_csv(project / "data" / "observations.csv", index=False)
    request = workflow.Request(paths=50, cache=False)
    outlook = champion_forecast.forecast(request)
    assert str(outlook.forecast.months[0]) == "2026-06"
    for model, family in ((THETA, "jp_ru"), ("naive", "jp_world")):
        alone, have = workflow.forecast(replace(request, model=model)).table, outlook.table
        want, have = (of[of["series"].str.startswith(family)].reset_index(drop=True) for of in (alone, have))
        assert len(want)
        pd.testing.assert_frame_equal(have, want)


def test_what_rests_on_two_families_is_computed_from_the_forecasts_of_both(project) -> None:
    champion_file.write({"jp_ru": as_champion(NAIVE), "jp_world": as_champion(THETA, "jp_world")})
    world, russia, rest = SERIES["jp_world"], SERIES["jp_ru"], "jp_other.rest.value"
    path = project / "data" / "catalogue.csv"
    catalogue = pd.read_csv(path, dtype=str, keep_default_na=False)
    new = catalogue[catalogue["id"] == world].assign(id=rest, formula="difference", terms=f"{world} {russia}")
    pd.concat([catalogue, new.assign(core="", headline="")]).to_csv(path, index=False)
    asked = workflow.Request((rest, russia), paths=100, cache=False)
    outlook = champion_forecast.forecast(asked)
    assert outlook.series == (russia, rest)
    both = champion_forecast.forecast(replace(asked, series=(world, russia)))
    totals = dict(zip((russia, world), np.moveaxis(both.totals["quarter"].paths, 2, 0), strict=True))
    np.testing.assert_array_equal(outlook.totals["quarter"].paths[:, :, 1], totals[world] - totals[russia])
    models = outlook.table.groupby("series")["model"].unique().map(list).to_dict()
    assert models == {russia: [NAIVE], rest: [f"{THETA}, {NAIVE}"]}
    study = scenarios.run((Scenario("nothing"),), replace(asked, horizon=outlook.forecast.paths.shape[1]))
    baseline = study.table[study.table["scenario"] == "baseline"].reset_index(drop=True)
    pd.testing.assert_frame_equal(baseline, outlook.table)


def test_without_a_champion_the_ensemble_and_settings_reach_the_model(project) -> None:
    dataset = workflow.load()
    (share,) = champion_forecast.shares(workflow.Request(), dataset)
    assert share.model == "ensemble"
    assert "No champion yet for jp_ru" in share.why[0]
    settings = {"members": ["theta", "ets"]}
    champion_file.write(
        {"jp_ru": as_champion("ensemble", settings=settings), "jp_world": as_champion(THETA, "jp_world")}
    )
    one, two = champion_forecast.shares(workflow.Request(), dataset)
    assert (one.settings, two.model) == ({"members": ("theta", "ets")}, THETA)
    (only,) = champion_forecast.shares(workflow.Request(series=("jp_world.*",)), dataset)
    assert set(only.series) == {one for one in dataset.catalogue if one.startswith("jp_world")}
    one, two = champion_forecast.shares(workflow.Request(working_days=True), dataset)
    assert two.why == ("theta, the champion of jp_world, uses no covariates: the ensemble.",)


def test_a_users_own_series_have_no_champion(project, tmp_path, monkeypatch, capsys) -> None:
    champion_file.write({"s0": as_champion(THETA, "s0")})
    months = pd.period_range("2022-01", periods=40, freq="M").astype(str)
    pd.DataFrame({"series": "s0.a", "month": months, "value": 10.0}).to_csv(tmp_path / "own.csv", index=False)
    dataset = workflow.load(tmp_path / "own.csv")
    (share,) = champion_forecast.shares(workflow.Request(), dataset)
    assert (share.model, share.why) == ("ensemble", ())


def test_the_command_uses_the_champion_and_model_wins(project, monkeypatch, capsys) -> None:
    champion_file.write({"jp_ru": as_champion(NAIVE)})
    words = ("forecast", SERIES["jp_ru"], "--paths", "200", "--workers", "1")
    code, by_champion, _ = command(monkeypatch, capsys, *words, "--out", "-")
    assert code == 0
    assert command(monkeypatch, capsys, *words, "--model", NAIVE, "--out", "-")[1] == by_champion
    assert ",theta," in command(monkeypatch, capsys, *words, "--model", THETA, "--out", "-")[1]
    shown = " ".join(command(monkeypatch, capsys, *words)[1].split())
    assert "jp_ru by seasonal_naive, champion since 2026-11-01" in shown


def test_the_forecast_by_champion_does_not_import_mlflow(project) -> None:
    champion_file.write({"jp_ru": as_champion(NAIVE)})
    code = (
        "import sys; from forecasting import champion_forecast, workflow\n"
        f"champion_forecast.forecast(workflow.Request(('{SERIES['jp_ru']}',), paths=100))\n"
        "assert 'mlflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_registered_is_said_in_a_line(project, monkeypatch, capsys) -> None:
    for words in (("show",), ("history",)):
        code, out, _ = command(monkeypatch, capsys, "champion", *words)
        assert code == 0
        assert out.startswith("No champion yet: run tradecast backtest")
    assert not (project / "mlflow.db").exists()
    code, _, err = command(monkeypatch, capsys, "champion", "promote", "--force")
    assert (code, err.count("\n")) == (2, 1)
    assert "--reason" in err
    code, out, _ = command(monkeypatch, capsys, "champion", "propose")
    assert code == 0
    assert "jp_world: theta may be champion (backtest headline of 2026-11-22, data of 2026-08, months)" in out


# --- The registry ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    """A database without anything in it: making one takes seconds."""
    from forecasting import tracking_client

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRADECAST_CACHE", str(file.parent))
        with tracking_client.session(f"sqlite:///{file}") as client:
            client.search_experiments()
    return file


@pytest.fixture
def registry(project, empty_store) -> Path:
    shutil.copy(empty_store, project / "mlflow.db")
    return project


def headline() -> Result:
    return backtest_files.read(backtest_files.named("headline"))


def promote(label: str = "", force: str = "", group: str = "jp_ru"):
    from forecasting import champion_registry

    return champion_registry.promote(headline(), group, label, force=force)


def in_force(root: Path, group: str = "jp_ru") -> tuple[int, str]:
    """Version and model under the alias, past all of our code."""
    from mlflow import MlflowClient

    found = MlflowClient(f"sqlite:///{root}/mlflow.db").get_model_version_by_alias(f"tradecast-{group}", "champion")
    return int(found.version), found.tags["model"]


def test_promotion_refusal_force_and_history(registry, monkeypatch, capsys) -> None:
    code, out, err = command(monkeypatch, capsys, "champion", "promote")
    assert code == 0, err
    assert out.count("Champion now:") == 2
    assert in_force(registry) == (1, THETA)
    assert champion_file.read()["jp_ru"].version == 1
    code, out, _ = command(monkeypatch, capsys, "champion", "promote", "jp_ru")
    assert "Champion already" in out
    code, _, err = command(monkeypatch, capsys, "champion", "promote", "jp_ru", "--model", NAIVE)
    assert (code, err.count("\n")) == (2, 1)
    assert "significantly worse than theta" in err
    assert in_force(registry) == (1, THETA)
    words = ("champion", "promote", "jp_ru", "--model", NAIVE, "--force", "--reason", f"asked for, see {registry}/x")
    assert command(monkeypatch, capsys, *words)[0] == 0
    assert in_force(registry) == (2, NAIVE)
    assert champion_file.read()["jp_ru"].forced == "asked for, see ./x"
    code, out, _ = command(monkeypatch, capsys, "champion", "history", "jp_ru")
    assert out.startswith("jp_ru version 2 (in force): seasonal_naive")
    assert "By force: asked for" in out
    assert "failed: skill" in out


def test_the_file_is_mended_from_the_registry(registry, monkeypatch, capsys) -> None:
    promote()
    right = champion_file.read()
    for wrong in ("{", json.dumps({}), json.dumps({"jp_ru": {**json.loads(champion_file.path().read_text())["jp_ru"],
                                                             "model": "ets"}})):  # fmt: skip
        champion_file.path().write_text(wrong)
        code, out, _ = command(monkeypatch, capsys, "champion", "show")
        assert code == 0
        assert "mended" in out or "could not be read" in out
        assert champion_file.read() == right
    assert "mended" not in command(monkeypatch, capsys, "champion", "show")[1]
    elsewhere = {**right, "jp_world": as_champion(THETA, "jp_world", store="http://mlflow:5000")}
    champion_file.write(elsewhere)
    command(monkeypatch, capsys, "champion", "show")
    assert champion_file.read() == elsewhere


@pytest.mark.parametrize(
    ("where", "alias"),
    [("log_model_artifacts", 1), ("create_model_version", 1), ("set_registered_model_alias", 2), ("write", 2)],
)
def test_a_promotion_that_stops_half_way_leaves_the_old_or_the_new_champion(
    registry, where, alias, monkeypatch
) -> None:
    from mlflow import MlflowClient

    from forecasting import champion_registry

    promote(THETA)
    target = champion_file if where == "write" else MlflowClient
    done = getattr(target, where)

    def stop(*given, **named):
        if where != "write":
            done(*given, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(target, where, stop)
        with pytest.raises(KeyboardInterrupt):
            promote(ETS)
    assert champion_file.read()["jp_ru"].version == 1  # forecasts go on as before
    assert in_force(registry)[1] == (THETA if alias == 1 else ETS)
    found, mended = champion_registry.agree()
    assert bool(mended) == (alias == 2)
    assert found == champion_file.read()
    assert found["jp_ru"].model == (THETA if alias == 1 else ETS)
    promote(NAIVE, force="to see what is cleared away")
    client = MlflowClient(f"sqlite:///{registry}/mlflow.db")
    experiment = client.get_experiment_by_name("champions").experiment_id
    assert {one.info.status for one in client.search_runs([experiment])} == {"FINISHED"}
    assert {one.status for one in client.search_logged_models([experiment])} == {"READY"}
    past = {one.version: bool(one.promoted) for one in champion_registry.history()}
    if where == "create_model_version":
        assert past == {1: True, 2: False, 3: True}  # 2 never was in force
    elif alias == 2:
        assert past == {1: True, 2: True, 3: True}


@pytest.mark.parametrize("where", ["finalize_logged_model", "log_batch", "create_model_version", "set_terminated"])
def test_the_same_promotion_again_goes_on_where_it_was_killed(registry, where, monkeypatch) -> None:
    from mlflow import MlflowClient

    from forecasting import champion_registry

    promote(THETA)
    done = getattr(MlflowClient, where)

    def stop(*given, **named):
        done(*given, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, where, stop)
        with pytest.raises(KeyboardInterrupt):
            promote(ETS)
    assert promote(ETS).new
    assert in_force(registry) == (2, ETS)
    assert {one.version: bool(one.promoted) for one in champion_registry.history()} == {1: True, 2: True}
    client = MlflowClient(f"sqlite:///{registry}/mlflow.db")
    experiment = client.get_experiment_by_name("champions").experiment_id
    assert [one.info.status for one in client.search_runs([experiment])] == ["FINISHED"] * 2
    models = client.search_logged_models([experiment])
    assert [one.status for one in models] == ["READY"] * 2
    assert all("mlflow.modelVersions" in one.tags for one in models)


def test_a_store_that_was_lost_unseats_nobody(registry, empty_store, monkeypatch, capsys) -> None:
    promote(THETA)
    promote(THETA, group="jp_world")
    before = champion_file.read()
    (registry / "mlflow.db").write_bytes(b"")  # what a full disk leaves
    code, out, _ = command(monkeypatch, capsys, "champion", "show")
    assert (code, champion_file.read()) == (0, before)
    assert "no tracking store to hold it against" in out
    shutil.copy(empty_store, registry / "mlflow.db")
    code, out, _ = command(monkeypatch, capsys, "champion", "show")
    assert (code, champion_file.read()) == (0, before)
    assert "jp_ru: champion.json says theta (version 1), of which mlflow.db knows nothing; kept." in out
    promote(ETS, force="a new store")
    after = champion_file.read()
    assert (after["jp_ru"].model, after["jp_world"]) == (ETS, before["jp_world"])


def test_promotions_at_once_end_in_one_champion(registry) -> None:
    promote(THETA)
    code = (
        "from forecasting import backtest_files, champion_registry as r\n"
        "b = backtest_files.read(backtest_files.named('headline'))\n"
        "r.promote(b, 'jp_ru', {label!r}, force='race')"
    )
    racers = [subprocess.Popen([sys.executable, "-c", code.format(label=one)]) for one in (ETS, NAIVE)]
    assert [one.wait(120) for one in racers] == [0, 0]
    version, model = in_force(registry)
    said = champion_file.read()["jp_ru"]
    assert (said.version, said.model) == (version, model)
    assert version == 3


# --- The served model ------------------------------------------------------------------------------------


def test_the_registered_model_gives_the_numbers_of_the_command_line(registry, monkeypatch, capsys, tmp_path) -> None:
    import mlflow

    promote(group="jp_world")
    folder = next((registry / "mlruns" / "champions" / "models").iterdir()) / "artifacts"
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert sum(one.stat().st_size for one in files) < 1_000_000
    for one in files:
        assert str(registry).encode() not in one.read_bytes()
        assert str(Path(workflow.__file__).parent).encode() not in one.read_bytes()
        assert b"/tmp" not in one.read_bytes()
        assert one.suffix != ".pkl"
    assert (folder / "requirements.txt").read_text().split() == ["tradecast==0.1.0", f"mlflow=={mlflow.__version__}"]
    series = SERIES["jp_world"]
    words = ("forecast", series, "--horizon", "4", "--seed", "7", "--workers", "1", "--no-cache", "--out", "-")
    ours = command(monkeypatch, capsys, *words, "--model", THETA)[1]
    assert command(monkeypatch, capsys, *words)[1] == ours

    monkeypatch.setenv("TRADECAST_HOME", str(tmp_path / "elsewhere"))  # the model needs nothing of the project
    monkeypatch.setenv("TRADECAST_CACHE", str(tmp_path / "cache"))
    model = mlflow.pyfunc.load_model(str(folder))
    table = model.predict(None, params={"horizon": 4, "seed": 7, "series": [series]})
    assert tuple(table.columns) == FORECAST_COLUMNS
    assert store.csv_text(table) == ours
    shown = model.predict(pd.DataFrame(), params={"coverages": [80]})
    assert [one for one in shown if one in QUANTILE_COLUMNS] == ["q10", "q50", "q90"]
    assert set(shown["series"]) == {series, "jp_world.imports.mineral_fuels.lng.quantity"}
    for wrong, words in (
        ({"horizn": 4}, "No parameter is called 'horizn'"),
        ({"scenario": "ban"}, "only baseline"),
        ({"horizon": 99}, "1 to 60"),
        ({"coverages": [70]}, "choose from 50"),
        ({"series": [SERIES["jp_ru"]]}, "champion of jp_world"),
        ({"seed": -1}, "0 or more"),
    ):
        with pytest.raises(mlflow.exceptions.MlflowException, match=words):
            model.predict(None, params=wrong)


def test_figures_that_were_changed_are_not_served(registry, tmp_path) -> None:
    from forecasting import served_model

    promote()
    folder = next((registry / "mlruns" / "champions" / "models").iterdir()) / "artifacts" / "artifacts"
    table = pd.read_parquet(folder / served_model.OBSERVATIONS)
    table.assign(value=table["value"] * 2).to_parquet(folder / served_model.OBSERVATIONS)
    with pytest.raises(DataError, match=r"not what spec\.json describes"):
        served_model.answer(folder, {})


def test_a_store_that_is_down_is_said_and_nothing_changes(project) -> None:
    from forecasting import champion_registry

    with pytest.raises(TrackingError, match="No answer"):
        champion_registry.promote(headline(), "jp_ru", uri="http://127.0.0.1:9")
    assert champion_file.read() == {}


@pytest.mark.parametrize(
    "changed",
    [{"settings": None}, {"settings": []}, {"promoted": 5}, {"version": "x"}, {"model": None}, {"skill": "good"}],
)
def test_a_champion_file_with_a_cell_of_another_kind_is_refused(project, changed) -> None:
    champion_file.write({"jp_ru": as_champion(NAIVE)})
    said = json.loads(champion_file.path().read_text())
    champion_file.path().write_text(json.dumps({"jp_ru": said["jp_ru"] | changed}))
    with pytest.raises(DataError, match=f"champion.json cannot be read .jp_ru: {next(iter(changed))} is"):
        champion_file.read()
