"""Every error that is the user's to mend, in one place.

ForecastingError            one line, exit code 2
├── CatalogueError          a series or a pattern that does not exist
├── DataError               a table that cannot be what it claims to be
│   └── SourceError         a publisher that cannot be reached, or answers something else
│       └── UnreachableError  a host to which no connection could be opened at all
├── ModelError              a model that cannot fit these data, by its name
├── TrackingError           a tracking store that cannot be reached or used
└── ComputeError            workers or a cluster that cannot be reached or used, or that lost a task
"""

LONGEST = 1000


class ForecastingError(Exception):
    """What is wrong, what was found, what to do: one line of at most LONGEST characters, all printable."""

    def __str__(self) -> str:
        line = " ".join(super().__str__().split())
        if len(line) > LONGEST:  # what to do stands at the end
            line = f"{line[: LONGEST - 301]}…{line[-300:]}"
        return "".join(one if one.isprintable() else "\ufffd" for one in line)


class CatalogueError(ForecastingError):
    """A series, pattern or formula that the catalogue does not know."""


class DataError(ForecastingError):
    """A table that cannot be what it claims to be."""


class SourceError(DataError):
    """A publisher that cannot be reached or answers something else; names the address, without any key in it."""


class UnreachableError(SourceError):
    """A host to which no connection could be opened: unknown name, refused, no route."""


class ModelError(ForecastingError):
    """A model that cannot fit or forecast these data; the message begins with its name."""


class TrackingError(ForecastingError):
    """A tracking store that cannot be reached or used; the results stay on disk."""


class ComputeError(ForecastingError):
    """Workers or a cluster that cannot be reached or used, or that lost a task which has to be there."""
