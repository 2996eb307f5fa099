"""The one seam that knows how work is spread: processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_tasks(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int = 1, progress: Progress = silent
) -> list[Result]:
    """Results in the order of the tasks, whatever the number of workers; the first error ends the work."""
    todo = list(tasks)
    results: list[Result] = []
    if workers <= 1 or len(todo) <= 1:
        for task in todo:
            results.append(function(task))
            progress(len(results), len(todo))
        return results
    # A fresh interpreter per worker: a forked one may inherit locks of BLAS or OpenMP threads.
    context = multiprocessing.get_context("spawn")
    with (
        _single_threaded_children(),
        ProcessPoolExecutor(min(workers, len(todo)), mp_context=context, initializer=_end_with_parent) as pool,
    ):
        futures = [pool.submit(function, task) for task in todo]
        try:
            for future in futures:
                results.append(future.result())
                progress(len(results), len(todo))
        except BaseException:
            # Leaving the pool waits for running tasks: after Ctrl-C nobody wants their results.
            for worker in multiprocessing.active_children():
                worker.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _end_with_parent() -> None:
    """A worker leaves with its parent, which alone hears Ctrl-C; otherwise it would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()


def _leave_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


class _single_threaded_children:  # noqa: N801  reads as a statement
    """Workers use one BLAS and OpenMP thread each: more only fight for the same cores."""

    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.names}
        os.environ.update(dict.fromkeys(self.names, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
