"""Whatever is wrong with a scenario file is one line that names file, place and key; what is right is understood."""

from __future__ import annotations

import math
import string
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invented_trade import (
    AMOUNTS,
    CATALOGUE,
    CUTOFF,
    LAST,
    PRICES,
    START,
    assume,
    assumptions,
    forecast,
    ground,
    scenario,
)

from forecasting import scenarios, workflow
from forecasting.errors import DataError, ForecastingError
from forecasting.impose import impose
from forecasting.scenario import SERIES_KINDS, Assumption, PassThrough, Reroute, Scenario, Size
from forecasting.scenario_file import ASSUMPTION_KEYS, KEYS, parse, read_scenario, template
from forecasting.scenario_ready import Ready, ready

MEASURES = {"jp-car-ban": "Cabinet order 123 of 2023"}
PLAIN = {"target": "ru.cars.quantity", "kind": "ban", "start": "2027-01", "source": "judgement of a test"}


def read(text: str) -> Scenario:
    return parse(tomllib.loads(text), "f.toml", MEASURES, text)


def one(**cells: object) -> Assumption:
    """The assumption of a file with one block: a ban with these keys instead; None leaves a key out."""
    block = {key: value for key, value in {**PLAIN, **cells}.items() if value is not None}
    return parse({"assumption": [block]}, "f.toml", MEASURES).assumptions[0]


def refusal(**cells: object) -> str:
    with pytest.raises(DataError) as told:
        one(**cells)
    assert "\n" not in str(told.value)
    return str(told.value)


# --- What is understood ----------------------------------------------------------------------------------


def test_a_whole_file() -> None:
    found = read(
        """
        name = "cars"
        description = "what if"
        probability = "15 %"
        order = "as listed"
        [[assumption]]
        name = "no cars"
        target = "ru.cars.quantity"
        kind = "ban"
        size = { triangular = ["40 %", 0.5, "60 %"] }
        residual = "5 %"
        start = "2027-01"
        end = "2027-12"
        ramp = 1
        recovery = 2
        measure = "jp-car-ban"
        [[assumption.reroute]]
        to = "other.cars.quantity"
        share = "80 %"
        lag = 3
        [[assumption]]
        target = "usd_jpy"
        kind = "scale"
        size = { normal = ["−13 %", "2 %"] }
        start = "2027-02"
        source = "judgement of a test"
        [[assumption.pass_through]]
        target = "ru.*.price"
        elasticity = { uniform = [0.5, 1.5] }
        """
    )
    cars, yen = found.assumptions
    assert (found.name, found.probability, found.ordered) == ("cars", 0.15, True)
    assert cars == Assumption(
        "ru.cars.quantity",
        "ban",
        START,
        "Cabinet order 123 of 2023",
        "no cars",
        pd.Period("2027-12", "M"),
        Size((0.4, 0.5, 0.6), "triangular"),
        Size((0.05,)),
        (),
        None,
        1,
        2,
        "jp-car-ban",
        (Reroute("other.cars.quantity", Size((0.8,)), 3),),
    )
    assert yen.size == Size((-0.13, 0.02), "normal")
    assert yen.pass_through == (PassThrough("ru.*.price", Size((0.5, 1.5), "uniform")),)
    assert yen.covariate
    assert not yen.reroute


def test_nothing_at_all_is_a_scenario_called_like_its_file(tmp_path) -> None:
    path = tmp_path / "quiet.toml"
    path.write_bytes(b"")
    assert read_scenario(path, {}) == Scenario("quiet")


@pytest.mark.parametrize(
    ("written", "meant"), [("-50 %", -0.5), ("−50%", -0.5), (-0.5, -0.5), ("+7.5 %", 0.075), (0, 0.0), ("250 %", 2.5)]
)
def test_shares_as_people_write_them(written, meant) -> None:
    assert one(kind="scale", size=written).size == Size((meant,))


def test_a_ban_is_of_everything_unless_it_says_less() -> None:
    assert one().size == Size((1.0,))
    assert one(size=0.4).size == Size((0.4,))


def test_the_template_is_a_scenario_and_lasts_long_lists() -> None:
    assert read(template("mine", "2027-01")).name == "mine"
    assert len(one(kind="path", levels=[1.0] * 20_000).levels) == 20_000
    many = {"assumption": [{**PLAIN, "name": f"n{at}"} for at in range(2_000)]}
    assert len(parse(many, "f.toml", {}).assumptions) == 2_000


# --- What is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"targett": "a"}, "targett is no key here (did you mean target?)"),
        ({"target": None}, "assumption 1, target is missing: name a series, a pattern or a covariate"),
        ({"target": 5}, "assumption 1, target is 5: write a text in quotes"),
        ({"target": "a\nb"}, "target is 'a\\nb': write one line of plain text"),
        ({"name": "a\x00b"}, "name is 'a\\x00b': write one line of plain text"),
        ({"kind": None}, "kind is missing: choose from ban, scale"),
        ({"kind": "bann"}, "kind is 'bann' (did you mean ban?): choose from ban, scale"),
        ({"kind": ["ban"]}, "kind is ['ban']"),
        ({"start": None}, 'start is missing: name the first month in which it works, such as "2027-01"'),
        ({"start": "2027-13"}, "start holds '2027-13': write a month in quotes"),
        ({"start": "0000-01"}, "start holds '0000-01': write a month in quotes"),
        ({"start": 2027}, "start holds '2027': write a month in quotes"),
        ({"start": tomllib.loads("a = 2027-01-01")["a"]}, "start holds '2027-01-01': write a month in quotes"),
        ({"end": "2026-12"}, "end 2026-12 lies before start, 2027-01: swap them"),
        ({"recovery": 3}, "recovery follows an end, and there is none"),
        ({"ramp": 121}, "ramp is 121: give a whole number from 0 to 120"),
        ({"ramp": -1}, "ramp is -1"),
        ({"ramp": 1.0}, "ramp is 1.0"),
        ({"ramp": True}, "ramp is True"),
        ({"source": None}, 'source is missing: name a legal act or an official page, or write "judgement of ..."'),
        ({"source": "  "}, "source is missing"),
        (
            {"measure": "jp-car-bam"},
            "measure 'jp-car-bam' is no record of data/measures.toml (did you mean jp-car-ban?)",
        ),
        ({"size": 1.5}, 'size is 1.5: if 1.5 percent are meant, write "1.5 %"'),
        ({"size": "120 %"}, "size reaches 120 %: give 0 % to 100 %"),
        ({"size": -0.1}, "size reaches -10 %: give 0 % to 100 %"),
        ({"kind": "scale", "size": -50}, 'size is -50: if -50 percent are meant, write "-50 %"'),
        ({"kind": "scale", "size": "-101 %"}, "size reaches -101 %: give -100 % to 100000 %"),
        ({"kind": "scale", "size": "9" * 400 + " %"}, "size reaches inf %: give -100 % to 100000 %"),
        ({"kind": "scale", "size": {"normal": ["-80 %", "10 %"]}}, "size reaches -120 %: give -100 %"),
        ({"kind": "scale"}, "size is missing"),
        ({"kind": "scale", "size": math.nan}, 'size is nan: write a share such as "-50 %" or -0.5'),
        ({"kind": "scale", "size": math.inf}, "size is inf: write a share"),
        ({"kind": "scale", "size": True}, "size is True: write a share"),
        ({"kind": "scale", "size": "half"}, "size is 'half': write a share"),
        ({"kind": "scale", "size": [0.1]}, "size is [0.1]: write a share"),
        ({"kind": "scale", "size": 10**400}, "size is 1000000"),
        ({"kind": "scale", "size": {"triangular": [0.3, 0.2, 0.5]}}, "numbers go up"),
        ({"kind": "scale", "size": {"triangular": [0.1, 0.2]}}, "write one of { triangular = [low, mode, high] }"),
        ({"kind": "scale", "size": {"normal": [0.1, -0.2]}}, "a standard deviation is not negative"),
        ({"kind": "scale", "size": {"gamma": [1, 2]}}, "write one of { triangular"),
        ({"kind": "scale", "size": {}}, "write one of { triangular"),
        ({"kind": "scale", "size": 0.1, "residual": 0.1}, "residual belongs to ban, not to scale: leave it out"),
        ({"residual": "101 %"}, "residual reaches 101 %: give 0 % to 100 %"),
        ({"kind": "cap", "size": -1}, "size goes down to -1: a cap on trade is not negative"),
        ({"kind": "cap", "size": "50 %"}, "size is '50 %': give a number in the unit of the target"),
        ({"kind": "shift", "size": 1e15}, "size is 1000000000000000.0: give a number in the unit"),
        ({"kind": "path"}, "levels are missing or no list of numbers"),
        ({"kind": "path", "levels": []}, "levels are missing"),
        ({"kind": "path", "levels": [1, -1]}, "levels are missing or no list of numbers from 0 on"),
        ({"kind": "path", "levels": [1, math.nan]}, "levels are missing or no list of numbers"),
        ({"kind": "path", "levels": [math.inf]}, "levels are missing or no list of numbers"),
        ({"kind": "path", "levels": [1e16]}, "levels are missing or no list of numbers"),
        ({"kind": "path", "levels": [True]}, "levels are missing or no list of numbers"),
        ({"kind": "path", "levels": 5}, "levels are missing or no list of numbers"),
        (
            {"kind": "path", "levels": [1, 2, 3], "end": "2027-02"},
            "levels are 3, and from 2027-01 to 2027-02 there are 2",
        ),
        ({"levels": [1]}, "levels belongs to path, not to ban: leave it out"),
        ({"kind": "lift", "size": 0.5}, "since is missing: name the first month of the break"),
        ({"kind": "lift", "size": "250 %", "since": "2023-08"}, "size reaches 250 %: give 0 % to 200 %"),
        ({"since": "2023-08"}, "since belongs to lift"),
        ({"reroute": {"to": "a"}}, "reroute is no list of blocks: write [[assumption.reroute]] above each"),
        ({"reroute": ["a"]}, "reroute is no list of blocks"),
        ({"reroute": [{}]}, "assumption 1, reroute 1, to is missing"),
        ({"reroute": [{"to": "a"}]}, 'reroute 1, share is missing: such as "80 %"'),
        ({"reroute": [{"to": "a", "share": 1, "lags": 1}]}, "reroute 1, lags is no key here (did you mean lag?)"),
        ({"reroute": [{"to": "a", "share": "-5 %"}]}, "share reaches -5 %: give 0 % to 100 %"),
        ({"reroute": [{"to": "a", "share": 1, "lag": 1.5}]}, "lag is 1.5: give a whole number from 0 to 120"),
        (
            {"reroute": [{"to": "a", "share": 0.6}, {"to": "b", "share": 0.5}]},
            "reroute sends up to 110 % of what is lost",
        ),
        ({"reroute": [{"to": "a", "share": 0.3}, {"to": "a", "share": 0.5}]}, "reroute names a series twice"),
    ],
)
def test_a_slip_in_an_assumption_is_one_line(cells, said) -> None:
    told = refusal(**cells)
    assert told.startswith("f.toml: assumption 1, ")
    assert said in told


YEN = {"target": "usd_jpy", "kind": "scale", "size": -0.1}
THROUGH = {"target": "ru.*.price", "elasticity": 1}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"pass_through": [{"elasticity": 1}]}, "pass_through 1, target is missing"),
        ({"pass_through": [{"target": "a"}]}, "pass_through 1, elasticity is missing"),
        ({"pass_through": [{**THROUGH, "elasticity": 6}]}, "elasticity reaches 600 %: give -500 % to 500 %"),
        ({"pass_through": [THROUGH], "kind": "ban"}, "kind is 'ban': choose from path, scale, shift"),
        ({"pass_through": [THROUGH], "size": "-100 %"}, "size takes the covariate to zero"),
        (
            {"pass_through": [THROUGH], "kind": "path", "levels": [120, 0], "size": 0},
            "levels takes the covariate to zero",
        ),
        ({"pass_through": [THROUGH], "reroute": [{"to": "a", "share": 1}]}, "reroute belongs to series"),
    ],
)
def test_a_slip_in_a_pass_through_is_one_line(cells, said) -> None:
    assert said in refusal(**{**YEN, **cells})


@pytest.mark.parametrize(
    ("parsed", "said"),
    [
        ({"nam": "a"}, "f.toml: nam is no key here (did you mean name?)"),
        ({"name": "baseline"}, "f.toml: name baseline is taken by the forecast that assumes nothing"),
        ({"name": "a b"}, "f.toml: name is 'a b': use letters, digits"),
        ({"name": 3}, "f.toml: name is 3: write a text in quotes"),
        ({"probability": 1.5}, 'probability is 1.5: if 1.5 percent are meant, write "1.5 %"'),
        ({"probability": "120 %"}, 'probability is 1.2: give 0 to 1, or such as "15 %"'),
        ({"probability": -0.1}, "probability is -0.1: give 0 to 1"),
        ({"probability": math.nan}, "probability is nan"),
        ({"probability": True}, "probability is True"),
        ({"order": "random"}, "order is 'random'"),
        ({"assumption": {}}, "f.toml: assumption is no list of blocks: write [[assumption]] above each"),
        ({"assumption": [1]}, "assumption is no list of blocks"),
        ({"assumption": [{}]}, "f.toml: assumption 1, target is missing"),
        (
            {"assumption": [PLAIN, PLAIN]},
            "assumption has two called 'ban ru.cars.quantity': give each a name of its own",
        ),
        ({"assumption": [PLAIN, {**PLAIN, "ramp": "x"}]}, "f.toml: assumption 2, ramp is 'x'"),
    ],
)
def test_a_slip_at_the_top_is_one_line(parsed, said) -> None:
    with pytest.raises(DataError) as told:
        parse(parsed, "f.toml", MEASURES)
    assert said in str(told.value)


def test_files_that_are_no_toml_are_refused(tmp_path) -> None:
    path = tmp_path / "f.toml"
    for text, said in (
        (b"name = ", "f.toml is not TOML"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"a = 1\na = 2", "f.toml is not TOML"),
    ):
        path.write_bytes(text)
        with pytest.raises(DataError, match=said):
            read_scenario(path, {})
    with pytest.raises(DataError, match="cannot be read"):
        read_scenario(tmp_path / "none.toml", {})


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(["2027-01", "9999-12", "-50 %", "ru.cars.quantity", "ban", "path", "scale", "usd", "ru.*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["triangular", "normal", "uniform", "to", "share", "lag", "target", "elasticity"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
BLOCKS = st.dictionaries(st.sampled_from([*ASSUMPTION_KEYS, "odd"]), CELLS, max_size=8) | st.builds(
    lambda more: {**PLAIN, **more}, st.dictionaries(st.sampled_from(ASSUMPTION_KEYS), CELLS, max_size=4)
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parsed=st.dictionaries(st.sampled_from(KEYS), CELLS, max_size=4), blocks=st.lists(BLOCKS, max_size=3))
def test_any_table_is_a_scenario_or_one_line(parsed, blocks) -> None:
    try:
        found = parse({**parsed, "assumption": blocks}, "f.toml", MEASURES)
        held = ready(found, CATALOGUE, LAST)
        impose(forecast(0, paths=3, h=6), held.scenario, ground())
    except ForecastingError as error:
        told = str(error)
    else:
        told = ""
    assert "\n" not in told


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60) | st.text(alphabet=string.printable, max_size=60))
def test_any_text_is_a_scenario_or_an_error(text, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        told = f"{read_scenario(path, {})} of fuzz.toml"
    except ForecastingError as error:
        told = str(error)
    assert "fuzz.toml" in told


# --- Held against the data -------------------------------------------------------------------------------


def held(*assumed: Assumption, ordered: bool = False, covariates: tuple[str, ...] = ()) -> Ready:
    return ready(replace(scenario(*assumed), ordered=ordered), CATALOGUE, LAST, covariates)


def unready(*assumed: Assumption, last: dict[str, pd.Period] = LAST, covariates: tuple[str, ...] = ()) -> str:
    with pytest.raises(DataError) as told:
        ready(scenario(*assumed), CATALOGUE, last, covariates)
    assert "\n" not in str(told.value)
    return str(told.value)


def to(series: str, lag: int = 0) -> tuple[Reroute, ...]:
    return (Reroute(series, Size((0.5,)), lag),)


def test_what_has_to_be_forecast() -> None:
    assert held(assume("ru.cars.*", "ban", 1.0)).series == ("ru.cars.quantity",)
    assert held(assume("ru.*.price", "scale", 0.1)).series == ("ru.vehicles.price", "ru.gas.price", "ru.coal.price")
    assert held(assume("ru.*", "scale", 0.1)).series == ("ru.trade",)
    assert set(held(assume("ru.gas.quantity", "ban", 1.0, reroute=to("other.gas.quantity"))).series) == {
        "ru.gas.quantity",
        "other.gas.quantity",
    }


@pytest.mark.parametrize(
    ("assumed", "said"),
    [
        (assume("ru.car.quantity", "ban"), "No series matches 'ru.car.quantity'. Nearest: ru.cars.quantity"),
        (assume("zz*", "ban"), "No series matches 'zz*'"),
        (assume("ru.balance", "scale"), "ru.balance is a difference: name ru.exports or ru.imports"),
        (
            assume("ru.cars.*", "cap", 5.0),
            "cap is in the unit of its target, and ru.cars.* names series in mn_jpy, units, mn_jpy/units",
        ),
        (
            assume("*.vehicles.*", "scale", start=CUTOFF),
            "start 2026-08 is published already (ru.vehicles.quantity reaches 2026-08)",
        ),
        (
            assume("ru.coal.value", "lift", 0.5, since=CUTOFF + 1),
            "since 2026-09 is not published yet (figures reach 2026-08)",
        ),
        (assume("*.exports", "scale", 0.1, reroute=to("ru.cars.value")), "is to what world.exports itself moves"),
        (assume("ru.gas.quantity", "ban", reroute=to("ru.gas.quantity")), "is to what ru.gas.quantity itself moves"),
        (assume("ru.gas.quantity", "ban", reroute=to("nowhere")), "reroute: No series matches 'nowhere'"),
        (
            assume("ru.gas.quantity", "ban", reroute=to("ru.gas.*")),
            "reroute to ru.gas.* names a pattern: name one series",
        ),
        (assume("ru.gas.quantity", "ban", reroute=to("ru.balance")), "reroute to ru.balance cannot be"),
        (assume("ru.gas.quantity", "ban", reroute=to("ru.trade")), "reroute to ru.trade cannot be"),
        (assume("ru.gas.quantity", "ban", reroute=to("ru.gas.price")), "reroute to ru.gas.price cannot be"),
        (
            assume("ru.gas.quantity", "ban", reroute=to("other.cars.quantity")),
            "kilotonnes cannot be turned into thousand_units",
        ),
        (
            assume("ru.gas.price", "scale", reroute=to("other.gas.value")),
            "a unit price loses nothing that could go elsewhere",
        ),
        (
            assume("usd_jpy", "scale"),
            "A covariate needs --covariates with such a column, or [[assumption.pass_through]]",
        ),
        (
            assume("ru.cars.value", "scale", covariate=True, pass_through=(PassThrough("ru.gas.price", Size((1.0,))),)),
            "pass_through belongs to covariates: use reroute",
        ),
        (
            assume("usd_jpy", "shift", covariate=True, pass_through=(PassThrough("ru.gas.price", Size((1.0,))),)),
            "shift of usd_jpy starts from its own level: give --covariates",
        ),
        (
            assume("usd_jpy", "scale", covariate=True, pass_through=(PassThrough("ru.ga.price", Size((1.0,))),)),
            "No series matches 'ru.ga.price'",
        ),
        (
            assume("usd_jpy", "scale", covariate=True, pass_through=2 * (PassThrough("ru.gas.price", Size((1.0,))),)),
            "would move twice",
        ),
    ],
)
def test_what_cannot_be_assumed_of_these_data_is_one_line(assumed, said) -> None:
    told = unready(assumed)
    assert told.startswith("what-if, assumption 1 (")
    assert said in told


def test_a_series_without_data_is_refused() -> None:
    fewer = {one: month for one, month in LAST.items() if "coal" not in one}
    assert "ru.coal.value is in the catalogue, but these data hold no value" in unready(
        assume("ru.coal.*", "ban"), last=fewer
    )
    assert "cannot be" in unready(assume("ru.gas.value", "ban", reroute=to("ru.coal.value")), last=fewer)


def test_nothing_may_start_before_what_it_moves_is_published() -> None:
    ahead = {one: CUTOFF + (2 if one.startswith("world") else 0) for one in LAST}
    early = assume("ru.cars.quantity", "ban", start=CUTOFF + 1)
    assert "reaches 2026-10)" in unready(early, last=ahead)
    assert ready(scenario(replace(early, start=CUTOFF + 3)), CATALOGUE, ahead).series == ("ru.cars.quantity",)
    coal = assume("ru.coal.quantity", "ban", start=CUTOFF + 1, reroute=to("other.gas.quantity"))
    own = {**LAST, "world.gas.quantity": CUTOFF + 9}
    assert "reroute to other.gas.quantity begins in 2026-09, which is published" in unready(coal, last=own)


def test_a_pattern_that_would_move_a_part_twice_is_refused() -> None:
    told = unready(assume("*.trade", "scale", 0.1))
    assert "ru.trade and world.trade both move" in told
    assert "name series that share no part" in told


def test_covariates_that_models_use() -> None:
    acting = assume("usd_jpy", "scale", 0.1)
    assert held(acting, covariates=("usd_jpy",)).scenario.assumptions[0].covariate
    assert "a covariate takes path, scale, shift" in unready(replace(acting, kind="ban"), covariates=("usd_jpy",))
    assert "did you mean usd_jpy?" in unready(replace(acting, target="usdjpy"), covariates=("usd_jpy",))


# --- Order -----------------------------------------------------------------------------------------------

BAN = assume("ru.gas.quantity", "ban", 0.5)
CAP = assume("ru.gas.quantity", "cap", 100.0)
YEN_PRICE = assume("usd", "scale", 0.1, covariate=True, pass_through=(PassThrough("ru.gas.price", Size((1.0,)), 2),))
FIGHT = [
    (BAN, CAP),
    (CAP, replace(CAP, name="other", size=Size((90.0,)))),
    (CAP, assume("ru.gas.value", "floor", 5.0)),
    (CAP, assume("ru.imports", "growth", 0.1)),
    (assume("ru.imports", "cap", 5.0), BAN),
    (assume("ru.gas.value", "cap", 5.0), assume("world.gas.price", "scale", 0.1)),
    (assume("other.gas.value", "cap", 5.0), assume("world.gas.price", "scale", 0.1)),
    (assume("world.gas.price", "cap", 0.1), BAN),
    (assume("other.gas.quantity", "cap", 5.0), replace(BAN, reroute=to("other.gas.quantity"))),
    (assume("other.gas.quantity", "scale", 0.1), replace(BAN, reroute=to("other.gas.quantity"))),
    (BAN, assume("ru.gas.quantity", "scale", -0.2, reroute=to("other.gas.quantity"))),
    (assume("ru.gas.value", "shift", 5.0), assume("ru.gas.value", "shift", -5.0, name="down")),
    (assume("ru.gas.quantity", "growth", 0.1, start=START + 13), replace(BAN, end=START + 2)),
    (
        replace(BAN, end=START, reroute=to("other.gas.quantity", 4)),
        assume("other.gas.quantity", "cap", 5.0, start=START + 4),
    ),
    (assume("ru.gas.value", "cap", 5.0, start=START + 3), replace(YEN_PRICE, end=START + 1)),
]
PEACE = [
    (BAN, assume("ru.gas.quantity", "scale", -0.2)),
    (BAN, assume("ru.imports", "scale", -0.2)),
    (CAP, assume("ru.gas.price", "scale", 0.3)),
    (CAP, assume("ru.gas.price", "cap", 50.0)),
    (CAP, assume("ru.coal.value", "cap", 5.0)),
    (replace(CAP, end=START + 2, recovery=1), replace(CAP, name="later", start=START + 4)),
    (CAP, assume("other.gas.quantity", "cap", 5.0)),
    (assume("ru.gas.value", "shift", -5.0), assume("ru.gas.value", "shift", -9.0, name="more")),
    (assume("ru.gas.quantity", "growth", 0.1, start=START + 6, end=START + 8), replace(BAN, end=START + 2)),
    (
        replace(BAN, end=START, reroute=to("other.gas.quantity", 4)),
        assume("other.gas.quantity", "cap", 5.0, start=START + 1, end=START + 3),
    ),
    (
        replace(BAN, reroute=to("other.gas.quantity")),
        assume("ru.coal.value", "ban", 0.5, reroute=to("other.gas.value")),
    ),
    (replace(BAN, reroute=to("other.gas.quantity")), assume("world.gas.price", "scale", 0.1)),
    (BAN, YEN_PRICE),
]


@pytest.mark.parametrize(("first", "second"), FIGHT)
def test_two_that_fight_are_named(first, second) -> None:
    for pair in ((first, second), (second, first)):
        told = unready(*pair)
        assert first.label in told
        assert second.label in told
        assert 'their order matters: say order = "as listed" at the top of the file' in told
    assert len(held(first, second, ordered=True).scenario.assumptions) == 2


@pytest.mark.parametrize(("first", "second"), PEACE)
def test_two_that_do_not_fight_are_let_be(first, second) -> None:
    assert len(held(first, second).scenario.assumptions) == 2


def test_a_covariate_of_the_models_moves_everything() -> None:
    acting = assume("usd_jpy", "scale", 0.1)
    told = unready(acting, CAP, covariates=("usd_jpy",))
    assert "order matters" in told
    assert held(acting, BAN, covariates=("usd_jpy",)).series == ("ru.gas.quantity",)
    assert "order matters" in unready(acting, replace(acting, kind="shift", name="b"), covariates=("usd_jpy",))


@st.composite
def anything(draw: st.DrawFn) -> Assumption:
    """Any assumption, with re-routing or a pass-through now and then."""
    made = draw(assumptions(among=(*AMOUNTS, *PRICES)))
    ways = {"mn_jpy": ["other.gas.value", "world.imports", "ru.coal.value", "ru.exports"]}
    if "gas.quantity" in made.target:
        ways[CATALOGUE[made.target].unit] = ["other.gas.quantity", "world.gas.quantity", "ru.coal.quantity"]
    goes = ways.get(CATALOGUE[made.target].unit)
    if goes and draw(st.booleans()):
        return replace(made, reroute=to(draw(st.sampled_from(goes)), draw(st.integers(0, 5))))
    if draw(st.integers(0, 5)) == 0:
        through = PassThrough(
            draw(st.sampled_from(PRICES)), Size((draw(st.floats(-1.0, 1.0)),)), draw(st.integers(0, 3))
        )
        return assume(
            "usd", "scale", draw(st.floats(-0.5, 1.0)), start=made.start, end=made.end, pass_through=(through,)
        )
    return made


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=anything(), second=anything())
def test_what_is_let_be_commutes(first, second) -> None:
    try:
        made = held(first, replace(second, name="second")).scenario
    except DataError:
        return
    base = forecast(4, paths=5)
    one_way = impose(base, made, ground()).paths
    other_way = impose(base, replace(made, assumptions=made.assumptions[::-1]), ground()).paths
    assert np.allclose(one_way, other_way, rtol=1e-7, atol=1e-9 * base.paths.max(axis=(0, 1)))


def test_taking_from_a_destination_can_empty_it() -> None:
    banned = assume("ru.imports", "ban", 1.0)
    grown = assume("world.exports", "growth", 0.0, reroute=(Reroute("world.imports", Size((0.5,))),))
    with pytest.raises(DataError, match="their order matters"):
        held(banned, replace(grown, name="second"))


def test_a_price_of_a_part_moves_the_price_at_which_a_reroute_to_the_whole_arrives() -> None:
    dearer = assume("ru.gas.price", "scale", 1.0)
    elsewhere = assume("ru.gas.quantity", "scale", 1.0, reroute=(Reroute("world.gas.quantity", Size((0.5,))),))
    with pytest.raises(DataError, match="their order matters"):
        held(dearer, replace(elsewhere, name="second"))


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(SERIES_KINDS), target=st.sampled_from([one for one in AMOUNTS if one.startswith("ru.")]))
def test_every_kind_on_every_series_is_ready(kind, target) -> None:
    since = pd.Period("2025-01", "M") if kind == "lift" else None
    assert held(assume(target, kind, 0.5, since=since, levels=(5.0,))).series == (target,)


# --- The ones we ship ------------------------------------------------------------------------------------

SHIPPED = sorted(one.stem for one in scenarios.folder().glob("*.toml"))


@pytest.fixture(scope="module")
def official() -> workflow.Dataset:
    return workflow.load()


def test_at_least_six_are_shipped_and_their_probabilities_leave_room() -> None:
    found = scenarios.read(SHIPPED)
    assert len(found) >= 6
    assert Scenario("status-quo") == replace(
        found[SHIPPED.index("status-quo")], description="", probability=None, text=""
    )
    assert sum(one.probability or 0.0 for one in found) <= 1.0


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_is_ready_explained_and_named_like_its_file(name, official) -> None:
    (found,) = scenarios.read([name])
    assert found.name == name
    assert 30 <= len(found.description) <= 160
    assert found.text.startswith(("name", "#"))
    assert all(len(one.source) > 20 for one in found.assumptions)
    start = min((one.start for one in found.assumptions), default=official.panel.cutoff + 1)
    seen = official.panel.until(min(start - 1, official.panel.cutoff))
    last = {one: pd.Period(seen.y[one].dropna().index[-1], "M") for one in seen.series}
    made = ready(found, official.catalogue, last)
    assert len(made.scenario.assumptions) == len(found.assumptions)
    assert all(one in official.catalogue for one in made.series)
