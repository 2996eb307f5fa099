"""Catalogue units as people read them: one scale for a value and its interval, three or four digits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from forecasting.errors import DataError

# unit: (how many of the basic unit it holds, the basic unit in words)
MONEY = {
    "jpy": "yen", "usd": "US dollars", "eur": "euros", "rub": "roubles", "cny": "yuan", "krw": "won",
}  # fmt: skip
COUNTED = {"unit": "units", "units": "units", "persons": "persons", "visitors": "visitors"}
MEASURED = {
    "kg": (1e-3, "tonnes"), "tonnes": (1.0, "tonnes"), "kilotonnes": (1e3, "tonnes"),
    "litres": (1e-3, "kl"), "kl": (1.0, "kl"), "megalitres": (1e3, "kl"), "barrels": (1.0, "barrels"),
}  # fmt: skip
BASIC = {**{name: (1.0, word) for name, word in {**MONEY, **COUNTED}.items()}, **MEASURED}
MULTIPLES = {"thousand_": 1e3, "mn_": 1e6, "bn_": 1e9, "trn_": 1e12}
SINGULAR = {
    "units": "unit", "persons": "person", "visitors": "visitor", "tonnes": "tonne", "barrels": "barrel",
}  # fmt: skip
PERCENT = {"pct_yoy": "% on a year earlier", "pct": "%", "percent": "%", "%": "%"}
STEPS = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand"))
# Whole numbers are readable up to here: "18,024 units" says more than "18.0 thousand units".
PLAIN_BELOW = 1e5
MORE_DECIMALS = 6


@dataclass(frozen=True)
class Scale:
    """How a row or a panel is written: multiply by ``factor``, write ``decimals``, say ``label``."""

    factor: float
    label: str
    decimals: int

    def number(self, value: float) -> str:
        """The scaled number alone; a dash where nothing is known."""
        if not math.isfinite(value):
            return "–"
        # + 0.0 turns the negative zero of a rounded small number into zero.
        return f"{round(value * self.factor, self.decimals) + 0.0:,.{self.decimals}f}"

    def telling_apart(self, rows: Iterable[Iterable[float]]) -> Scale:
        """The same with as many decimals more (MORE_DECIMALS at most) as different values of a row need to look so.

        Values that agree to nine digits are the same, converted.
        """
        different = [{float(f"{one:.9g}") for one in row if math.isfinite(one)} for row in rows]
        for decimals in range(self.decimals, self.decimals + MORE_DECIMALS):
            finer = replace(self, decimals=decimals)
            if all(len({finer.number(one) for one in row}) == len(row) for row in different):
                return finer
        return replace(self, decimals=self.decimals + MORE_DECIMALS)

    def text(self, value: float) -> str:
        """The number with its unit."""
        return f"{self.number(value)} {self.label}".strip() if math.isfinite(value) else "–"


def readable(unit: str, magnitude: float) -> tuple[float, str]:
    """Factor and label that make this size readable: 111,234 mn_jpy → (0.001, "billion yen")."""
    name = " ".join(unit.split())
    if name in PERCENT:
        return 1.0, PERCENT[name]
    if name in ("", "as given"):
        return _stepped(1.0, "", magnitude)
    if name == "kg" and abs(magnitude) < 1e4:
        return 1.0, "kg"
    head, slash, tail = name.partition("/")
    above, below = _basic(head), _basic(tail)
    if slash and above and below:
        word = f"{above[1]} per {SINGULAR.get(below[1], below[1])}"
        return _stepped(above[0] / below[0], word, magnitude, ratio=True)
    # Free text may hold a multiple already ("USD million"): it is written as given.
    return _stepped(*above, magnitude) if above and not slash else (1.0, name)


def in_words(unit: str) -> str:
    """A catalogue unit as people write it: mn_jpy → "million yen", mn_jpy/kg → "million yen per kg"."""
    name = " ".join(unit.split())
    if name in PERCENT:
        return PERCENT[name]
    head, slash, tail = name.partition("/")
    below = _named(tail)
    one = below.removesuffix("s") if below in BASIC else SINGULAR.get(below, below)
    return f"{_named(head)} per {one}" if slash else _named(head)


def _named(name: str) -> str:
    for prefix, multiple in MULTIPLES.items():
        if name.startswith(prefix) and name.removeprefix(prefix) in BASIC:
            word = next(said for step, said in STEPS if step == multiple)
            return f"{word} {_named(name.removeprefix(prefix))}"
    return {**MONEY, **COUNTED}.get(name, name)


def conversion(given: str, wanted: str) -> float:
    """How many of the wanted unit one of the given unit is; DataError where they do not measure the same."""
    one, other = _basic(" ".join(given.split())), _basic(" ".join(wanted.split()))
    if given == wanted:
        return 1.0
    if one is None or other is None or one[1] != other[1]:
        raise DataError(f"{given} cannot be turned into {wanted}: name two series in units of the same kind.")
    return one[0] / other[0]


def scale_of(unit: str, values: Iterable[float]) -> Scale:
    """One scale for all these values, chosen by the middle of their sizes."""
    sizes = sorted(abs(float(one)) for one in values if math.isfinite(one) and one != 0)
    middle = sizes[len(sizes) // 2] if sizes else 0.0
    factor, label = readable(unit, middle)
    return Scale(factor, label, _decimals(middle * factor, factor, label))


def say(unit: str, value: float) -> str:
    """One value in readable units: 1,211,621 mn_jpy → "1.21 trillion yen"."""
    return scale_of(unit, [value]).text(value)


def percent(value: float, decimals: int = 1) -> str:
    """A change in percent with its sign; a dash where nothing is known."""
    if not math.isfinite(value):
        return "–"
    return f"{round(value, decimals) + 0.0:+,.{decimals}f} %" if abs(value) < 999.5 else f"{value:+,.0f} %"


def _basic(name: str) -> tuple[float, str] | None:
    for prefix, multiple in MULTIPLES.items():
        if name.startswith(prefix) and name.removeprefix(prefix) in BASIC:
            held, word = BASIC[name.removeprefix(prefix)]
            return multiple * held, word
    return BASIC.get(name)


def _stepped(held: float, word: str, magnitude: float, ratio: bool = False) -> tuple[float, str]:
    size = abs(magnitude) * held
    # Money is always stepped, and what comes in thousands is not written out to a digit that nobody measured.
    plain = 1e3 if word in MONEY.values() or (held >= 1e3 and not ratio) else PLAIN_BELOW
    for step, name in STEPS:
        if size >= max(step, plain):
            return held / step, f"{name} {word}".strip()
    return held, word


def _decimals(scaled: float, factor: float, label: str) -> int:
    size = abs(scaled)
    if label.startswith("%"):
        return 1
    # Things that are counted come whole, and a scale that adds no digits shows none beyond the hundreds.
    whole = factor == 1 and label in COUNTED.values()
    if whole or size == 0 or size >= 1000 or (size >= 100 and factor >= 1):
        return 0
    return 1 if size >= 10 else min(2 - math.floor(math.log10(size)), 6)
