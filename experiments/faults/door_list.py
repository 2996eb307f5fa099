"""The doors: for each a function that makes one input from random numbers and knocks with it."""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import answers_made as made
import japan_customs_bytes as customs
import numpy as np
import pandas as pd
from door_checks import WrongAnswerError, check_line, check_text
from door_figures import figures, user_seeds
from door_mutations import FIGURES, WORDS, mutated
from door_partitions import partition

from forecasting import (
    backtest_files,
    champion_file,
    checks,
    covariates,
    experiments_file,
    facts,
    measures,
    published_facts,
    relations,
    scenario_file,
    scenario_ready,
    scenarios,
    store,
    update,
    vintage_store,
    vintages,
    workflow,
)  # fmt: skip
from forecasting.catalogue import Catalogue
from forecasting.cli import main as command
from forecasting.cli.scenario_view import scenario_text
from forecasting.cli.terminal import plain
from forecasting.errors import ForecastingError
from forecasting.models import MODELS, forecaster
from forecasting.observations import to_panel, with_derived
from forecasting.panel import Panel
from forecasting.sources import user_file
from forecasting.sources.base import Ask, Raw
from forecasting.sources.registry import SOURCES, source
from forecasting.tables import closure

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
Door = Callable[[Random], None]
ENDINGS = (".csv", ".txt", ".xlsx", ".parquet", ".csv.gz", "")


def doors(folder: Path) -> dict[str, Door]:
    """Doors by name; files are written into ``folder``, which is the project as well."""
    shutil.copytree(DATA, folder / "data")
    shutil.copytree(ROOT / "experiments" / "scenarios", folder / "experiments" / "scenarios")
    shutil.copytree(ROOT / "experiments" / "backtests", folder / "experiments" / "backtests")
    tables = user_seeds()
    return {
        "user_file": partial(_user_file, folder, tables),
        "figures": partial(figures, folder),
        "covariates": partial(_covariates, folder, _rates()),
        **{f"source.{name}": partial(_source, name, seeds) for name, seeds in _answers().items()},
        "source.pages": _pages,
        "source.units": _units,
        "experiment": partial(_toml, folder, _read_all(ROOT / "experiments" / "backtests"), _experiment),
        "scenario": partial(_toml, folder, [*_read_all(ROOT / "experiments" / "scenarios"), _template()], _scenario()),
        "catalogue": partial(_catalogue, folder),
        "observations": partial(_observations, folder),
        "press_facts": partial(_press_facts, folder),
        "published_facts": partial(_published_facts, folder),
        "measures": partial(_toml, folder, _parts(DATA / "measures.toml", b"[[measure]]"), measures.read_measures),
        "precedence": partial(_precedence, folder),
        "champion": partial(_champion, folder),
        "backtest": partial(_backtest, folder),
        "store_part": partial(_store_part, folder),
        "cache": partial(_cache, folder),
        "forecast_table": partial(_forecast_table, folder),
        "partition": partial(partition, folder),
        "command_line": _CommandLine(folder),
    }


def _read_all(folder: Path) -> list[bytes]:
    return [one.read_bytes() for one in sorted(folder.glob("*.toml"))]


def _parts(path: Path, mark: bytes) -> list[bytes]:
    return [mark + one for one in path.read_bytes().split(mark)[1:]]


def _put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# --- Files of one's own ------------------------------------------------------------------------------------


def _user_file(folder: Path, seeds: Sequence[bytes], random: Random) -> None:
    content = mutated(random.choice(seeds), random, ("series", "month", "value", "unit", "std_error", "2024-05"), seeds)
    read = user_file.read_observations(_put(folder / f"mine{random.choice(ENDINGS)}", content))
    rows = read.observations
    if not np.isfinite(rows["value"]).all() or rows.duplicated(["series", "month"]).any() or rows.empty:
        raise WrongAnswerError("rows that cannot be")
    if rows.groupby("series")["unit"].nunique().max() > 1:
        raise WrongAnswerError("a series in two units")
    for line in read.remarks:
        check_line(line)
    to_panel(rows)


def _covariates(folder: Path, seeds: Sequence[bytes], random: Random) -> None:
    content = mutated(random.choice(seeds), random, ("month", "rate"), seeds)
    table, _ = user_file.read_covariates(_put(folder / f"x{random.choice(ENDINGS)}", content))
    months = pd.period_range("2021-01", "2024-06", freq="M")
    panel = Panel(pd.DataFrame({"s": np.arange(1.0, len(months) + 1)}, index=months))
    hold = random.random() < 0.7
    joined, _ = covariates.with_covariates(panel, table, pd.Period("2024-09", "M"), hold, "x.csv")
    if joined.x is None or not np.isfinite(joined.x.to_numpy()).all():
        raise WrongAnswerError("a covariate with holes")


def _rates() -> list[bytes]:
    months = pd.period_range("2020-01", "2025-06", freq="M")
    rates = [round(110 + at % 7 + at / 10, 2) for at in range(len(months))]
    table = pd.DataFrame({"month": months.astype(str), "usd_jpy": rates, "oil": rates[::-1]})
    book = io.BytesIO()
    table.to_excel(book, index=False)
    short = table.iloc[:50]
    long = table.melt("month", var_name="series")
    return [table.to_csv(index=False).encode(), short.to_csv(index=False).encode(), long.to_csv(index=False,
    sep=";").encode(),
            book.getvalue(), table.to_parquet()]  # fmt: skip


# --- Answers of publishers ---------------------------------------------------------------------------------


def _whole() -> Catalogue:
    return vintage_store.with_declared(store.read_catalogue(DATA), list(SOURCES))


CATALOGUE = _whole()
PC = {1: (444, 38868), 2: (17, 19)}
PC_ROWS = [
    ("2", "3050103", "224", "MT", PC), ("1", "7050301", "224", "NO", PC), ("2", "007", "224", "MT", PC),
    ("1", "7050301", "103", "NO", PC),
]  # fmt: skip
HS_ROWS = [
    ("2", "271111000", "224", "", "MT", {1: (0, 444, 38868)}),
    ("1", "870323000", "224", "NO", "KG", {1: (5, 6, 7)}),
]
COUNTRY_MONTHS = {f"2026/{month:02}": (90 + month, 80, 3, 4) for month in range(1, 9)}
GOODS = [("自動車", "'70503'", "NO"), ("魚介類", "'007'", "MT")]
GOODS_MONTHS = {f"2026/{month:02}": (9000, 5, 900, 7, None if month == 3 else 80) for month in range(1, 9)}


def _answers() -> dict[str, list[bytes]]:
    cars = made.estat_cells("70503010", "50224", 2025, {6: (1, 2_000), 7: (17_045, 19_661_000)}, "NO")
    usual = made.estat_cells("70000000", "50304", 2025, {6: (0, 9), 7: (0, 9)})
    pc, hs = customs.pc_file(PC_ROWS), customs.hs_file(HS_ROWS)
    rows = [
        made.comtrade_row(),
        made.comtrade_row(cmdCode="8703", qty=5, qtyUnitCode=5),
        made.comtrade_row(flowCode="M"),
    ]
    return {
        "japan_customs_files": [pc, hs, customs.zipped(a_csv=pc, b_csv=hs), customs.pc_file(PC_ROWS, 2025, "Apr",
        True)],
        "japan_customs_series": [
            customs.totals_file(COUNTRY_MONTHS, ("224",), "ロシア", "RUSSIA"),
            customs.commodity_file(GOODS, GOODS_MONTHS, area="ロシア"),
        ],
        "japan_customs_press": [customs.press_file(), customs.press_file(customs.DETAILED)],
        "estat_api": [made.estat_json([*usual, *cars]), made.estat_refusal(100, "x"), made.estat_json(cars)],
        "comtrade": [made.comtrade_json(rows), made.comtrade_json([])],
        "imf_imts": [made.imf_csv([("JPN", flow, "RUS", f"2025-M0{at}", 234_567_890) for at in range(1, 9)
                                   for flow in ("XG_FOB_USD", "MG_CIF_USD")])],
        "fx": [made.fred_csv("EXJPUS", {"2026-07": "147.2", "2026-08": "147.5"}), made.ecb_csv({"2025-07": "171.9"})],
        "world_bank_prices": [made.pink_sheet({"2026M07": {"Crude oil, Brent": 71},
        "2026M08": {"Crude oil, Brent": 72.25}})],
        "jnto_visitors": [
            made.jnto_workbook({2026: {"ロシア": [15_100, 14_000]}, 2019: {"ロシア": [9_100]}}, [(2026, 2)])
        ],
    }  # fmt: skip


SOURCE_WORDS = (
    "KG",
    "MT",
    "NO",
    "TNO",
    "TMT",
    "TKL",
    "百万円",
    "千円",
    "July 2025",
    "RUSSIA",
    "JPN",
    "M",
    "A",
    "NaN",
    "224",
    "…",
)


def _source(name: str, seeds: Sequence[bytes], random: Random) -> None:
    one = source(name)
    raw = Raw(
        mutated(random.choice(seeds), random, SOURCE_WORDS, seeds), "https://example.org/a?appid=SECRET", made.FETCHED
    )
    one.recognises(raw)
    try:
        reading = one.parse(raw, CATALOGUE)
    except ForecastingError as error:
        if one.key and "SECRET" in str(error):
            raise WrongAnswerError("a key in an error") from error
        raise
    rows = reading.records
    for line in reading.remarks:
        check_line(line)
    if not (np.isfinite(rows["value"]) & (rows["value"] >= 0)).all():
        raise WrongAnswerError("a figure below zero or none at all")
    if strange := [
        (s, u) for s, u in zip(rows["series"], rows["unit"], strict=True) if not vintages.fits(u, CATALOGUE[s].unit)
    ]:
        raise WrongAnswerError(f"a unit that cannot be: {strange[0]}")
    vintage_store.stamped(rows, made.FETCHED, CATALOGUE, "x")


PAGES = {
    "statInfId=": customs.pc_file(PC_ROWS),
    "month=": customs.month_page(
        [("000040507897", "2026年8月分 国別概況品別表 (輸出 1-7月：確報、8月：速報)", "2026-09-29")]
    ),
    "tclass2=": customs.listing([(2026, "23070908"), (2025, "24101212")], "1", "2"),
    "tclass1=": customs.parent_page([("000001013199", "輸出"), ("000001013200", "輸入")]),
    "getStatsList": made.estat_list(
        [("0003425295", "輸出", "2021年～2025年"), ("0003425296", "輸入", "2021年～2025年")]
    ),
    "getStatsData": made.estat_json(made.estat_cells("70000000", "50304", 2025, {7: (0, 9)})),
    "comtrade": made.comtrade_json([made.comtrade_row()]),
    "worldbank": b'<a href="https://thedocs.worldbank.org/en/doc/1/related/CMO-Historical-Data-Monthly.xlsx">Monthly</a>',
    "jnto": '<a href="/statistics/data/_files/2026_1615-5.xlsx">国籍/月別 訪日外客数（2003年～2026年）</a>'.encode(),
    "time_e.htm": b'<a href="data/d52ma001.csv">x</a><a href="data/d52ma077.csv">x</a>',
    "suii": customs.totals_file(COUNTRY_MONTHS, ("224",), "ロシア", "RUSSIA"),
    "": b"<html><title>Sorry</title></html>",
}
MOST_REQUESTS = 400


def _pages(random: Random) -> None:
    """Listings that lead to the files: what is asked next stays with the publisher, and comes to an end."""
    one = source(random.choice(list(SOURCES)))
    offered = one.offers(CATALOGUE)
    some = tuple(random.sample(offered, min(len(offered), 3)))
    ask = Ask(CATALOGUE, some, pd.Period("2025-06", "M"), pd.Period("2026-08", "M"), random.choice(("", "SECRET")))
    steps, answer, asked = one.steps(ask), None, 0
    while True:
        try:
            address = steps.send(answer)
        except StopIteration:
            return
        asked += 1
        if asked > MOST_REQUESTS:
            raise WrongAnswerError(f"{one.name} asks without end")
        if not isinstance(address.url, str):
            raise WrongAnswerError(f"{one.name} asks for {address.url!r}")
        content = next(page for part, page in PAGES.items() if part in address.url)
        if address.optional and random.random() < 0.1:
            answer = None
        else:
            hurt = random.random() < 0.3
            answer = Raw(
                mutated(content, random, SOURCE_WORDS, tuple(PAGES.values())) if hurt else content,
                address.url,
                made.FETCHED,
            )


def _units(random: Random) -> None:
    """A quantity in any unit comes out in the unit of the catalogue, exactly, or not at all."""
    wanted, amount = random.choice(list(made.SIZES)), random.choice((0, 1, 7, 444, 17_045, 123_456_789))
    kind = random.choice(("pc", "press", "comtrade", "estat"))
    name = "jp_ru.imports.mineral_fuels.lng.quantity"
    known = customs.catalogue((name, wanted, "3050103", "271111"))
    from forecasting.sources import comtrade, estat_api, japan_customs, japan_customs_files, japan_customs_press

    said = random.choice(
        (*japan_customs.UNITS, "GT", "PR", "KGS", "M/T", "tonnes", "kl", "", " ", "千KL", "ＭＴ", "kg")
    )
    given = japan_customs.UNITS.get(unicodedata.normalize("NFKC", said).strip().upper())
    if kind == "pc":
        content = customs.pc_file([("2", "3050103", "224", said, {7: (amount, 5), 8: (1, 1)})], 2025)
        one = japan_customs_files.SOURCE
    elif kind == "press":
        rows = (("Grand Total", 0, "   ", "", "68,609"), (" LNG", 2, said.rjust(3), f"{amount:,}", "38,868"))
        content, one = customs.press_file(imports=rows), japan_customs_press.SOURCE
    elif kind == "comtrade":
        code, said = random.choice(
            ((5, "u"), (7, "l"), (8, "kg"), (9, "1000u"), (12, "m³"), (8, "u"), (12, ""), (99, "kg"), (5, "L"))
        )
        given = {5: "units", 7: "litres", 8: "kg", 9: "thousand_units", 12: "kl"}.get(code)
        row = made.comtrade_row(flowCode="M", cmdCode="271111", qty=amount, qtyUnitCode=code, qtyUnitAbbr=said or None)
        content, one = made.comtrade_json([row]), comtrade.SOURCE
    else:
        usual = made.estat_cells("70000000", "50304", 2025, {7: (0, 9)})
        cells = made.estat_cells("30501030", "50224", 2025, {7: (amount, 5)}, said)
        content, one = made.estat_json([*usual, *cells], flow="輸入", table="0003425296"), estat_api.SOURCE
    records = one.parse(Raw(content, "https://example.org/a", made.FETCHED), known).records
    month = records[(records["month"] == pd.Period("2025-07", "M")) & (records["series"] == name)]
    for row in month.to_dict("records"):
        truth = made.converted(amount, given, wanted) if given else None
        zero = row["value"] == 0 and amount == 0
        if row["unit"] != wanted or (
            not zero and (truth is None or not math.isclose(row["value"], truth, rel_tol=1e-11))
        ):
            raise WrongAnswerError(f"{one.name}: {amount} {said!r} became {row['value']} {row['unit']}")


# --- TOML --------------------------------------------------------------------------------------------------

TOML = (
    "1", "-1", "1.5", "nan", "inf", "-inf", "1e400", "true", "[]", "{}", '""', '"x"', "[1]", '["x"]', "[[1]]",
    "{ a = 1 }",
    "2024-05-01", "2024-05-01T00:00:00Z", "07:32:00", "0x7fffffffffffffffffff", '"2024-05"', '"0000-01"', '"9999-12"',
    '"50 %"', '"-150 %"', '"1e9 %"', '{ triangular = ["1 %", "2 %", "3 %"] }', '{ normal = [0.1, nan] }',
    '{ uniform = ["0 %", "١ %"] }', '"*"', '"[!"', '"jp_ru.*"', '"usd_jpy"', "9" * 5000, '"""a\nb"""', '"\\u0007"',
    '"\\U0001F600"',
    '{ first = "2024-01", step = 3, last = "9999-12" }', '{ first = "0000-01" }', '["2024-01", "2024-01"]', '"../x"',
    '"/etc/passwd"',
    '"CON"', '"%s"', "'''\n'''",
)  # fmt: skip


def _toml(folder: Path, seeds: Sequence[bytes], read: Callable[[Path], object], random: Random) -> None:
    content = random.choice(seeds)
    if random.random() < 0.7:
        lines = content.decode().split("\n")
        keyed = [at for at, line in enumerate(lines) if " = " in line and not line.lstrip().startswith("#")]
        for _ in range(random.randint(1, 3)):
            at = random.choice(keyed)
            key = (
                lines[at].partition(" = ")[0]
                if random.random() < 0.9
                else random.choice(("x", '""', "a.b", '"a\\u001bb"'))
            )
            lines[at] = f"{key} = {random.choice(TOML)}"
        content = "\n".join(lines).encode("utf-8", "surrogatepass")
    if random.random() < 0.5:
        content = mutated(content, random, (*TOML, "[[assumption]]", "[[cutoffs]]", "[[forecasters]]", "[x]"), seeds)
    read(_put(folder / "input.toml", content))


def _experiment(path: Path) -> None:
    found = experiments_file.read_experiment(path)
    for one in found.contenders:
        one.settings()
    for one in found.cutoffs:
        one.before(found.warm_up)


def _template() -> bytes:
    return scenario_file.template("mine", "2026-10").encode()


def _scenario() -> Callable[[Path], None]:
    dataset = workflow.load()
    known = {one: dataset.panel.y[one].dropna().index for one in map(str, dataset.panel.y.columns)}
    last = {one: pd.Period(months[-1], "M") for one, months in known.items() if len(months)}
    sources = {one.id: one.source for one in scenarios.ledger().values()}
    ahead = pd.period_range(dataset.panel.cutoff + 1, periods=12, freq="M")

    def read(path: Path) -> None:
        scenario = scenario_file.read_scenario(path, sources)
        made_ready = scenario_ready.ready(scenario, dataset.catalogue, last, ("usd_jpy",))
        check_text(plain(scenario_text(scenario, 100, made_ready.series)).plain)
        scenarios.horizon_for([scenario], dataset.panel.cutoff)
        scenarios.normal_levels(made_ready.scenario, dataset)
        for one in made_ready.scenario.assumptions:
            if not np.isfinite(one.intensity(ahead)).all():
                raise WrongAnswerError("an intensity that is no number")
            drawn = one.draws("size", one.size, 50, 0)
            if not np.isfinite(drawn).all():
                raise WrongAnswerError(f"a size that is no number: {one.size}")

    return read


# --- The project's own tables ------------------------------------------------------------------------------


def _head_and_some(path: Path, random: Random, most: int = 60) -> bytes:
    lines = path.read_bytes().splitlines(keepends=True)
    at = random.randint(1, max(len(lines) - most, 1))
    return b"".join([lines[0], *lines[at : at + most]])


def _catalogue(folder: Path, random: Random) -> None:
    content = (DATA / "catalogue.csv").read_bytes()
    ids = [line.partition(b",")[0].decode() for line in content.splitlines()[1:]]
    columns = content.splitlines()[0].decode().split(",")
    words = (
        *random.sample(ids, 20),
        *columns,
        "sum",
        "difference",
        "ratio",
        "rest",
        "yes",
        "mn_jpy",
        "kg",
        "units",
        "2+4",
    )
    for _ in range(random.randint(1, 3)):
        content = mutated(content, random, words)
    if random.random() < 0.5:
        content = _rewired(random, ids)
    project = folder / "other"
    project.mkdir(exist_ok=True)
    _put(project / "catalogue.csv", content)
    known = store.read_catalogue(project)
    if not len(known):
        return
    for one in random.sample(list(known), min(len(known), 30)):
        closure([one], known)
    stored = tuple(one for one in known if not known[one].derived)
    table = relations.Relations(known, stored)
    for one in random.sample(list(known), min(len(known), 10)):
        table.above(one)
        table.below(one)
        table.family(one)
        table.moved(one)
    for name in SOURCES:
        source(name).offers(known)


def _rewired(random: Random, ids: Sequence[str]) -> bytes:
    """The catalogue with a cell of a few rows taken from elsewhere: terms, parents, units, formulas."""
    table = pd.read_csv(DATA / "catalogue.csv", dtype=str, keep_default_na=False)
    for _ in range(random.randint(1, 4)):
        column = random.choice(
            ("parent", "within", "formula", "terms", "unit", "core", "id", "pc_code", "hs_code", "headline")
        )
        other = random.choice(
            (table[column].iloc[random.randrange(len(table))], random.choice(ids), random.choice((*WORDS, "sum")))
        )
        if column == "terms" and random.random() < 0.5:
            other = " ".join(random.sample(list(ids), random.randint(1, 3)))
        table.loc[random.randrange(len(table)), column] = other
    return table.to_csv(index=False).encode("utf-8", "surrogatepass")


def _observations(folder: Path, random: Random) -> None:
    words = ("kg", "mn_jpy", "usd", "implied", "detailed", "2024-05")
    content = mutated(_head_and_some(DATA / "observations.csv", random), random, words)
    project = folder / "other"
    project.mkdir(exist_ok=True)
    _put(project / "observations.csv", content)
    observations = store.read_stored_observations(project)
    workflow._refuse_damage(observations, CATALOGUE, whole=False)
    vintages.carried(observations)
    checks.check_observations(observations, CATALOGUE)
    to_panel(observations)


def _press_facts(folder: Path, random: Random) -> None:
    if "y" not in _KEPT:
        dataset = workflow.load()
        held = set(dataset.panel.series)
        known = [one for one in dataset.catalogue if set(closure([one], dataset.catalogue)) <= held]
        _KEPT["y"] = (with_derived(dataset.panel.y, dataset.catalogue, known), dataset.catalogue)
    y, catalogue = _KEPT["y"]
    words = ("level", "yoy_pct", "percent", "bn_jpy", "mn_usd", "value", "quantity", "FY2024", "2024-05")
    project = folder / "other"
    project.mkdir(exist_ok=True)
    _put(project / "press_facts.csv", mutated(_head_and_some(DATA / "press_facts.csv", random, 12), random, words))
    facts.check_facts(store.read_facts(project), y, catalogue)


_KEPT: dict[str, Any] = {}


def _published_facts(folder: Path, random: Random) -> None:
    words = (
        "yoy",
        "ytd",
        "level",
        "share",
        "%",
        "bn_jpy",
        "thousand_units",
        "kt",
        "2024-H1",
        "FY2024",
        "2024-Q3",
        "Jan-Nov",
    )
    content = mutated(_head_and_some(DATA / "published_facts.csv", random, 20), random, words)
    read, remarks = published_facts.read(store.read_published_facts(_put(folder / "facts.csv", content)), CATALOGUE)
    for line in remarks:
        check_line(line)
    if any(not math.isfinite(one.value) for one in read):
        raise WrongAnswerError("a fact that is no number")


def _precedence(folder: Path, random: Random) -> None:
    seed = (DATA / "sources.toml").read_bytes()
    project = folder / "other"
    project.mkdir(exist_ok=True)
    _toml(
        folder,
        [seed],
        lambda path: vintage_store.read_precedence(_put(project / "sources.toml", path.read_bytes()).parent),
        random,
    )


def _champion(folder: Path, random: Random) -> None:
    one = {
        "model": "theta", "settings": {}, "version": 1, "promoted": "2026-09-01T00:00:00", "backtest": "headline",
        "vintage": "6d4556b000c5", "why": "best", "store": "mlflow.db", "forced": "", "skill": 0.1,
    }  # fmt: skip
    seeds = [
        json.dumps({"jp_ru": one, "jp_world": {**one, "model": "sarima", "settings": {"order": [1, 1, 1]}}}).encode()
    ]
    _put(folder / "data" / "champion.json", mutated(seeds[0], random, tuple(MODELS), seeds))
    try:
        for champion in champion_file.read().values():
            champion.day  # noqa: B018
            forecaster(champion.model, **champion_file.as_settings(champion.settings))
    finally:
        (folder / "data" / "champion.json").unlink()


# --- What the program wrote itself -------------------------------------------------------------------------


def _backtest(folder: Path, random: Random) -> None:
    place = folder / "backtest"
    place.mkdir(exist_ok=True)
    if "rows" not in _KEPT:
        rows = pd.DataFrame(
            {"model": ["theta"] * 3, "cutoff": ["2024-01"] * 3, "series": ["a", "b", "c"], "y": [1.0, 2.0, 3.0]}
        )
        times = pd.DataFrame({"model": ["theta"], "cutoff": ["2024-01"], "seconds": [1.0], "fits": [2]})
        rows.to_parquet(place / backtest_files.TABLE)
        times.to_parquet(place / backtest_files.TIMINGS)
        about = {"name": "x", "table": {"sha256": store.file_digest(place / backtest_files.TABLE)}, "finished": "2024"}
        (place / backtest_files.ABOUT).write_text(json.dumps(about))
        names = (backtest_files.TABLE, backtest_files.TIMINGS, backtest_files.ABOUT)
        _KEPT["rows"] = {name: (place / name).read_bytes() for name in names}
    hit = random.choice(list(_KEPT["rows"]))
    for name, content in _KEPT["rows"].items():
        _put(place / name, mutated(content, random) if name == hit else content)
    backtest_files.read(place)


def _store_part(folder: Path, random: Random) -> None:
    """A part whose bytes changed is noticed, whatever changed."""
    place = folder / "parts"
    if "part" not in _KEPT:
        place.mkdir()
        shutil.copy(DATA / "sources.toml", place)
        records = (
            source("fx").parse(Raw(made.fred_csv("EXJPUS", {"2026-08": "147.5"}), "x", made.FETCHED), CATALOGUE).records
        )
        path = vintage_store.write_part(
            place, vintage_store.stamped(records, made.FETCHED, CATALOGUE, "x"), made.FETCHED.date()
        )
        _KEPT["part"] = (path, path.read_bytes())
        _KEPT["none"] = vintages.carried(store.read_stored_observations(DATA)).iloc[:0]
    path, content = _KEPT["part"]
    changed = mutated(content, random)
    _put(path, changed)
    (place / "vintages" / "given-up.txt").write_bytes(mutated(b"part-2026-01-01-0123456789abcdef.parquet\n", random))
    vintage_store.known_on(place, None, CATALOGUE, _KEPT["none"])
    if changed != content:
        raise WrongAnswerError("a damaged part was read")


def _cache(folder: Path, random: Random) -> None:
    cache = store.Cache(folder / "arrays")
    cache.put("k", {"a": np.arange(5.0)})
    path = next((folder / "arrays").glob("*.arrays"))
    content = path.read_bytes()
    changed = mutated(content, random)
    _put(path, changed)
    found = cache.get("k")
    if changed != content and found is not None:
        raise WrongAnswerError("a damaged cache was believed")
    path.unlink()


def _forecast_table(folder: Path, random: Random) -> None:
    """A table of an earlier forecast, as `news --previous` reads it."""
    if "tables" not in _KEPT:
        table = pd.DataFrame({
            "scenario": "baseline", "model": "theta", "cutoff": "2026-08", "series": "jp_ru.trade.value",
            "unit": "mn_jpy",
            "period": ["2026-09", "2026Q4"], "kind": ["month", "quarter"], "step": [1, 1], "observed_months": [0, 0],
            "mean": [1.0, 2.0], "q50": [1.0, 2.0],
        })  # fmt: skip
        _KEPT["tables"] = {ending: writer(table) for ending, writer in store.WRITERS.items()}
    ending = random.choice(list(_KEPT["tables"]))
    store.read_forecast_table(_put(folder / f"before{ending}", mutated(_KEPT["tables"][ending], random)))


# --- Command lines -----------------------------------------------------------------------------------------


class _CommandLine:
    """Words behind `tradecast`, in this process; models, servers and the network are out of reach."""

    COMMANDS = (
        ("forecast",), ("news",), ("report",), ("scenario", "run"), ("scenario", "list"), ("scenario", "show"),
        ("scenario", "check"), ("scenario", "new"), ("scenario", "mix"), ("scenario", "weigh"), ("scenario",
        "condition"),
        ("scenario", "stress"), ("scenario", "replay"), ("data", "list"), ("data", "show"), ("data", "check"),
        ("data", "reconstruct"), ("data", "update"), ("data", "sources"), ("data", "ingest"), ("data", "revisions"),
        ("data", "compare"), ("backtest",), ("backtest", "show"), ("backtest", "list"), ("champion", "show"), (),
        ("track",),
    )  # fmt: skip
    OPTIONS = (
        "--horizon", "--model", "--coverage", "--paths", "--seed", "--as-of", "--as-of-day", "--data", "--covariates",
        "--out",
        "--plot", "--workers", "--scenario", "--backtest", "--since", "--since-day", "--previous", "--brief",
        "--explain",
        "--growth", "--hold-covariates", "--no-cache", "--no-track", "--months", "--levers", "--series", "--source",
        "--help",
        "--version", "--", "-h", "--x", "--save", "--language", "--facts", "--judged", "--shares", "--spillover",
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        seeds = {"good.csv": b"month,oil\n2024-01,1\n2024-02,2\n2024-03,3\n", "bad.csv": b"\x00\xff", "empty.csv": b""}
        for name, content in seeds.items():
            _put(folder / name, content)
        files = [
            str(folder / name) for name in (*seeds, "none.csv", "out.csv", "out.png", "no/such/out.xlsx", "out.html")
        ]
        self.words = (
            *files, str(folder), "jp_ru.trade.value", "jp_ru.*", "*", "[!", "theta", "sarima", "nobody", "2026-05",
            "2026-08-31",
            "9999-12", "0000-00", "2030-01-01", "0", "-1", "1", "7", "61", "100", "99999999999999999999", "1.5", "nan",
            "lng-stop",
            "car-ban-all", "headline", "../headline", "jp_ru.exports.value FY2026 < 400000",
            "jp_ru.exports.value FY2026 = x",
            "jp_ru.exports.value 2026-13 = 1", "usd_jpy 2027-01 > 1e400", "a b c", "=", "<", "-",
            "jp-export-ban-cars-2023-08",
            *(word for word in (*WORDS, *FIGURES) if "\x00" not in word and len(word) < 1000),
        )  # fmt: skip

    def __call__(self, random: Random) -> None:
        self._isolate()
        chosen = list(random.choice(self.COMMANDS))
        for _ in range(random.randint(0, 5)):
            chosen.append(random.choice(self.OPTIONS) if random.random() < 0.5 else random.choice(self.words))
        if random.random() < 0.03:
            random.shuffle(chosen)
        out, err, code = self._run(chosen)
        if code == 2:
            lines = [line for line in err.splitlines() if line.strip()]
            if not lines or not lines[-1].startswith("tradecast: "):
                raise WrongAnswerError(f"{chosen} ended with 2 and said {err[-200:]!r}")
            check_line(lines[-1])
            raise ForecastingError("refused")
        if code != 0:
            raise WrongAnswerError(f"{chosen} ended with {code}: {err[-200:]!r}")
        check_text(out)

    def _run(self, words: Sequence[str]) -> tuple[str, str, int]:
        before = sys.argv, sys.stdout, sys.stderr
        sys.argv = ["tradecast", *words]
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        try:
            command()
        except SystemExit as left:
            return sys.stdout.getvalue(), sys.stderr.getvalue(), int(left.code or 0)
        finally:
            sys.argv, sys.stdout, sys.stderr = before
        raise WrongAnswerError(f"{words} did not leave")

    def _isolate(self) -> None:
        """Fits, servers and the network refuse in our own words; files are made anew."""
        import os

        os.chdir(self.folder)

        def refuse(*_: object, **__: object) -> Any:
            raise ForecastingError("Nothing is fitted or fetched here.")

        workflow.cube = refuse  # type: ignore[assignment]
        update.online = lambda *_: SimpleNamespace and refuse  # type: ignore[assignment, return-value]
        from forecasting import backtests, reconstruct

        backtests.run = refuse  # type: ignore[assignment]
        reconstruct.reconstruct = refuse  # type: ignore[assignment]


__all__ = ["Mapping", "doors"]
