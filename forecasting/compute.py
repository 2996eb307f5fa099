"""The one seam that knows how work is spread: processes on this machine, or a Dask cluster that exists."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

from forecasting.errors import ComputeError

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]

# Tasks in flight for each thread of a cluster: one runs, the next ones are there when it ends.
WINDOW = 4
# Seconds until a cluster that does not answer counts as unreachable.
PATIENCE = 20
ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://[^\s/:]+:\d{1,5}|(tcp|tls)://\[[0-9a-f:]+\]:\d{1,5}")


@dataclass(frozen=True)
class Where:
    """Where tasks run: so many processes on this machine, or the cluster at an address, which has its own workers.

    ``memory_limit`` is the bytes that each process on this machine may take (Linux).
    """

    workers: int = 1
    cluster: str | None = None
    memory_limit: int | None = None


@dataclass(frozen=True)
class Lost:
    """Instead of the result of a task whose worker died or ran out of memory: why, in one line."""

    why: str


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
    results: dict[int, Result] = {}
    for place, result in each(function, todo, Where(min(workers, len(todo)))):
        if isinstance(result, Lost):
            raise ComputeError(f"Task {place + 1} of {len(todo)} was lost: {result.why}. Run the same command again.")
        results[place] = result
        progress(len(results), len(todo))
    return [results[place] for place in range(len(todo))]


def each(
    function: Callable[..., Result], tasks: Iterable[Task], where: Where = Where(), shared: Any = None
) -> Iterator[tuple[int, Result | Lost]]:
    """Place and result of every task, as they are completed.

    Tasks are drawn when a worker has room for them, so that a long iterable stays lazy. ``function(task)`` is called,
    or ``function(task, shared)`` where something is shared, which reaches each worker once. A worker that dies or runs
    out of memory loses the task it was at and no other; what the function raises ends the work and is raised here.

    One worker without a memory limit is this process itself. Raises ComputeError for a cluster that cannot be used.
    """
    with crew(where) as workers:
        yield from workers.each(function, tasks, shared)


@contextlib.contextmanager
def crew(where: Where) -> Iterator[Crew]:
    """Workers for several kinds of tasks, one after the other: they start once and leave with the block."""
    if where.cluster is not None:
        if where.memory_limit is not None:
            raise ComputeError(
                "Workers of a cluster have a limit of their own: dask worker --memory-limit, and none here."
            )
        with _one_line_only(), _client(where.cluster) as client:
            yield _OnCluster(client, where.cluster)
    elif where.workers > 1 or where.memory_limit is not None:
        if where.memory_limit is not None and not sys.platform.startswith("linux"):
            raise ComputeError("A memory limit for workers works on Linux only: leave it out here.")
        processes = _Processes(where)
        try:
            yield processes
        finally:
            processes.leave()
    else:
        yield _Here()


class Crew(Protocol):
    """Those who do tasks; ``each`` is as the function of that name."""

    def each(
        self, function: Callable[..., Result], tasks: Iterable[Task], shared: Any = None
    ) -> Iterator[tuple[int, Result | Lost]]:
        """Place and result of every task, as they are completed."""


class _Here:
    """This process itself."""

    def each(
        self, function: Callable[..., Result], tasks: Iterable[Task], shared: Any = None
    ) -> Iterator[tuple[int, Result | Lost]]:
        return ((place, _run(function, task, shared)) for place, task in enumerate(tasks))


def _run(function: Callable[..., Result], task: Any, shared: Any) -> Result | Lost:
    try:
        return function(task) if shared is None else function(task, shared)
    except MemoryError as error:
        return Lost(f"it ran out of memory ({str(error) or 'no room left'})")


# --- Processes on this machine ---------------------------------------------------------------------------


@dataclass
class _Worker:
    """A process of ours, the pipe to it, and the place of the task it is at; ``begun`` once it has said it is ready."""

    process: BaseProcess
    pipe: Connection
    place: int = -1
    begun: bool = False


@dataclass(frozen=True)
class _Ready:
    """The first word of a worker."""


@dataclass(frozen=True)
class _Raised:
    """What a function raised, on its way through a pipe."""

    error: BaseException


@dataclass(frozen=True)
class _Work:
    """What the tasks that follow are for: a function and what is shared, pickled."""

    content: bytes


@dataclass
class _Processes:
    """Every worker has a pipe of its own and one task at a time: its death leaves no lock or queue broken."""

    where: Where
    idle: list[_Worker] = field(default_factory=list)

    def each(
        self, function: Callable[..., Result], tasks: Iterable[Task], shared: Any = None
    ) -> Iterator[tuple[int, Result | Lost]]:
        todo = enumerate(tasks)
        work = _Work(pickle.dumps((function, shared), pickle.HIGHEST_PROTOCOL))
        busy: dict[Connection, _Worker] = {}
        try:
            for task in itertools.islice(todo, max(self.where.workers, 1)):
                worker = self._told(work)
                busy[worker.pipe] = worker
                _engage(worker, task)
            while busy:
                for pipe in wait(list(busy)):
                    worker = busy[pipe]  # type: ignore[index]
                    place, answer = worker.place, _answer(worker)
                    if isinstance(answer, _Ready):
                        continue
                    if isinstance(answer, _Raised):
                        raise answer.error
                    if isinstance(answer, Lost):
                        _dismiss(busy.pop(worker.pipe))
                    following = next(todo, None)
                    if following is not None:
                        worker = self._told(work) if isinstance(answer, Lost) else worker
                        busy[worker.pipe] = worker
                        _engage(worker, following)
                    elif not isinstance(answer, Lost):
                        self.idle.append(busy.pop(worker.pipe))
                    yield place, answer
        finally:
            for worker in busy.values():  # only after an error or Ctrl-C: nobody wants their results
                worker.process.kill()
            for worker in busy.values():
                _dismiss(worker)

    def _told(self, work: _Work) -> _Worker:
        """A worker, idle or new, that knows what its next tasks are for."""
        worker = self.idle.pop() if self.idle else _start(self.where.memory_limit)
        _send(worker, work)
        return worker

    def leave(self) -> None:
        """All workers end."""
        while self.idle:
            _dismiss(self.idle.pop())


def _engage(worker: _Worker, task: tuple[int, Any]) -> None:
    worker.place = task[0]
    _send(worker, task[1])


def _start(memory_limit: int | None) -> _Worker:
    # A fresh interpreter per worker: a forked one may inherit locks of BLAS or OpenMP threads.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, memory_limit), daemon=True)
    with _single_threaded_children():
        process.start()
    theirs.close()  # so that the pipe ends with the worker
    return _Worker(process, ours)


def _send(worker: _Worker, message: Any) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has died: its answer will say so
        worker.pipe.send(message)


def _answer(worker: _Worker) -> Any:
    """Ready, a result, what was raised, or Lost; raises ComputeError if workers cannot even start."""
    try:
        answer = worker.pipe.recv()
    except (EOFError, OSError):  # OSError: in the middle of an answer
        worker.process.join()
        code = worker.process.exitcode or 0
        if code > 0 and not worker.begun:
            raise ComputeError(f"A worker could not start (exit code {code}): what it said stands above.") from None
        if code >= 0:
            return Lost(f"its worker ended by itself with exit code {code}")
        hint = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return Lost(f"its worker was ended by {signal.Signals(-code).name}{hint}")
    worker.begun = True
    return answer


def _dismiss(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.join(5)
    worker.process.kill()
    worker.process.join()


def _serve(pipe: Connection, memory_limit: int | None) -> None:
    """The life of a worker: the function and what is shared, then task after task until the pipe ends."""
    _end_with_parent()
    if memory_limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))
    pipe.send(_Ready())
    function, shared = None, None
    try:
        while True:
            message = pipe.recv()
            if not isinstance(message, _Work):
                pipe.send_bytes(_pickled(_outcome(function, message, shared)))  # type: ignore[arg-type]
                continue
            function, shared = None, None  # the one before leaves before the next one comes
            try:
                function, shared = pickle.loads(message.content)
            except (MemoryError, ImportError, AttributeError) as error:
                function = functools.partial(_raise, error)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _raise(error: BaseException, *_: Any) -> None:
    raise error


def _outcome(function: Callable[..., Result], task: Any, shared: Any) -> Result | Lost | _Raised:
    try:
        return _run(function, task, shared)
    except BaseException as error:
        error.add_note(f"In a worker:\n{traceback.format_exc()}")
        return _Raised(error)


def _pickled(outcome: Any) -> bytes:
    try:
        content = pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
        if isinstance(outcome, _Raised):
            pickle.loads(content)  # an exception may be written and yet not be read
    except MemoryError:
        return pickle.dumps(Lost("it ran out of memory when it had its result"))
    except Exception as error:
        said = f"{outcome.error!r}" if isinstance(outcome, _Raised) else f"a result that cannot be sent: {error}"
        return pickle.dumps(_Raised(RuntimeError(f"A worker ended with {said}")))
    return content


def _end_with_parent() -> None:
    """A worker leaves with its parent, which alone hears Ctrl-C; otherwise it would work on for nobody."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()


def _leave_after(parent: BaseProcess) -> None:
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


# --- A cluster that exists -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OnCluster:
    """Dask places tasks, and repeats those whose worker died as often as its ``allowed-failures`` says."""

    client: Any
    address: str

    def each(
        self, function: Callable[..., Result], tasks: Iterable[Task], shared: Any = None
    ) -> Iterator[tuple[int, Result | Lost]]:
        return _through(self.client, function, tasks, shared, self.address)


def _through(
    client: Any, function: Callable[..., Result], tasks: Iterable[Task], shared: Any, address: str
) -> Iterator[tuple[int, Result | Lost]]:
    from distributed import as_completed

    places: dict[Any, int] = {}
    run = f"tradecast_{uuid.uuid4().hex}"
    todo = enumerate(tasks)
    landed = as_completed(loop=client.loop, with_results=True, raise_errors=False)

    def submit(some: list[tuple[int, Task]]) -> None:
        # One name for all: Dask then knows them as many of a kind and keeps at the scheduler what cannot run yet.
        # Wrapped, because it looks for tasks of its own among plain arguments.
        calls = [functools.partial(_run, function, task) for _, task in some]
        keys = [f"{run}-{place}" for place, _ in some]
        for (place, _), future in zip(some, client.map(_call, calls, shared=held, key=keys, pure=False), strict=True):
            places[future] = place
            landed.add(future)

    try:
        # A task, not scattered data: any worker can make it anew when all that held it have died.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            held = None if shared is None else client.submit(functools.partial(_itself, shared), pure=False)
        submit(list(itertools.islice(todo, WINDOW * sum(client.nthreads().values()))))
        for batch in landed.batches():
            submit(list(itertools.islice(todo, len(batch))))
            for future, outcome in batch:
                yield places.pop(future), _landed(future.status, outcome, address)
    finally:
        with contextlib.suppress(Exception):  # a scheduler that is gone has nothing to cancel
            client.cancel(list(places), force=True)


def _itself(shared: Any) -> Any:
    return shared


def _call(call: Callable[[Any], Result], shared: Any) -> Result:
    return call(shared)


def _landed(status: str, outcome: Any, address: str) -> Any:
    """The result; Lost when Dask has given the task up; what the function raised is raised."""
    from distributed import KilledWorker

    if status == "finished":
        return outcome
    if status != "error":
        raise _left(address)
    _, error, trace = outcome
    if isinstance(error, KilledWorker):
        return Lost(f"{error.allowed_failures + 1} workers died at it, the last one {error.last_worker.address}")
    raise error.with_traceback(trace)


def _left(address: str) -> ComputeError:
    return ComputeError(f"The scheduler at {address} has left: start it again and run the same command again.")


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
    """A client of the scheduler at this address whose workers would compute the same numbers as this process."""
    from forecasting.store import surroundings

    client = _connected(address)
    try:
        try:
            found = client.run(surroundings, on_error="return")
        except OSError as error:
            raise _left(address) from error
        if not found:
            raise ComputeError(f"The scheduler at {address} has no workers: start some, dask worker {address}.")
        for worker, there in found.items():
            _check_same(worker, there, surroundings())
        yield client
    finally:
        client.close(timeout=PATIENCE)


def _connected(address: str) -> Any:
    try:
        from distributed import Client, Security
    except ImportError as error:
        raise ComputeError("A cluster needs Dask: pip install 'tradecast[cluster]'.") from error
    try:
        if not ADDRESS.fullmatch(address):  # Dask would wait for what can never answer
            raise ValueError("no address such as tcp://host:8786 or tls://host:8786")
        security = Security()  # from Dask's own settings
        if address.startswith("tls:") and security.get_connection_args("client").get("ssl_context") is None:
            raise ValueError("no certificates: set distributed.comm.tls in Dask's settings, see docs/cluster.md")
        return Client(address, timeout=PATIENCE, set_as_default=False, security=security)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ComputeError(
            f"No Dask scheduler answers at {address} ({why}): start one, or check the address and its TLS settings."
        ) from error


@contextlib.contextmanager
def _one_line_only() -> Iterator[None]:
    """Dask prints pages about a scheduler that has left; here that is one line, a ComputeError."""
    with contextlib.suppress(ImportError):
        import distributed  # noqa: F401  makes the handlers
    handlers = logging.getLogger("distributed").handlers
    before = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(handlers, before, strict=False):
            handler.setLevel(level)


def _check_same(worker: str, there: Any, here: dict[str, str]) -> None:
    if isinstance(there, OSError):
        raise ComputeError(f"Worker {worker} has left while it was asked: run the same command again.") from there
    if isinstance(there, BaseException):
        raise ComputeError(f"Worker {worker} cannot load tradecast: install the same one there ({there}).") from there
    differs = [f"{name} {there.get(name)} (here {here[name]})" for name in here if there.get(name) != here[name]]
    if differs:
        raise ComputeError(
            f"Worker {worker} would compute other numbers, with {', '.join(differs)}: install the same versions there."
        )
