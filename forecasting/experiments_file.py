"""An experiment: one TOML file that says what is forecast from which past cutoffs, by which models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting.errors import DataError, ModelError
from forecasting.forecast import COVERAGES, KINDS, Forecast
from forecasting.models import MODELS, forecaster
from forecasting.models.base import Forecaster
from forecasting.models.ensemble import Ensemble
from forecasting.periods import next_full_quarter_end
from forecasting.scores import REGIMES, SCORES, SKILLS, with_regime
from forecasting.toml_table import NAME, TomlTable, nearest, read_toml

NEXT_QUARTER = "next_quarter"
FIRST_PUBLISHED = "first_published"
PANELS = ("latest", FIRST_PUBLISHED)
MAX_HORIZON = 60
MAX_STEP = 24
WARM_UP = 12
"""Cutoffs before the first that only teach the calibration: as many as `tradecast forecast` learns from."""
METRICS = ("skill", *SCORES, *(f"skill_{one}" for one in SKILLS))
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+()-]{0,39}")
KEYS = (
    "name", "description", "data", "series", "covariates", "hold_covariates", "horizon", "cutoffs", "window", "panel",
    "forecasters", "refit", "calibrate", "warm_up", "paths", "seed", "coverages", "kind", "sort_by", "regimes",
)  # fmt: skip
CUTOFF_KEYS = ("series", "first", "step", "count", "last")


@dataclass(frozen=True)
class Cutoffs:
    """Past cutoffs of some series: a list, or from ``first`` every ``step`` months to ``last`` or ``count`` of them.

    Without either they go on to the last cutoff after which a month is published.
    """

    series: tuple[str, ...]
    listed: tuple[pd.Period, ...] = ()
    first: pd.Period | None = None
    step: int = 1
    count: int | None = None
    last: pd.Period | None = None

    def months(self, data_end: pd.Period) -> tuple[pd.Period, ...]:
        """The cutoffs, oldest first."""
        if self.first is None:
            return self.listed
        if self.count is not None:
            return tuple(self.first + self.step * at for at in range(self.count))
        return tuple(pd.period_range(self.first, self.last or data_end - 1, freq="M")[:: self.step])

    def before(self, count: int) -> tuple[pd.Period, ...]:
        """As many cutoffs before the first, at the same distance; of a list nobody knows the distance."""
        return tuple(self.first - self.step * at for at in range(count, 0, -1)) if self.first is not None else ()


@dataclass(frozen=True)
class Contender:
    """A forecaster under the name that it has in tables."""

    label: str
    forecaster: Forecaster

    def parts(self) -> tuple[Forecaster, ...]:
        """What is fitted: the forecaster, or the members of a pool."""
        return self.forecaster.parts() if isinstance(self.forecaster, Ensemble) else (self.forecaster,)

    def share(self, paths: int) -> int:
        """Paths that each part has to give."""
        return self.forecaster.share(paths) if isinstance(self.forecaster, Ensemble) else paths

    def combined(self, members: Sequence[Forecast], paths: int) -> Forecast:
        """The forecast of its parts' (one each) under its label; of a pool for the series that all parts have."""
        pool = self.forecaster
        made = pool.combine(members, paths) if isinstance(pool, Ensemble) else members[0]
        return replace(made, model=self.label)

    def settings(self) -> dict[str, Any]:
        """Every setting by name, as JSON can hold it."""
        return dict(json.loads(json.dumps(asdict(self.forecaster))))  # type: ignore[call-overload]


def parts_of(contenders: Sequence[Contender], paths: int) -> dict[Forecaster, tuple[int, ...]]:
    """What is fitted once for all contenders, and the numbers of paths that are wanted of it."""
    counts: dict[Forecaster, set[int]] = {}
    for contender in contenders:
        for part in contender.parts():
            counts.setdefault(part, set()).add(contender.share(paths))
    return {part: tuple(sorted(found)) for part, found in counts.items()}


@dataclass(frozen=True)
class Experiment:
    """What the file says, checked; ``text`` and ``parsed`` keep the file itself."""

    name: str
    cutoffs: tuple[Cutoffs, ...]
    contenders: tuple[Contender, ...]
    horizon: int | str = NEXT_QUARTER
    description: str = ""
    data: Path | None = None
    covariates: Path | None = None
    hold_covariates: bool = False
    window: int | None = None
    panel: str = "latest"
    refit: str = "every"
    calibrate: bool = False
    warm_up: int = 0
    paths: int = 1000
    seed: int = 0
    coverages: tuple[int, ...] = (80, 95)
    kind: str = "month"
    sort_by: tuple[str, ...] = ("skill",)
    regimes: Mapping[str, tuple[str | None, str | None]] = field(default_factory=lambda: REGIMES)
    text: str = field(default="", repr=False)
    parsed: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def last(self, cutoff: pd.Period) -> pd.Period:
        """The last month that is forecast from a cutoff."""
        return cutoff + self.horizon if isinstance(self.horizon, int) else next_full_quarter_end(cutoff)


def read_experiment(path: Path) -> Experiment:
    """The experiment of a file; whatever is wrong with it is one line that names file and key."""
    parsed, text = read_toml(path)
    return parse(parsed, path.name, path.parent, text)


def parse(parsed: Mapping[str, Any], file: str, folder: Path = Path(), text: str = "") -> Experiment:
    """The experiment of a parsed file; paths in it count from ``folder``."""
    table = TomlTable(file, "", parsed, KEYS)
    calibrate = table.flag("calibrate", False)
    read = Experiment(
        name=table.matching("name", NAME, Path(file).stem, "letters, digits, - _ and ."),
        description=table.text("description", ""),
        cutoffs=_cutoffs(table),
        contenders=_contenders(table),
        horizon=_horizon(table),
        data=_path(table, "data", folder),
        covariates=_path(table, "covariates", folder),
        hold_covariates=table.flag("hold_covariates", False),
        window=_window(table),
        panel=_panel(table),
        refit=_refit(table),
        calibrate=calibrate,
        warm_up=table.whole("warm_up", WARM_UP if calibrate else 0, 0, 60),
        paths=table.whole("paths", 1000, 100, 100_000),
        seed=table.whole("seed", 0, 0, 2**31 - 1),
        coverages=_coverages(table),
        kind=table.one_of("kind", KINDS, "month"),
        sort_by=_sort_by(table),
        regimes=_regimes(table),
        text=text,
        parsed=dict(parsed),
    )
    if read.warm_up and not calibrate:
        table.refuse("warm_up", "teaches the calibration: leave it out or set calibrate = true")
    return read


# --- Keys with a meaning of their own --------------------------------------------------------------------


def _cutoffs(table: TomlTable) -> tuple[Cutoffs, ...]:
    """A list of months, one table, or several tables with series of their own."""
    if "cutoffs" not in table.cells:
        table.refuse("cutoffs", 'is missing: write a table such as { first = "2015-02", step = 3 }')
    found = table.cells["cutoffs"]
    if isinstance(found, Mapping):
        found = [found]
    if not isinstance(found, list) or not found:
        table.refuse("cutoffs", f"is {found!r}: write a table with first and step, or a list of months")
    if all(isinstance(one, Mapping) for one in found):
        return tuple(_stepped(table, one, at) for at, one in enumerate(found, start=1))
    months = [table.month("cutoffs", one) for one in found]
    if len(set(months)) < len(months):
        table.refuse("cutoffs", f"names {next(str(one) for one in months if months.count(one) > 1)} twice")
    return (Cutoffs(_patterns(table, None), listed=tuple(sorted(months))),)


def _stepped(table: TomlTable, cells: Mapping[str, Any], at: int) -> Cutoffs:
    inner = TomlTable(table.file, f"cutoffs {at}, ", cells, CUTOFF_KEYS)
    if "first" not in cells:
        inner.refuse("first", 'is missing: name the first cutoff, such as "2015-02"')
    if "count" in cells and "last" in cells:
        inner.refuse("count", "and last say the same thing twice: keep one of them")
    first = inner.month("first", cells["first"])
    last = inner.month("last", cells["last"]) if "last" in cells else None
    if last is not None and last < first:
        inner.refuse("last", f"{last} lies before first, {first}: swap them")
    count = inner.whole("count", 1, 1, 600) if "count" in cells else None
    return Cutoffs(
        _patterns(table, inner), first=first, step=inner.whole("step", 1, 1, MAX_STEP), count=count, last=last
    )


def _patterns(table: TomlTable, inner: TomlTable | None) -> tuple[str, ...]:
    holder = inner if inner is not None and "series" in inner.cells else table
    found = holder.texts("series", ())
    if not found:
        holder.refuse("series", 'names no series: write ids or patterns, such as ["jp_ru.*.value"]')
    return found


def _contenders(table: TomlTable) -> tuple[Contender, ...]:
    found = table.cells.get("forecasters")
    if not isinstance(found, list) or not found or not all(isinstance(one, Mapping) for one in found):
        table.refuse("forecasters", 'needs at least one block: [[forecasters]] with model = "theta"')
    contenders = tuple(_contender(table.file, cells, at) for at, cells in enumerate(found, start=1))
    labels = [one.label for one in contenders]
    if twice := next((one for one in labels if labels.count(one) > 1), ""):
        table.refuse("forecasters", f"has two called {twice}: give each a label of its own")
    return contenders


def _contender(file: str, cells: Mapping[str, Any], at: int) -> Contender:
    where = f"forecasters {at}, "
    model = TomlTable(file, where, cells, tuple(cells)).one_of("model", tuple(MODELS))
    settings = {one.name: one for one in fields(type(forecaster(model)))}  # type: ignore[arg-type]
    table = TomlTable(file, where, cells, ("model", "label", *settings))
    given = {name: _setting(table, name, one) for name, one in settings.items() if name in cells}
    label = table.matching("label", LABEL, model, "at most 40 letters, digits, blanks and - _ . + ( )")
    try:
        made = Contender(label, forecaster(model, **given))
        made.parts()
    except (ModelError, ValueError, TypeError) as cause:
        raise DataError(f"{file}: forecasters {at}: {cause}") from cause
    return made


def _setting(table: TomlTable, name: str, one: Any) -> Any:
    """A setting of the kind that its default or its annotation has; TOML's lists become tuples, as settings are."""
    found = _frozen(table.cells[name])
    like = one.default if one.default is not MISSING else None
    if isinstance(like, tuple) and like:
        fits = isinstance(found, tuple) and bool(found) and all(_alike(cell, like[0]) for cell in found)
        wanted = f"a list of {_KINDS[type(like[0])]}"
    elif like is None:
        # An optional order such as (1, 1, 1): its annotation counts the numbers.
        count = str(one.type).count("int")
        fits = isinstance(found, tuple) and len(found) == count and all(_alike(cell, 0) for cell in found)
        wanted = f"a list of {count} whole numbers"
    else:
        fits, wanted = _alike(found, like), f"{_KINDS[type(like)]}, such as {json.dumps(like)}"
    if not fits:
        table.refuse(name, f"is {table.cells[name]!r}: give {wanted}")
    return float(found) if isinstance(like, float) else found


_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list",
}


def _alike(cell: Any, like: Any) -> bool:
    if isinstance(like, float):
        return isinstance(cell, (int, float)) and not isinstance(cell, bool)
    return type(cell) is type(like)


def _frozen(cell: Any) -> Any:
    return tuple(_frozen(one) for one in cell) if isinstance(cell, list) else cell


def _horizon(table: TomlTable) -> int | str:
    found = table.cells.get("horizon", NEXT_QUARTER)
    if found == NEXT_QUARTER:
        return NEXT_QUARTER
    if isinstance(found, str):
        table.refuse("horizon", f'is {found!r}: give months, 1 to {MAX_HORIZON}, or "{NEXT_QUARTER}"')
    return table.whole("horizon", 1, 1, MAX_HORIZON)


def _window(table: TomlTable) -> int | None:
    found = table.cells.get("window", "expanding")
    if isinstance(found, str) and found != "expanding":
        table.refuse("window", f'is {found!r}: write "expanding" or a number of months')
    return None if found == "expanding" else table.whole("window", 1, 13, 1200)


def _panel(table: TomlTable) -> str:
    found = table.one_of("panel", PANELS, "latest")
    if found == FIRST_PUBLISHED and "data" in table.cells:
        table.refuse("panel", 'is "first_published", but a file of your own holds no vintages: use panel = "latest"')
    return found


def _refit(table: TomlTable) -> str:
    """Only "every": parameters anew at each cutoff; what the models choose slowly, they choose each half-year."""
    found = table.text("refit", "every")
    if found != "every":
        table.refuse(
            "refit",
            f'is {found!r}: only "every" is there; parameters are estimated at every cutoff, while orders and trees'
            " already rest on data up to the last June or December",
        )
    return found


def _coverages(table: TomlTable) -> tuple[int, ...]:
    found = table.cells.get("coverages", [80, 95])
    if not isinstance(found, list) or not found or any(type(one) is not int or one not in COVERAGES for one in found):
        table.refuse("coverages", f"is {found!r}: choose from {', '.join(map(str, COVERAGES))}")
    return tuple(sorted(set(found)))


def _sort_by(table: TomlTable) -> tuple[str, ...]:
    found = table.texts("sort_by", ("skill",))
    for one in found:
        if one not in METRICS:
            table.refuse("sort_by", f"names {one!r}{nearest(one, METRICS)}: choose from {', '.join(METRICS)}")
    return found or ("skill",)


def _regimes(table: TomlTable) -> Mapping[str, tuple[str | None, str | None]]:
    """Names and their first and last months; an empty text leaves an end open."""
    found = table.cells.get("regimes")
    if found is None:
        return REGIMES
    if not isinstance(found, Mapping) or not found:
        table.refuse("regimes", 'is no table: write such as shock = ["2022-02", "2023-12"]')
    spans: dict[str, tuple[str | None, str | None]] = {}
    for name, span in found.items():
        if not isinstance(span, list) or len(span) != 2:
            table.refuse("regimes", f'{name} is {span!r}: give [first, last], with "" for an open end')
        first, last = (None if one == "" else str(table.month(f"regimes {name}", one)) for one in span)
        spans[name] = (first, last)
    try:
        with_regime(pd.DataFrame({"period": ["2000-01"]}), spans)
    except DataError as cause:
        raise DataError(f"{table.file}: {cause}") from cause
    return spans


def _path(table: TomlTable, key: str, folder: Path) -> Path | None:
    found = table.text(key, "")
    if not found:
        return None
    # The file is kept beside the results and sent to MLflow, where the folders of one machine have no place.
    if Path(found).is_absolute() or found.startswith("~"):
        table.refuse(key, f"is {found!r}: write it relative to the experiment file")
    if not (folder / found).is_file():
        table.refuse(key, f"names {found!r}, which is not there: paths count from the experiment file")
    return folder / found
