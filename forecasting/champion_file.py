"""Which model each group of series is forecast by: data/champion.json, read by every forecast without MLflow (4 s).

The registry of the tracking store is the truth; the file is written after it, whole or not at all, and
``tradecast champion show`` mends it. A group is a family of series that add up: ``jp_ru``, ``jp_world``. Value and
quantity stay together, because a unit price is the ratio of both on the same path; families do not, because one is
judged on years of monthly figures and the other on months, and the longer would decide for the shorter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from forecasting import store
from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.tables import closure

FILE = "champion.json"


@dataclass(frozen=True)
class Champion:
    """A model in force for a group, where it is registered and why; ``forced`` is the reason of who overruled."""

    group: str
    model: str
    settings: Mapping[str, Any]
    version: int
    promoted: str
    backtest: str
    vintage: str
    why: str
    store: str
    forced: str = ""
    skill: float | None = None

    @property
    def day(self) -> str:
        return self.promoted[:10]

    def same_model(self, model: str, settings: Mapping[str, Any]) -> bool:
        return self.model == model and as_settings(self.settings) == as_settings(settings)


def group_of(series: str) -> str:
    """The family of an id."""
    return series.partition(".")[0]


def group_in(series: str, catalogue: Catalogue) -> str:
    """The group of a series, or of what is left of one; a user's own, which the catalogue does not describe: none."""
    known = catalogue.get(series.partition("|")[0])
    return group_of(series) if known and known.publisher else ""


def groups_beneath(series: str, catalogue: Catalogue) -> tuple[str, ...]:
    """The groups of the stored series that this one rests on: several for what is left of the world without Russia."""
    return tuple(dict.fromkeys(group_in(one, catalogue) for one in closure([series], catalogue)))


def as_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a forecaster takes them: JSON's lists are tuples."""
    return {name: _frozen(one) for name, one in settings.items()}


def _frozen(cell: Any) -> Any:
    return tuple(_frozen(one) for one in cell) if isinstance(cell, (list, tuple)) else cell


def path() -> Path:
    return store.data_folder() / FILE


def read() -> dict[str, Champion]:
    """Champions by group; none where there is no file."""
    try:
        found = json.loads(path().read_text(encoding="utf-8"))
        return {group: _champion(group, one) for group, one in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as cause:
        raise DataError(
            f"{FILE} cannot be read ({' '.join(str(cause).split())}): `tradecast champion show` writes it anew,"
            " or name a --model."
        ) from cause


def _champion(group: str, cells: Mapping[str, Any]) -> Champion:
    """TypeError where a cell is missing or not of its kind."""
    made = Champion(group=group, **{one.name: cells[one.name] for one in fields(Champion) if one.name in cells})
    kinds = (
        (str, ("model", "promoted", "backtest", "vintage", "why", "store", "forced")),
        (int, ("version",)), (Mapping, ("settings",)), (int | float | None, ("skill",)),
    )  # fmt: skip
    for kind, names in kinds:
        if wrong := next((one for one in names if not isinstance(getattr(made, one), kind)), ""):
            raise TypeError(f"{group}: {wrong} is {getattr(made, wrong)!r}")
    return made


def write(champions: Mapping[str, Champion]) -> None:
    """Put these champions in force, whole or not at all."""
    said = {group: asdict(one) for group, one in sorted(champions.items())}
    for one in said.values():
        del one["group"]
    store.write_bytes((json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode(), path())
