"""Options that several commands share, and the request that they make together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecasting.errors import DataError

if TYPE_CHECKING:
    from forecasting.workflow import Request

COVERAGES = (50, 80, 90, 95)
TABLE_ENDINGS = (".csv", ".json", ".parquet", ".xlsx")
CHART_ENDINGS = (".png", ".svg")

MODELS = "naive, seasonal_naive, theta, ets, sarima, boosting or ensemble"

SeriesOption = Annotated[
    list[str] | None, typer.Option("--series", help="Ids or shell patterns to show, again for more; none: headline.")
]
Horizon = Annotated[int | None, typer.Option(help="Months ahead; none: as far as it is needed.")]
Model = Annotated[str | None, typer.Option(help=f"{MODELS}; none: the champion, else ensemble.")]
Paths = Annotated[int, typer.Option(help="Possible futures to draw.")]
Seed = Annotated[int, typer.Option(help="Same seed, same numbers.")]
AsOf = Annotated[str | None, typer.Option(help="Hide everything after this month, as 2026-05.")]
AsOfDay = Annotated[
    str | None, typer.Option(help="Forecast from the figures as they stood on this day, as 2026-03-01.")
]
RevisionNoise = Annotated[
    bool,
    typer.Option(
        "--revision-noise", help="Let provisional and estimated months vary by what is known of their errors."
    ),
]
Data = Annotated[Path | None, typer.Option(help="Your own CSV, Parquet or Excel file instead of the official figures.")]
DataOrPanel = Annotated[
    str | None,
    typer.Option("--data", help="Your own CSV, Parquet or Excel file, or a folder or URL of partitioned Parquet."),
]
OutOrFolder = Annotated[
    str | None,
    typer.Option(
        "--out", help="File ending in .csv, .json, .parquet or .xlsx; - for csv on standard output; a folder or URL."
    ),
]
Cluster = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler that runs partitioned panels, as tcp://host:8786.")
]
MemoryLimit = Annotated[str | None, typer.Option(help="What a worker of a partitioned panel may take; none: 1GiB.")]
TimeLimit = Annotated[
    float | None, typer.Option(help="Seconds that a model may take for one series of a partitioned panel; none: 60.")
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Stop a partitioned panel at the first series that fails; else go on.")
]
Covariates = Annotated[Path | None, typer.Option(help="File of covariates for sarima and boosting.")]
HoldCovariates = Annotated[bool, typer.Option(help="Assume covariates stay at their last value.")]
WorkingDays = Annotated[bool, typer.Option(help="Use Japan's working days a month as a covariate.")]
Workers = Annotated[int, typer.Option(help="Processes; 0: one a core. Never changes a number.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Compute everything again.")]
Coverage = Annotated[list[int] | None, typer.Option(help="Percent inside each interval shown: 50, 80, 90, 95.")]
Out = Annotated[
    str | None, typer.Option(help="File ending in .csv, .json, .parquet or .xlsx; - for csv on standard output.")
]
Plot = Annotated[Path | None, typer.Option(help="Chart file ending in .png or .svg.")]
Spillover = Annotated[
    bool, typer.Option("--spillover", help="Let other series follow, as their past forecast errors did.")
]


@dataclass(frozen=True)
class Asked:
    """What the shared options say, checked."""

    series: tuple[str, ...] = ()
    horizon: int | None = None
    paths: int = 2000
    seed: int = 0
    as_of: str | None = None
    data: Path | None = None
    workers: int = 0
    cache: bool = True
    as_of_day: str | None = None
    revision_noise: bool = False

    def __post_init__(self) -> None:
        check_counts(self.paths, self.workers)

    def request(self, **more: Any) -> Request:
        from forecasting.compute import default_workers
        from forecasting.workflow import Request

        return Request(
            series=self.series, horizon=self.horizon, paths=self.paths, seed=self.seed, as_of=self.as_of,
            data=self.data, workers=self.workers or default_workers(), cache=self.cache, as_of_day=self.as_of_day,
            revision_noise=self.revision_noise, **more,
        )  # fmt: skip


def coverages(coverage: list[int] | None) -> tuple[int, ...]:
    """The intervals to show."""
    shown = tuple(dict.fromkeys(coverage or (80, 95)))
    for one in shown:
        if one not in COVERAGES:
            raise DataError(f"--coverage {one}: choose from {', '.join(map(str, COVERAGES))}.")
    return shown


def check_counts(paths: int, workers: int) -> None:
    """Refuse what cannot be drawn or run."""
    if not 100 <= paths <= 100_000:
        raise DataError(f"--paths {paths}: give 100 to 100000; fewer cannot show a 95 % interval.")
    if workers < 0:
        raise DataError(f"--workers {workers}: give 0 (one a core) or more.")


def check_endings(out: str | None, plot: Path | None, **others: Path | None) -> None:
    """Refuse before minutes of fitting what could not be written after it."""
    wanted = [
        ("--out", Path(out) if out is not None and out != "-" else None, TABLE_ENDINGS),
        ("--plot", plot, CHART_ENDINGS),
    ]
    wanted += [(f"--{name}", path, TABLE_ENDINGS) for name, path in others.items()]
    for option, path, endings in wanted:
        if path is None:
            continue
        if path.is_dir():
            raise DataError(f"{option} {path or '(empty)'}: this is a folder; name a file in it.")
        if path.suffix.lower() not in endings:
            raise DataError(f"{option} {path}: end the name in {', '.join(endings)}.")
        if not path.absolute().parent.is_dir():
            raise DataError(f"{option} {path}: the folder {path.parent} does not exist; make it first.")
