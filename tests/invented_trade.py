"""An invented trade with parts, sums, pairs, rests, and other units within the world's: for tests of scenarios."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.forecast import Forecast
from forecasting.impose import Ground
from forecasting.observations import with_derived
from forecasting.scenario import SERIES_KINDS, Assumption, Scenario, Size

CUTOFF = pd.Period("2026-08", "M")
START = pd.Period("2027-01", "M")


def _stored(id_: str, unit: str, parent: str = "", within: str = "") -> Series:
    return Series(id_, id_, unit, parent=parent, within=within)


def _price(good: str, unit: str) -> Series:
    return Series(f"{good}.price", good, unit, formula="ratio", terms=(f"{good}.value", f"{good}.quantity"))


def _other(good: str, of: str, unit: str) -> Series:
    terms = (f"world.{good}.{of}", f"ru.{good}.{of}")
    return Series(f"other.{good}.{of}", good, unit, formula="difference", terms=terms)


CATALOGUE = Catalogue(
    (
        Series("ru.trade", "Trade", "mn_jpy", formula="sum", terms=("ru.exports", "ru.imports")),
        _stored("ru.exports", "mn_jpy", within="world.exports"),
        _stored("ru.imports", "mn_jpy", within="world.imports"),
        Series("ru.balance", "Balance", "mn_jpy", formula="difference", terms=("ru.exports", "ru.imports")),
        _stored("ru.vehicles.value", "mn_jpy", "ru.exports"),
        _stored("ru.vehicles.quantity", "units"),
        _stored("ru.cars.value", "mn_jpy", "ru.vehicles.value", "world.cars.value"),
        _stored("ru.cars.quantity", "units", "ru.vehicles.quantity", "world.cars.quantity"),
        _stored("ru.trucks.value", "mn_jpy", "ru.vehicles.value"),
        _stored("ru.trucks.quantity", "units", "ru.vehicles.quantity"),
        Series("ru.vehicles.rest.value", "Rest", "mn_jpy", formula="rest", terms=("ru.vehicles.value",)),
        Series("ru.vehicles.rest.quantity", "Rest", "units", formula="rest", terms=("ru.vehicles.quantity",)),
        _stored("ru.tools.value", "mn_jpy", "ru.exports"),
        _stored("ru.gas.value", "mn_jpy", "ru.imports", "world.gas.value"),
        _stored("ru.gas.quantity", "kilotonnes", within="world.gas.quantity"),
        _stored("ru.coal.value", "mn_jpy", "ru.imports"),
        _stored("ru.coal.quantity", "tonnes"),
        Series("world.trade", "Trade", "mn_jpy", formula="sum", terms=("world.exports", "world.imports")),
        _stored("world.exports", "mn_jpy"),
        _stored("world.imports", "mn_jpy"),
        _stored("world.cars.value", "mn_jpy", "world.exports"),
        _stored("world.cars.quantity", "thousand_units"),
        _stored("world.gas.value", "mn_jpy", "world.imports"),
        _stored("world.gas.quantity", "tonnes"),
        _other("cars", "value", "mn_jpy"),
        _other("cars", "quantity", "thousand_units"),
        _other("gas", "value", "mn_jpy"),
        _other("gas", "quantity", "tonnes"),
        _price("ru.cars", "mn_jpy/units"),
        _price("ru.trucks", "mn_jpy/units"),
        _price("ru.vehicles", "mn_jpy/units"),
        _price("ru.gas", "mn_jpy/kilotonnes"),
        _price("ru.coal", "mn_jpy/tonnes"),
        _price("world.cars", "mn_jpy/thousand_units"),
        _price("world.gas", "mn_jpy/tonnes"),
        _price("other.cars", "mn_jpy/thousand_units"),
        _price("other.gas", "mn_jpy/tonnes"),
    )
)
STORED = tuple(one for one in CATALOGUE if not CATALOGUE[one].derived)
DERIVED = tuple(one for one in CATALOGUE if CATALOGUE[one].derived)
CUBE = (*STORED, "ru.trade", "world.trade")
GOODS = ("ru.cars", "ru.trucks", "ru.gas", "ru.coal", "world.cars", "world.gas", "other.cars", "other.gas")
PRICES = tuple(f"{good}.price" for good in GOODS)
AMOUNTS = tuple(one for one in CATALOGUE if CATALOGUE[one].formula != "ratio" and one != "ru.balance")
LAST = dict.fromkeys(STORED, CUTOFF)


def cells(rng: np.random.Generator, shape: tuple[int, ...], none: float = 0.0) -> dict[str, np.ndarray]:
    """Every series of the cube (each of this shape), parts adding up; ``none``: how often a good is not traded."""

    def some(level: float) -> np.ndarray:
        return np.asarray(level * np.exp(rng.normal(0.0, 0.4, shape)))

    made: dict[str, np.ndarray] = {}
    for good, quantity, price in (
        ("ru.cars", 9000.0, 2.0), ("ru.trucks", 50.0, 4.0), ("ru.vehicles.rest", 200.0, 0.5),
        ("ru.gas", 450.0, 90.0), ("ru.coal", 3e5, 0.02), ("other.cars", 400.0, 2500.0), ("other.gas", 5e6, 0.1),
    ):  # fmt: skip
        made[f"{good}.quantity"] = some(quantity) * (rng.random(shape) >= none)
        made[f"{good}.value"] = made[f"{good}.quantity"] * some(price)
    for of in ("value", "quantity"):
        made[f"ru.vehicles.{of}"] = sum(made[f"ru.{one}.{of}"] for one in ("cars", "trucks", "vehicles.rest"))
    made["ru.tools.value"] = some(900.0)
    made["ru.exports"] = made["ru.vehicles.value"] + made["ru.tools.value"] + some(3000.0)
    made["ru.imports"] = made["ru.gas.value"] + made["ru.coal.value"] + some(9000.0)
    for good, of, by in (
        ("cars", "value", 1.0),
        ("cars", "quantity", 1e-3),
        ("gas", "value", 1.0),
        ("gas", "quantity", 1e3),
    ):
        made[f"world.{good}.{of}"] = made[f"other.{good}.{of}"] + by * made[f"ru.{good}.{of}"]
    others = {"exports": made["other.cars.value"], "imports": made["other.gas.value"]}
    for flow, good in others.items():
        made[f"world.{flow}"] = made[f"ru.{flow}"] + good + some(4e6)
    for partner in ("ru", "world"):
        made[f"{partner}.trade"] = made[f"{partner}.exports"] + made[f"{partner}.imports"]
    return {one: made[one] for one in CUBE}


def forecast(seed: int = 0, none: float = 0.0, paths: int = 40, h: int = 18, ahead: int = 0) -> Forecast:
    """A coherent cube; the world's figures are published for ``ahead`` months more than the others."""
    made = cells(np.random.default_rng(seed), (paths, h), none)
    cutoffs = {one: CUTOFF + (ahead if one.startswith("world") else 0) for one in CUBE}
    for one in CUBE:
        known = (cutoffs[one] - CUTOFF).n
        made[one][:, :known] = made[one][:, :known].max(axis=0)  # above every part on every path
    months = pd.period_range(CUTOFF + 1, periods=h, freq="M")
    return Forecast(np.stack([made[one] for one in CUBE], axis=2), months, CUBE, tuple(cutoffs.values()), "m")


def history(seed: int = 0, months: int = 60) -> pd.DataFrame:
    index = pd.period_range(end=CUTOFF, periods=months, freq="M")
    return pd.DataFrame(cells(np.random.default_rng([seed, 1]), (months,)), index=index)


def ground(seed: int = 0, **more: object) -> Ground:
    return Ground(CATALOGUE, history(), seed=seed, **more)  # type: ignore[arg-type]


def values(made: Forecast, series: str) -> np.ndarray:
    """Paths of a stored or derived series (P × h), by the way in which history is derived: NaN where no price is."""
    if series in made.series:
        return made.column(series)
    flat = pd.DataFrame({one: made.column(one).ravel() for one in made.series})
    return with_derived(flat, CATALOGUE, [series])[series].to_numpy().reshape(made.paths.shape[:2])


def assume(target: str, kind: str, size: float | Size = 0.0, **more: object) -> Assumption:
    given = size if isinstance(size, Size) else Size((float(size),))
    return Assumption(target, kind, more.pop("start", START), "judgement of a test", size=given, **more)  # type: ignore[arg-type]


def scenario(*assumptions: Assumption, name: str = "what-if") -> Scenario:
    return Scenario(name, assumptions)


def sizes(target: str, kind: str) -> st.SearchStrategy[float]:
    """Sizes of a kind that make sense for a target."""
    usual = float(np.nanmean(values(forecast(), target)))
    return {
        "ban": st.floats(0.0, 1.0),
        "scale": st.floats(-1.0, 1.5),
        "growth": st.floats(-1.0, 1.0),
        "lift": st.floats(0.0, 1.2),
        "shift": st.floats(-2.0 * usual, 2.0 * usual),
        "cap": st.floats(0.0, 1.5 * usual),
        "floor": st.floats(0.0, 1.5 * usual),
        "path": st.floats(-0.5, 0.5),
    }[kind]


@st.composite
def assumptions(draw: st.DrawFn, among: tuple[str, ...] = (*AMOUNTS, *PRICES), **fixed: object) -> Assumption:
    """Any assumption of any kind on any of these series."""
    target = draw(st.sampled_from(among))
    kind = str(fixed.pop("kind", None) or draw(st.sampled_from(SERIES_KINDS)))
    usual = float(np.nanmean(values(forecast(), target)))
    start = START + draw(st.integers(0, 3))
    end = draw(st.none() | st.integers(0, 6).map(lambda later: start + later))
    more: dict[str, object] = {
        "start": start,
        "end": end,
        "ramp": draw(st.integers(0, 4)),
        "recovery": draw(st.integers(0, 4)) if end is not None else 0,
        "residual": Size((draw(st.floats(0.0, 1.0)),)) if kind == "ban" else Size((0.0,)),
        "levels": tuple(usual * draw(st.floats(0.0, 2.0)) for _ in range(3)) if kind == "path" else (),
        "since": pd.Period("2025-01", "M") if kind == "lift" else None,
    }
    return assume(target, kind, draw(sizes(target, kind)), **{**more, **fixed})
