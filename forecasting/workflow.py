"""The journeys: from figures to a forecast that can be read, checked and repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting import clock, notebook, store, vintage_store, vintages
from forecasting.catalogue import Catalogue
from forecasting.checks import check_observations
from forecasting.coherence import coherent
from forecasting.compute import Progress, silent
from forecasting.covariates import with_covariates
from forecasting.errors import DataError
from forecasting.experiment import side_by_side
from forecasting.facts import check_facts
from forecasting.forecast import Forecast
from forecasting.models import forecaster
from forecasting.observations import to_panel, wide, with_derived
from forecasting.panel import Panel
from forecasting.periods import Totals, next_full_quarter_end
from forecasting.pipeline import Made, Run
from forecasting.plan import Plan, plan
from forecasting.plot_forecast import forecast_figure
from forecasting.plot_layout import image
from forecasting.reconstruct import stated_spread
from forecasting.summary import in_words
from forecasting.tables import all_totals, closure, forecast_table
from forecasting.toml_table import MONTH
from forecasting.units import conversion, scale_of

DEFAULT_MODEL = "ensemble"
USES_COVARIATES = ("sarima", "boosting", "boosting_yearly", "ensemble")
MAX_HORIZON = 60
REVISED_PANELS = 8
MOST_RAGGED = 12
"""Months that a series may lag behind the others and still be forecast with them."""
SHOWN = 4
"""Series that an outlook draws in a notebook."""
NAMED = 3
"""Series that a remark names before it only counts."""
OFFICIAL = "official figures"
SOURCE_LINE = "Source: Trade Statistics of Japan, Ministry of Finance; processed."


@dataclass(frozen=True)
class Dataset:
    """Figures and what they are: observations (long), the panel made of them, and the catalogue."""

    observations: pd.DataFrame
    panel: Panel
    catalogue: Catalogue
    source: str
    embedded: bool
    remarks: tuple[str, ...] = ()
    attributions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def source_line(self) -> str:
        """What to print under every number."""
        return self.source_line_of(self.attributions)

    def source_line_of(self, series: Iterable[str]) -> str:
        """What to print under numbers that rest on these series: every publisher's own line, once."""
        if not self.embedded:
            return f"Source: {self.source}, as given."
        lines = dict.fromkeys(line for one in series for line in self.attributions.get(one, ()))
        return " ".join(lines) or SOURCE_LINE

    def _repr_html_(self) -> str:
        """For notebooks: what is known of each series, with titles and units."""
        months = self.observations.dropna(subset="value").groupby("series", sort=False)["month"]
        rows = (
            (entry.title, entry.id, entry.unit, of.min(), of.max(), len(of))
            for entry, of in ((self.catalogue[str(one)], of) for one, of in months if one in self.catalogue)
        )
        return notebook.block(
            f"{self.source.capitalize()} until {self.panel.cutoff}, {months.ngroups} series",
            notebook.table(("series", "id", "unit", "first", "last", "months"), rows, words=5),
            note=self.source_line,
        )


@dataclass(frozen=True)
class Request:
    """What is asked of a forecast; ``settings`` are the model's own, ``only`` keeps these of the series asked for.

    Stored series of ``besides`` are modelled too, but not shown.
    """

    series: tuple[str, ...] = ()
    horizon: int | None = None
    model: str = DEFAULT_MODEL
    paths: int = 2000
    seed: int = 0
    as_of: str | None = None
    as_of_day: str | None = None
    revision_noise: bool = False
    data: Path | None = None
    covariates: Path | None = None
    hold_covariates: bool = False
    working_days: bool = False
    growth: bool = False
    workers: int = 1
    cache: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: frozenset[str] | None = None
    besides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outlook:
    """A forecast and all that is needed to read it."""

    table: pd.DataFrame
    forecast: Forecast
    totals: dict[str, Totals]
    dataset: Dataset
    history: pd.DataFrame
    series: tuple[str, ...]
    described: pd.DataFrame
    vintage: str
    remarks: tuple[str, ...] = ()
    cached: bool = field(default=False, compare=False)

    @property
    def source_line(self) -> str:
        """What to print under every number."""
        return self.dataset.source_line_of([*self.forecast.series, *self.resting])

    @property
    def stages(self) -> pd.DataFrame:
        """How final each published value of the history is (months × series)."""
        return wide(self.dataset.observations, "stage").loc[: self.history.index[-1]]

    def _repr_html_(self) -> str:
        """For notebooks: quarters and fiscal years in a table, and the chart of a few series."""
        few = self.table[self.table["series"].isin(self.series[:SHOWN]) & (self.table["unit"] != "pct_yoy")]
        drawn = forecast_figure(self.history, self.stages, few, self.dataset.catalogue, self.source_line)
        return notebook.block(
            f"Forecast by {self.forecast.model} from figures published until {max(self.forecast.cutoff)}",
            notebook.table(("series", "period", "median", "80 % interval"), self._totals(), words=2),
            notebook.picture(image(drawn), "History and forecast of " + ", ".join(self.series[:SHOWN])),
            note=" ".join((*self.remarks, self.source_line)),
        )

    def _totals(self) -> Iterator[tuple[str, ...]]:
        """Quarters and fiscal years as people read them; months where none ends within the horizon."""
        levels = self.table[self.table["unit"] != "pct_yoy"]
        totals = levels[levels["kind"] != "month"]
        for row in (totals if len(totals) else levels).to_dict("records"):
            scale = scale_of(row["unit"], [row["q50"]])
            title = self.dataset.catalogue[row["series"]].title
            yield (
                title,
                row["period"],
                scale.text(row["q50"]),
                f"{scale.number(row['q10'])} to {scale.number(row['q90'])}",
            )

    @property
    def resting(self) -> tuple[str, ...]:
        """The modelled series that the shown ones rest on."""
        return (*closure(self.series, self.dataset.catalogue), *self.series)


def load(data: Path | None = None, as_of_day: str | None = None) -> Dataset:
    """The official figures, as they stood on a day or now; or a user's own file (official ids keep their meaning).

    Official are the embedded figures and what updates have added since.
    """
    folder = store.data_folder()
    if data is None:
        if as_of_day is not None or vintage_store.verified(folder):
            return official().on(None if as_of_day is None else day_of(as_of_day))
        catalogue, observations = store.read_catalogue(folder), store.read_stored_observations(folder)
        _refuse_damage(observations, catalogue)
        return Dataset(observations, to_panel(observations), catalogue, OFFICIAL, embedded=True)
    if as_of_day is not None:
        raise DataError("--as-of-day needs figures of every day, and a file of your own has none: use --as-of MONTH.")
    from forecasting.sources.user_file import read_observations

    catalogue = store.read_catalogue(folder)
    read = read_observations(data)
    units = dict(zip(read.observations["series"], read.observations["unit"], strict=True))
    known = catalogue if any(one in catalogue for one in units) else Catalogue(())
    whole = known.with_plain(units)
    if not set(closure([one for one in whole if whole[one].headline], whole)) <= set(units):
        # A file with a few official ids is meant as it is: all of it is shown.
        whole = whole.without_headline()
    # A file that names no unit takes the catalogue's for series that it knows.
    named = read.observations["unit"].where(
        read.observations["unit"] != "", read.observations["series"].map(lambda one: whole[one].unit)
    )
    observations, said = _in_catalogue_units(read.observations.assign(unit=named), whole, data.name)
    remarks = (*read.remarks, *said)
    return Dataset(observations, to_panel(observations), whole, data.name, embedded=False, remarks=remarks)


def _in_catalogue_units(
    observations: pd.DataFrame, catalogue: Catalogue, name: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows of a user's file in the units of the catalogue, and what was converted."""
    factors, said = {}, []
    given = observations.drop_duplicates("series")
    for one, unit in zip(given["series"], given["unit"], strict=True):
        wanted = catalogue[one].unit
        try:
            factors[one] = conversion(unit, wanted)
        except DataError as error:
            raise DataError(
                f"{name}: {one} is in {unit}, but the catalogue has it in {wanted}: convert the values, or give the"
                " series a name of your own."
            ) from error
        if unit != wanted:
            said.append(f"{one} was converted from {unit} to {wanted}")
    factor = observations["series"].map(factors)
    converted = observations.assign(
        value=observations["value"] * factor,
        std_error=observations["std_error"] * factor,
        unit=observations["series"].map({one: catalogue[one].unit for one in factors}),
    )
    return converted, tuple(said)


def day_of(text: str, option: str = "--as-of-day") -> date:
    """A day written as 2026-03-01, none of the future."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as cause:
        raise DataError(f"{option} {text!r} is not a day: write it as 2026-03-01.") from cause
    if day > clock.today():
        raise DataError(f"{option} {day} lies in the future: take a day until {clock.today()}, today (UTC).")
    return day


@dataclass(frozen=True)
class Official:
    """The official figures of every day: the carried records and the store's; ``order`` is that of the series."""

    folder: Path
    catalogue: Catalogue
    carried: pd.DataFrame
    order: tuple[str, ...]

    def on(self, day: date | None) -> Dataset:
        """The figures as they stood on this day (None: now)."""
        records = vintage_store.known_on(self.folder, day, self.catalogue, self.carried)
        if records.empty:
            raise DataError(f"--as-of-day {day}: nothing was known yet: take a later day.")
        observations = vintages.observations_of(records, self.catalogue)
        places = observations["series"].map({one: at for at, one in enumerate(self.order)})
        observations = observations.assign(at=places).sort_values(["at", "month"], kind="stable", ignore_index=True)
        observations = observations.drop(columns="at")
        _refuse_damage(observations, self.catalogue, whole=day is None)
        panel, left = self._panel(observations)
        said = () if day is None else tuple(vintages.as_known(records, day))
        remarks = (*said, *left, *self._unlisted())
        return Dataset(observations, panel, self.catalogue, OFFICIAL, True, remarks, self._attributions(records))

    def spreads(self, series: Sequence[str], day: date | None) -> dict[tuple[str, str], float]:
        """Spread of revisions (log) by series and provisional stage, of the releases known on this day."""
        carried = self.carried[self.carried["series"].isin(series)]
        records = pd.concat([carried, vintage_store.history(self.folder, series)], ignore_index=True)
        if day is not None:
            records = records[vintages.known_day(records) <= pd.Timestamp(day)]
        return vintages.spreads(records, self.catalogue, vintage_store.read_precedence(self.folder))

    def _unlisted(self) -> list[str]:
        """Which kept series lost their line in the catalogue."""
        left = vintage_store.unlisted(self.folder, self.catalogue)
        if not left:
            return []
        named = ", ".join(left[:NAMED]) + (f" and {len(left) - NAMED:,} more" if left[NAMED:] else "")
        lines = "their lines" if left[1:] else "its line"
        return [f"Left out, kept but not listed: {named}; put {lines} back into data/catalogue.csv."]

    def _panel(self, observations: pd.DataFrame) -> tuple[Panel, list[str]]:
        """Trade flows up to the last month of the core, and what was left out: flows that have long ended.

        Prices, rates and visitors come earlier than trade and must not move its cutoff: they serve as covariates.
        """
        from forecasting.sources.base import Flow

        carried = set(self.carried["series"])
        flows = {one for one in observations["series"].unique() if one in carried or Flow.of(self.catalogue[one])}
        panel = to_panel(observations[observations["series"].isin(flows)])
        core = [one for one in panel.series if self.catalogue[one].core]
        panel = panel.until(panel.select(core or panel.series).cutoff)
        last = panel.last_known()
        ended = [one for one in panel.series if (panel.cutoff - last[one]).n > MOST_RAGGED and one not in carried]
        said = [f"Not forecast, no figure for {MOST_RAGGED} months: {', '.join(ended)}."] if ended else []
        return Panel(panel.y.drop(columns=ended)), said

    def _attributions(self, records: pd.DataFrame) -> dict[str, tuple[str, ...]]:
        given = records.assign(ours=records["raw"].isin(set(self.carried["raw"])))
        lines = {
            (name, ours): SOURCE_LINE if ours else vintage_store.attribution(name)
            for name, ours in dict.fromkeys(zip(given["source"], given["ours"], strict=True))
        }
        found: dict[str, dict[str, None]] = {}
        for row in given[["series", "source", "ours"]].drop_duplicates().itertuples(index=False):
            found.setdefault(str(row.series), {})[lines[row.source, row.ours]] = None
        return {one: tuple(of) for one, of in found.items()}


def official() -> Official:
    """The embedded figures as the oldest records, and the store of the data folder."""
    folder = store.data_folder()
    observations = store.read_stored_observations(folder)
    catalogue = vintage_store.described(folder, store.read_catalogue(folder))
    order = tuple(dict.fromkeys([*observations["series"], *catalogue]))
    return Official(folder, catalogue, vintages.carried(observations), order)


def _refuse_damage(observations: pd.DataFrame, catalogue: Catalogue, whole: bool = True) -> None:
    """Official figures that cannot be what the catalogue says are not forecast; `data check` looks closer."""
    known = observations[observations["series"].isin(list(catalogue))]
    units = known["series"].map({one: catalogue[one].unit for one in catalogue})
    advice = "restore data/observations.csv, or see `tradecast data check --data` of a copy."
    for wrong, what in (
        (known["value"] < 0, "is below zero"),
        (known["unit"] != units, "is in another unit than the catalogue's"),
    ):
        if wrong.any():
            row = known[wrong].iloc[0]
            raise DataError(f"{row['series']} {row['month']}: {row['value']:g} {row['unit']} {what}: {advice}")
    there = set(observations["series"])
    for one in catalogue if whole else ():
        if catalogue[one].headline and not set(closure([one], catalogue)) <= there:
            raise DataError(f"The official figures hold no value of {one}, a headline series: {advice}")


@dataclass(frozen=True)
class Cube:
    """Reconciled paths of all that was modelled, before anything is read off them.

    ``y`` (T × n) is what was published; ``pieces`` say what the paths rest on, ``runs`` what made which series.
    """

    forecast: Forecast
    y: pd.DataFrame
    shown: tuple[str, ...]
    dataset: Dataset
    vintage: str
    runs: tuple[tuple[Run, tuple[str, ...]], ...]
    pieces: tuple[Made, ...] = ()
    remarks: tuple[str, ...] = ()


def forecast(request: Request, progress: Progress = silent, dataset: Dataset | None = None) -> Outlook:
    """Fit, forecast, calibrate, couple, tie, reconcile: the forecast of what was asked for, from these data."""
    made = cube(request, progress, dataset)
    return outlook(made, made.forecast, request.growth)


def cube(request: Request, progress: Progress = silent, dataset: Dataset | None = None) -> Cube:
    """The paths of what was asked for and of all that they must add up with."""
    model = forecaster(request.model, **request.settings)
    dataset = dataset or load(request.data, request.as_of_day)
    seen = as_of(dataset.panel, request.as_of)
    horizon = checked_horizon(request.horizon)
    last = seen.cutoff + horizon if horizon else next_full_quarter_end(seen.cutoff)
    seen, said = _with_covariates(seen, request, last)
    revised, noise = _revised(seen, dataset, request) if request.revision_noise else ([], [])
    chosen, *others = (
        plan(one, dataset.catalogue, request.series, model.min_months, request.model, request.only, request.besides)
        for one in (seen, *revised)
    )
    run = Run(
        model, Panel(chosen.learned, seen.x), last, request.paths, request.seed, request.hold_covariates,
        request.workers, request.cache, progress, tuple(Panel(one.learned, seen.x) for one in others),
    )  # fmt: skip
    core = run(chosen.modelled(chosen.core)) if chosen.core else None
    families = [run(chosen.modelled(family)) for family in chosen.families]
    below = side_by_side([one.forecast for one in families]) if families else None
    return Cube(
        coherent(core.forecast if core else None, below, chosen),
        chosen.y,
        chosen.shown,
        dataset,
        seen.digest()[:12],
        tuple((run, of) for of in (chosen.core, *chosen.families) if of),
        tuple(one for one in (core, *families) if one),
        (*dataset.remarks, *said, *noise, *chosen.remarks, *_beyond_history(chosen, (last - seen.cutoff).n)),
    )


def _revised(seen: Panel, dataset: Dataset, request: Request) -> tuple[list[Panel], list[str]]:
    """Panels whose uncertain months are drawn anew, and what to say: provisional months as revised by what was
    measured up to the day, estimated ones by their standard error."""
    if not dataset.embedded:
        raise DataError("--revision-noise needs earlier releases of figures, and a file of your own has none: omit it.")
    day = None if request.as_of_day is None else day_of(request.as_of_day)
    spread = official().spreads(seen.series, day)
    provisional = vintages.provisional_spread(dataset.observations, seen.y, spread)
    estimated = stated_spread(dataset.observations, seen.y)
    said = [*_how_uncertain(provisional, "provisional figures vary by what such figures were revised")]
    if not provisional:
        fetch = "tradecast data update --since MONTH fetches earlier releases."
        said = [f"No revisions of provisional figures have been measured yet, so that they do not vary: {fetch}"]
    said += _how_uncertain(estimated, "estimated figures vary by their standard error")
    cells = {**provisional, **estimated}
    drawn = vintages.drawn(seen.y, cells, request.seed, REVISED_PANELS) if cells else []
    return [Panel(one, seen.x) for one in drawn], said


def _how_uncertain(cells: Mapping[tuple[str, pd.Period], float], what: str) -> list[str]:
    low, high = (100 * found(cells.values(), default=0.0) for found in (min, max))
    return [f"{len(cells)} {what} (± {low:.2g} to {high:.2g} %)."] if cells else []


def _beyond_history(chosen: Plan, months: int) -> list[str]:
    """A warning where more is forecast than was ever seen."""
    known = chosen.y.notna().sum()
    short = [one for one in chosen.shown if known.get(one, months) < months]
    said = f"Of {', '.join(short)} fewer months are known than the {months} that are forecast: read them as guesses."
    return [said] if short else []


def outlook(cube: Cube, paths: Forecast, growth: bool = False) -> Outlook:
    """What is shown of a cube, read off these paths (its own, or the same under a scenario)."""
    catalogue = cube.dataset.catalogue
    kinds = all_totals(paths, cube.y, catalogue, cube.shown)
    resting = (*closure(cube.shown, catalogue), *cube.shown)
    rests_on = dict.fromkeys(line for one in cube.pieces if (line := one.say(tuple(dict.fromkeys(resting)))))
    return Outlook(
        table=forecast_table(paths, kinds, catalogue, growth=growth),
        forecast=paths,
        totals=kinds,
        dataset=cube.dataset,
        history=with_derived(cube.y, catalogue, cube.shown)[list(cube.shown)],
        series=cube.shown,
        described=pd.concat([one.described for one in cube.pieces], ignore_index=True),
        vintage=cube.vintage,
        remarks=(*cube.remarks, *rests_on, *dict.fromkeys(one.remark for one in cube.pieces if one.remark)),
        cached=all(one.cached for one in cube.pieces),
    )


def as_of(panel: Panel, text: str | None) -> Panel:
    """What was published until this month (none: all)."""
    if text is None:
        return panel
    month = month_of(text)
    if month > panel.cutoff:
        raise DataError(f"--as-of {month} lies after the last published month, {panel.cutoff}: leave it out.")
    return panel.until(month)


def month_of(text: str) -> pd.Period:
    """The month that --as-of names."""
    if not MONTH.fullmatch(text):
        raise DataError(f"--as-of {text!r} is not a month: write it as 2026-05.")
    return pd.Period(text, freq="M")


def checked_horizon(horizon: int | None) -> int | None:
    """The --horizon that was asked for, if it is one; none: to the end of the next quarter."""
    if horizon is not None and not 1 <= horizon <= MAX_HORIZON:
        raise DataError(f"--horizon {horizon}: give 1 to {MAX_HORIZON} months.")
    return horizon


def _with_covariates(panel: Panel, request: Request, last: pd.Period) -> tuple[Panel, tuple[str, ...]]:
    """The panel with the covariates that were asked for, and what is assumed of them."""
    if not (request.covariates or request.working_days):
        return panel, ()
    if request.model not in USES_COVARIATES:
        raise DataError(f"{request.model} uses no covariates: choose --model {', '.join(USES_COVARIATES)}.")
    tables: list[pd.DataFrame] = []
    said: tuple[str, ...] = ()
    name = "working days"
    if request.working_days:
        from forecasting.calendar import working_days

        tables.append(working_days(pd.period_range(panel.months[0], last, freq="M")).rename("working_days").to_frame())
    if request.covariates:
        from forecasting.sources.user_file import read_covariates

        table, remarks = read_covariates(request.covariates)
        name = request.covariates.name
        tables.append(table.loc[: panel.cutoff] if request.as_of and request.hold_covariates else table)
        said = remarks
    panel, assumed = with_covariates(panel, pd.concat(tables, axis=1), last, request.hold_covariates, name)
    return panel, (*said, *assumed)


def rows_of(dataset: Dataset, series: str) -> pd.DataFrame:
    """Observations of one series (long); a derived one is computed, its stage is that of its terms."""
    stored = dataset.observations[dataset.observations["series"] == series]
    entry = dataset.catalogue[series]
    if len(stored):
        return stored.reset_index(drop=True)
    y = with_derived(dataset.panel.y, dataset.catalogue, [series])[series].dropna()
    terms = dataset.observations[dataset.observations["series"].isin(closure([series], dataset.catalogue))]
    stages = terms.groupby("month")["stage"].agg(lambda of: " and ".join(dict.fromkeys(of)))
    rows = pd.DataFrame({"series": series, "month": y.index, "value": y.to_numpy(), "unit": entry.unit})
    return rows.assign(
        stage=stages.reindex(y.index).to_numpy(), std_error=np.nan, source=f"computed: {in_words(entry)}"
    )


@dataclass(frozen=True)
class Checked:
    """Findings on the figures and, for the official ones, verdicts on published facts."""

    findings: pd.DataFrame
    facts: pd.DataFrame | None
    remarks: tuple[str, ...] = ()


def check(data: Path | None = None) -> Checked:
    """Schema, gaps, slips and identities of the figures; published facts held against the official ones."""
    dataset = load(data)
    findings = check_observations(dataset.observations, dataset.catalogue)
    if data is not None:
        return Checked(findings, None, dataset.remarks)
    held = set(dataset.panel.series)
    known = [one for one in dataset.catalogue if set(closure([one], dataset.catalogue)) <= held]
    y = with_derived(dataset.panel.y, dataset.catalogue, known)
    facts = store.read_facts(store.data_folder())
    verdicts = check_facts(facts, y, dataset.catalogue, wide(dataset.observations, "stage"))
    return Checked(findings, verdicts, dataset.remarks)
