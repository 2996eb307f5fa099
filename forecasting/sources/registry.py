"""The publishers that are read, by name; a module is imported only when its source is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, cast

from forecasting.errors import CatalogueError

if TYPE_CHECKING:
    from forecasting.sources.base import Source

SOURCES = {
    "japan_customs_files": "forecasting.sources.japan_customs_files",
    "japan_customs_series": "forecasting.sources.japan_customs_series",
    "japan_customs_press": "forecasting.sources.japan_customs_press",
    "estat_api": "forecasting.sources.estat_api",
    "comtrade": "forecasting.sources.comtrade",
    "imf_imts": "forecasting.sources.imf_imts",
    "world_bank_prices": "forecasting.sources.world_bank_prices",
    "fx": "forecasting.sources.fx",
    "jnto_visitors": "forecasting.sources.jnto_visitors",
}


def source(name: str) -> Source:
    """The source of this name; CatalogueError for a name that is none, with the nearest."""
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise CatalogueError(f"No source is called {name!r}.{hint} The sources: {', '.join(SOURCES)}.")
    return cast("Source", import_module(SOURCES[name]).SOURCE)
