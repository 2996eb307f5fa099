"""Countries as publishers code them: ISO 3166 alpha-2 in the ids of series, alpha-3 at the IMF, numbers at Comtrade."""

from __future__ import annotations

from functools import cache
from typing import Any

WORLD = "world"
# Comtrade's areas are statistical territories: France with Monaco and the overseas departments, Norway with Svalbard,
# Switzerland with Liechtenstein, the United States with Puerto Rico. Taiwan is reported as "Other Asia, nes".
_COMTRADE = {WORLD: 0, "fr": 251, "no": 579, "ch": 757, "us": 842, "in": 699, "tw": 490, "xk": 412, "eu": 97}
_IMF = {WORLD: "G001", "xk": "KOS"}


def comtrade_code(country: str) -> int | None:
    """Comtrade's number of a country given by its alpha-2 code in lower case, or ``world``; None where it is none."""
    if country in _COMTRADE:
        return _COMTRADE[country]
    found = _iso(country)
    return int(found.numeric) if found else None


def imf_code(country: str) -> str | None:
    """The IMF's code, which is ISO alpha-3 but for the world; None where the country is none."""
    if country in _IMF:
        return _IMF[country]
    found = _iso(country)
    return str(found.alpha_3) if found else None


@cache
def _iso(country: str) -> Any | None:
    import pycountry

    plain = len(country) == 2 and country.isascii() and country.islower()
    return pycountry.countries.get(alpha_2=country.upper()) if plain else None
