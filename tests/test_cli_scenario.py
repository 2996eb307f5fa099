"""`tradecast scenario …` from the command line to the last line, on the official figures with a cheap model."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting import scenarios, workflow
from forecasting.scenario_file import parse
from forecasting.workflow import Request

Run = Callable[..., tuple[int, str, str]]
CHEAP = ("--model", "seasonal_naive", "--paths", 200, "--workers", 1)
TRADE, EXPORTS, IMPORTS = "jp_ru.trade.value", "jp_ru.exports.value", "jp_ru.imports.value"
LNG = "jp_ru.imports.mineral_fuels.lng.quantity"
CARS = "jp_ru.exports.transport.motor_vehicles.cars.quantity"
DOCS = Path(__file__).resolve().parent.parent / "docs" / "scenarios.md"


@pytest.fixture(autouse=True, scope="module")
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Forecasts are computed once for this file, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRADECAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def run_table(tradecast: Run, out: Path, *words: object) -> pd.DataFrame:
    code, _, said = tradecast("scenario", "run", *words, *CHEAP, "--no-track", "--out", out)
    assert code == 0, said
    return pd.read_csv(out)


def rows(table: pd.DataFrame, scenario: str, kind: str, series: str) -> pd.DataFrame:
    found = table[(table["scenario"] == scenario) & (table["kind"] == kind) & (table["series"] == series)]
    return found.set_index("period")


def test_a_run_has_baseline_scenarios_and_differences(tradecast: Run, tmp_path: Path) -> None:
    table = run_table(tradecast, tmp_path / "out.csv", "car-ban-all", "lng-half", "status-quo")
    assert list(dict.fromkeys(table["scenario"])) == ["baseline", "car-ban-all", "lng-half", "status-quo"]
    kinds = {"month", "quarter", "fiscal_year"}
    assert set(table["kind"]) == kinds | {f"{kind}-difference" for kind in kinds}
    for kind in kinds:
        for name in ("car-ban-all", "lng-half"):
            gap = rows(table, name, f"{kind}-difference", TRADE)["mean"]
            level = rows(table, name, kind, TRADE)["mean"] - rows(table, "baseline", kind, TRADE)["mean"]
            np.testing.assert_allclose(gap, level, atol=1e-6)
            part = EXPORTS if name == "car-ban-all" else IMPORTS
            np.testing.assert_allclose(gap, rows(table, name, f"{kind}-difference", part)["mean"], atol=1e-6)
    banned = rows(table, "car-ban-all", "month", CARS)
    assert banned.loc["2027-03", "q50"] < 0.1 * rows(table, "baseline", "month", CARS).loc["2027-03", "q50"]
    assert (rows(table, "status-quo", "quarter-difference", TRADE)[["mean", "q025", "q975"]] == 0).all(axis=None)
    same = ["mean", "q10", "q90"]
    assert rows(table, "car-ban-all", "month", LNG)[same].equals(rows(table, "baseline", "month", LNG)[same])


def test_the_baseline_is_the_forecast_itself(tradecast: Run, tmp_path: Path) -> None:
    table = run_table(tradecast, tmp_path / "out.csv", "combined-tightening", "--horizon", 7)
    code, _, said = tradecast("forecast", *CHEAP, "--horizon", 7, "--out", tmp_path / "plain.csv")
    assert code == 0, said
    plain = pd.read_csv(tmp_path / "plain.csv")
    baseline = table[table["scenario"] == "baseline"].reset_index(drop=True)
    pd.testing.assert_frame_equal(baseline, plain, check_exact=True)


def test_forecast_with_a_scenario_says_the_same(tradecast: Run, tmp_path: Path) -> None:
    one = run_table(tradecast, tmp_path / "one.csv", "lng-stop")
    code, out, _ = tradecast("forecast", "--scenario", "lng-stop", *CHEAP, "--out", tmp_path / "two.csv")
    assert code == 0
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert "lng-stop" in out
    assert len(one)


def test_what_is_printed_names_assumptions_sources_and_differences(tradecast: Run, tmp_path: Path) -> None:
    contributions = tmp_path / "parts.csv"
    code, out, _ = tradecast(
        "scenario", "run", "lng-half", *CHEAP, "--no-track", "--explain", "--contributions", contributions, width=130
    )
    assert code == 0
    for said in (
        "half of the cargoes",
        "Source: judgement",
        "Jan–Mar 2027",
        "together",
        "leaves the other",
        "Ministry",
    ):
        assert said in out
    parts = pd.read_csv(contributions)
    table = run_table(tradecast, tmp_path / "out.csv", "lng-half")
    together = parts[(parts["series"] == TRADE) & (parts["kind"] == "quarter")].groupby("period")["contribution"].sum()
    gap = rows(table, "lng-half", "quarter-difference", TRADE)["mean"]
    np.testing.assert_allclose(together, gap.loc[together.index], atol=1e-6)


def test_a_chart_is_drawn(tradecast: Run, tmp_path: Path) -> None:
    path = tmp_path / "chart.png"
    code, *_ = tradecast("scenario", "run", "car-ban-all", *CHEAP, "--no-track", "--series", TRADE, "--plot", path)
    assert code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_new_check_show_list(tradecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = scenarios.folder()
    monkeypatch.setenv("TRADECAST_HOME", str(known.parent.parent))
    monkeypatch.chdir(tmp_path)
    path = Path("mine.toml")
    assert tradecast("scenario", "new", "mine", "--out", path)[0] == 0
    code, out, _ = tradecast("scenario", "check", path)
    assert (code, "Nothing wrong found." in out) == (0, True)
    text = path.read_text()
    code, _, said = tradecast("scenario", "new", "mine", "--out", path)
    assert (code, path.read_text()) == (2, text)
    assert "there already" in said
    code, out, _ = tradecast("scenario", "show", path)
    assert (code, "judgement of the trade desk" in out) == (0, True)
    code, out, _ = tradecast("scenario", "list")
    names = [one.stem for one in known.glob("*.toml")]
    assert code == 0
    assert len(names) >= 6
    assert all(name in out for name in names)


def test_a_covariate_acts_through_the_models_that_use_it(tradecast: Run, tmp_path: Path) -> None:
    months = pd.period_range("2020-09", "2027-02", freq="M").astype(str)
    yen = 120 + 20 * np.sin(np.arange(len(months)) / 5.0)
    rng = np.random.default_rng(1)
    y = 1000 * (yen / 120) ** 0.8 * np.exp(rng.normal(0, 0.02, len(months)))
    known = months[:72]
    pd.DataFrame({"month": months, "yen": yen}).to_csv(tmp_path / "x.csv", index=False)
    pd.DataFrame({"series": "mine", "month": known, "value": y[:72]}).to_csv(tmp_path / "y.csv", index=False)
    file = tmp_path / "weak.toml"
    file.write_text(
        '[[assumption]]\ntarget = "yen"\nkind = "scale"\nsource = "judgement"\nstart = "2026-10"\n'
        'size = { uniform = ["10 %", "20 %"] }\n'
    )
    words = ("scenario", "run", file, "--data", tmp_path / "y.csv", "--paths", 200, "--horizon", 4, "--no-track")
    cheap = ("--workers", 1, "--out", tmp_path / "out.csv")
    code, _, said = tradecast(*words, *cheap, "--model", "sarima", "--covariates", tmp_path / "x.csv")
    assert code == 0, said
    table = pd.read_csv(tmp_path / "out.csv")
    gap = rows(table, "weak", "month-difference", "mine")["mean"] / rows(table, "baseline", "month", "mine")["mean"]
    assert gap["2026-09"] == 0
    assert 0.06 < gap["2026-12"] < 0.2
    code, _, said = tradecast(*words, *cheap, "--model", "theta")
    assert code == 2
    assert "--covariates" in said


def test_mix_is_one_forecast_with_shares(tradecast: Run, tmp_path: Path) -> None:
    code, out, _ = tradecast(
        "scenario", "mix", "car-ban-all", "lng-stop", *CHEAP, "--series", TRADE, "--out", tmp_path / "mix.csv",
        "--shares", tmp_path / "shares.csv",
    )  # fmt: skip
    assert code == 0
    assert "What makes up the mixture" in out
    table, shares = pd.read_csv(tmp_path / "mix.csv"), pd.read_csv(tmp_path / "shares.csv")
    assert set(table["scenario"]) == {"mixture"}
    quarter = shares[(shares["kind"] == "quarter") & (shares["period"] == "2027Q1")]
    assert quarter["weight"].sum() == pytest.approx(1.0)
    mean = table[(table["kind"] == "quarter") & (table["period"] == "2027Q1")]["mean"].iloc[0]
    assert mean == pytest.approx(quarter["of_mean"].sum(), rel=0.02)
    assert quarter["of_variance"].sum() == pytest.approx(1.0)


def test_weights_learn_from_the_months_that_landed(tradecast: Run, tmp_path: Path) -> None:
    file = tmp_path / "stop.toml"
    file.write_text(
        'probability = "30 %"\n[[assumption]]\nkind = "ban"\nsource = "judgement"\nstart = "2026-03"\n'
        f'target = "{IMPORTS}"\n'
    )
    code, out, _ = tradecast("scenario", "weigh", file, "--as-of", "2026-02", *CHEAP, "--out", tmp_path / "w.csv")
    assert code == 0
    assert "posterior" in out
    last = pd.read_csv(tmp_path / "w.csv").groupby("scenario")["posterior"].last()
    assert last["stop"] < 0.05
    assert last.sum() == pytest.approx(1.0)
    code, out, _ = tradecast("scenario", "weigh", "lng-half", "--as-of", "2026-08", *CHEAP)
    assert code == 0
    assert "No month has landed" in out


def test_a_condition_holds_as_a_total(tradecast: Run, tmp_path: Path) -> None:
    code, out, _ = tradecast(
        "scenario", "condition", f"{LNG} FY2026 = 4500", *CHEAP, "--no-track", "--series", LNG, "--series", TRADE,
        "--out", tmp_path / "c.csv",
    )  # fmt: skip
    assert code == 0
    assert "standard deviations out" in out
    table = pd.read_csv(tmp_path / "c.csv")
    year = rows(table, "conditional", "fiscal_year", LNG).loc["FY2026"]
    assert year[["mean", "q025", "q975"]].to_numpy(dtype=float) == pytest.approx(4500.0, rel=1e-6)


def test_stress_says_what_it_takes_and_writes_it_down(tradecast: Run, tmp_path: Path) -> None:
    way = tmp_path / "way.toml"
    words = ("scenario", "stress", f"{EXPORTS} FY2026 < 380000", "--levers", CARS, *CHEAP)
    code, out, _ = tradecast(*words, "--save", way)
    assert code == 0
    assert "one lever alone" in out
    table = run_table(tradecast, tmp_path / "out.csv", way, "--horizon", 7)
    reached = rows(table, "way", "fiscal_year", EXPORTS).loc["FY2026", "mean"]
    assert reached == pytest.approx(380000, rel=0.02)
    code, out, _ = tradecast("scenario", "stress", f"{EXPORTS} FY2026 < 9000000", "--levers", CARS, *CHEAP)
    assert (code, "there already" in out) == (0, True)


def test_a_replay_scores_the_ban_of_2023(tradecast: Run, tmp_path: Path) -> None:
    words = ("scenario", "replay", "jp-export-ban-cars-2023-08", "--as-of", "2023-07", *CHEAP)
    code, out, _ = tradecast(*words, "--out", tmp_path / "r.csv")
    assert code == 0
    assert "The assumption helped" in out
    scores = pd.read_csv(tmp_path / "r.csv").groupby("world")["crps"].mean()
    assert scores["with"] < 0.7 * scores["baseline"]


def test_a_price_is_replayed_against_the_price_that_came(tradecast: Run, tmp_path: Path) -> None:
    good = "jp_world.exports.transport.motor_vehicles.cars"
    words = ("scenario", "replay", "jp-export-ban-cars-2023-08", "--as-of", "2023-07", "--series", f"{good}.unit_price")
    code, _, said = tradecast(*words, *CHEAP, "--out", tmp_path / "r.csv")
    assert code == 0, said
    scores = pd.read_csv(tmp_path / "r.csv").set_index(["world", "period"])
    y = workflow.load().panel.y.loc["2023-10":"2023-12", [f"{good}.value", f"{good}.quantity"]].sum()
    assert scores.loc[("with", "2023Q4"), "actual"] == pytest.approx(y.iloc[0] / y.iloc[1])
    assert np.isfinite(scores.loc["baseline", ["crps", "log_score", "error"]]).all(axis=None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "car-ban-al"), "did you mean car-ban-all"),
        (("run", "nowhere.toml"), "cannot be read"),
        (("run", "lng-half", "lng-half"), "Two scenarios are called"),
        (("run", "lng-half", "--as-of", "2030-01"), "after the last published month"),
        (("run", "lng-half", "--out", "x.pdf"), "end the name in"),
        (("run", "lng-half", "--contributions", "x.txt"), "end the name in"),
        (("mix", "yen-shock"), "probability"),
        (("weigh", "lng-half"), "--as-of"),
        (("condition", "jp_ru.export.value 2026Q4 = 1"), "No series matches"),
        (("condition", f"{TRADE} = 3"), "2026Q4"),
        (("stress", f"{TRADE} FY2026 < 1000000"), "--levers is missing"),
        (("stress", f"{TRADE} FY2026 = 1000000", "--levers", CARS), "no target"),
        (("stress", f"{EXPORTS} FY2026 < 380000", "--levers", LNG), "influence"),
        (("replay", "jp-export-ban-cars-2023-08", "--as-of", "2023-06"), "not announced"),
        (("replay", "jp-export-ban-cars-2023-09", "--as-of", "2023-07"), "did you mean"),
        (("replay", "--as-of", "2023-07"), "Nothing to replay"),
        (("new", "no/name"), "is no name"),
    ],
)
def test_mistakes_are_one_line(tradecast: Run, words: tuple[str, ...], said: str) -> None:
    cheap = {"new": (), "condition": (*CHEAP, "--no-track")}.get(words[0], CHEAP)
    code, _, error = tradecast("scenario", *words, *cheap)
    assert code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_every_example_of_the_page_runs(tmp_path: Path) -> None:
    sources = {name: one.source for name, one in scenarios.ledger().items()}
    found = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    read = [parse(tomllib.loads(text), "page", sources, text) for text in found]
    kinds = {assumption.kind for one in read for assumption in one.assumptions}
    assert kinds == {"ban", "scale", "shift", "cap", "floor", "path", "growth", "lift"}
    study = scenarios.run(read, Request(paths=200, horizon=10), "seasonal_naive")
    moved = (
        study.table[study.table["kind"] == "month-difference"]
        .groupby("scenario")["mean"]
        .agg(lambda of: of.abs().max())
    )
    assert (moved.drop("example-lift") > 0).all()
