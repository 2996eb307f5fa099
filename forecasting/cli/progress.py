"""A bar on a terminal, plain lines in a log, always on standard error."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

SECONDS_BETWEEN_LINES = 15.0


class Bar:
    """``with`` one: a bar with one task at a time on a terminal; in a log, lines that are not too many."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.task: Any = None
        self.said = time.monotonic()

    def columns(self) -> tuple[Any, ...]:
        """What rich shows of a task, from left to right."""
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

        return (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"),
            TimeRemainingColumn(),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def begin(self, what: str, total: int | None, **fields: str) -> None:
        """Show this task instead of the one before."""
        if not sys.stderr.isatty():
            return
        if self.bar is None:
            from rich.console import Console
            from rich.progress import Progress

            self.bar = Progress(*self.columns(), console=Console(stderr=True), transient=True)
            self.bar.start()
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task = self.bar.add_task(what, total=total, **fields)

    def show(self, done: int, total: int | None, line: str, **fields: str) -> None:
        """Move the bar; in a log print the line, if the last one is long ago."""
        if self.bar:
            self.bar.update(self.task, completed=done, total=total, **fields)
        elif time.monotonic() - self.said > SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            print(line, file=sys.stderr)


class Watched(Bar):
    """``with Watched("Fitting") as progress: work(progress)``; progress is called with (done, total)."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def __call__(self, done: int, total: int) -> None:
        if self.task is None:
            self.begin(self.what, total)
        self.show(done, total, f"{self.what}: {done} of {total}")


class Rate(Bar):
    """Stage after stage with rate, remaining time and failures: called with (stage, done, total, failed)."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = ""
        self.began, self.from_ = self.said, 0

    def columns(self) -> tuple[Any, ...]:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

        return (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} of {task.total:,}"),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[failed]}"),
        )  # fmt: skip

    def __call__(self, stage: str, done: int, total: int, failed: int) -> None:
        if stage != self.stage:
            self.stage, self.began, self.from_ = stage, time.monotonic(), done
            self.begin(stage, total, rate="", failed="")
        rate = (done - self.from_) / max(time.monotonic() - self.began, 1e-9)
        unit = "series/s" if stage == "Forecasting" else "/s"
        told = f"{rate:,.1f} {unit}" if done > self.from_ else ""
        left = f"{(total - done) / rate:,.0f} s left" if rate > 0 else ""
        lacking = f"{failed:,} without a forecast" if failed else ""
        parts = filter(None, (f"{done:,} of {total:,}", told, left, lacking))
        self.show(done, total, f"{stage}: {', '.join(parts)}", rate=told, failed=lacking)
