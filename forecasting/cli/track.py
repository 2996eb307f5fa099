"""`tradecast ui` and `tradecast track sync | status | relocate`."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from forecasting.errors import DataError, TrackingError

app = typer.Typer(help="Backtests in MLflow: send what is missing, see what is there.", no_args_is_help=True)

UriOption = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow store; none: MLFLOW_TRACKING_URI, else mlflow.db in the project."),
]


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    tracking_uri: UriOption = None,
) -> None:
    """Open MLflow's page on this machine only; Ctrl-C stops it."""
    from forecasting import tracking, tracking_store, tracking_view

    uri = tracking_store.tracking_uri(tracking_uri)
    if tracking_store.is_server(uri):
        tracking_store.check_reachable(uri)
        print(f"A server is running already: {uri}")
        return
    found = tracking_store.experiments(uri)
    _check_free(port)
    for name, number in found.items():
        if number == "0":  # MLflow's own empty "Default"
            continue
        print(f"\n{name}")
        for title, link in tracking_view.links(
            f"http://127.0.0.1:{port}", number, name.endswith(tracking.SERIES)
        ).items():
            print(f"  {title:<12} {link}")
    print("\nReady in about half a minute; Ctrl-C stops it.", flush=True)
    command, surroundings = tracking.server_command(uri, port)
    os.execve(command[0], command, {**os.environ, **surroundings})


@app.command("sync")
def sync(
    tracking_uri: UriOption = None,
    per_series_runs: Annotated[
        bool, typer.Option("--per-series-runs", help="Also a run for each model and series, in NAME.series.")
    ] = False,
) -> None:
    """Send to MLflow what it lacks of the backtests on disk, once."""
    from forecasting import tracking

    found = tracking.sync(_folder(), tracking_uri, per_series_runs)
    for one in found:
        print(f"{one.name}: {one.sent} runs sent, {one.present} were there.")
        for title, link in one.links.items():
            print(f"  {title:<12} {link}")
    _end(bool(found))


@app.command("status")
def status(tracking_uri: UriOption = None) -> None:
    """Which backtests on disk are in MLflow."""
    from forecasting import tracking

    found = tracking.status(_folder(), tracking_uri)
    for name, models, runs in found:
        print(f"{name}: {runs} of {models} models in MLflow{'' if runs == models else ': tradecast track sync'}.")
    _end(bool(found))


@app.command("relocate")
def relocate() -> None:
    """Mend the paths of artifacts after the project's folder was moved or renamed."""
    from forecasting import tracking_store

    root = tracking_store.project()
    mended = tracking_store.relocate(root, f"sqlite:///{root / 'mlflow.db'}")
    print(f"{mended} paths mended." if mended else "Nothing to mend: every path points into this folder or exists.")


def _end(any_found: bool) -> None:
    """Say that there is nothing; exit code 2 where something cannot be read."""
    from forecasting import tracking

    if wrong := tracking.damaged(_folder()):
        raise DataError(" ".join(wrong))
    if not any_found:
        print(f"No finished backtest in {_shown(_folder())}: run tradecast backtest.")


def _folder() -> Path:
    from forecasting import store

    return store.data_folder() / "backtests"


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if sys.platform != "win32" else 0)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise TrackingError(f"Port {port} is taken ({error.strerror}): choose another with --port.") from error
