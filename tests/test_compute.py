"""Work is spread over processes or a cluster, and what dies on the way takes nothing else along."""

import gc
import importlib.util
import itertools
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from forecasting import compute, store
from forecasting.compute import Lost, Where, each, map_tasks
from forecasting.errors import ComputeError, DataError

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory limits are for Linux")


def square(task: int) -> int:
    return task * task


def scaled(task: int, shared: np.ndarray) -> float:
    return float(shared[task] * 2)


def die_at_three(task: int) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def leave_at_three(task: int) -> int:
    if task == 3:
        os._exit(7)
    return task


def die_answering(task: int) -> bytes:
    """Announces a long answer, sends three bytes of it and dies."""
    if task == 1:
        pipe = next(one for one in gc.get_objects() if isinstance(one, Connection) and one.writable)
        os.write(pipe.fileno(), struct.pack("!i", 1000) + b"abc")
        os.kill(os.getpid(), signal.SIGKILL)
    return b"fine"


def refuse_two(task: int) -> int:
    if task == 2:
        raise DataError("Two is refused.")
    return task


def take(megabytes: int) -> int:
    return np.ones(megabytes * 2**17).nbytes


def arrival(task: int, shared: "Counted") -> tuple[int, int]:
    return os.getpid(), Counted.arrived


class Counted:
    """Counts in every process how often it arrived there."""

    arrived = 0

    def __reduce__(self):
        return (_arrive, ())


def _arrive() -> Counted:
    Counted.arrived += 1
    return Counted()


class UnreadableError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__("cannot be read back")


def raise_unreadable(task: int) -> None:
    raise UnreadableError(1, 2)


def return_a_lock(task: int) -> object:
    import threading

    return threading.Lock()


def blas_threads(task: int) -> str | None:
    return os.environ.get("OPENBLAS_NUM_THREADS")


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_has_its_result(workers: int) -> None:
    assert dict(each(square, range(20), Where(workers))) == {place: place**2 for place in range(20)}
    assert dict(each(square, [], Where(workers))) == {}
    assert dict(each(scaled, [2, 0], Where(workers), np.array([0.5, 1, 1.5]))) == {0: 3.0, 1: 1.0}


@pytest.mark.parametrize("workers", [1, 3])
def test_results_stand_in_the_order_of_the_tasks_and_progress_counts_them(workers: int) -> None:
    seen = []
    assert map_tasks(square, range(7), workers, lambda done, total: seen.append((done, total))) == [
        task**2 for task in range(7)
    ]
    assert seen == [(done, 7) for done in range(1, 8)]


@pytest.mark.parametrize(
    ("function", "said"), [(die_at_three, "SIGKILL"), (leave_at_three, "exit code 7")], ids=["killed", "left"]
)
def test_a_worker_that_dies_loses_its_own_task_only(function, said) -> None:
    found = dict(each(function, range(12), Where(2)))
    lost = found.pop(3)
    assert isinstance(lost, Lost)
    assert said in lost.why
    assert "\n" not in lost.why
    assert found == {place: place for place in range(12) if place != 3}


def test_a_worker_that_dies_while_it_answers_loses_that_only() -> None:
    found = dict(each(die_answering, range(4), Where(2)))
    assert isinstance(found.pop(1), Lost)
    assert found == {0: b"fine", 2: b"fine", 3: b"fine"}


def test_a_lost_task_ends_a_map() -> None:
    with pytest.raises(ComputeError, match=r"Task 4 of 5 was lost: .*SIGKILL"):
        map_tasks(die_at_three, range(5), 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_function_raises_is_raised_here(workers: int) -> None:
    with pytest.raises(DataError) as raised:
        list(each(refuse_two, range(5), Where(workers)))
    assert str(raised.value) == "Two is refused."


def test_what_cannot_be_sent_is_said() -> None:
    with pytest.raises(RuntimeError, match="cannot be read back"):
        list(each(raise_unreadable, range(2), Where(2)))
    with pytest.raises(RuntimeError, match="cannot be sent"):
        list(each(return_a_lock, range(2), Where(2)))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_long_iterable_stays_lazy(workers: int) -> None:
    drawn = itertools.count()
    results = each(square, drawn, Where(workers))
    for _ in range(10):
        next(results)
    results.close()
    assert next(drawn) <= 10 + workers


def test_nobody_is_left_when_the_results_are_not_wanted_any_more() -> None:
    import multiprocessing

    results = each(time.sleep, itertools.repeat(0.01), Where(2))
    next(results)
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert multiprocessing.active_children() == []


def test_what_is_shared_arrives_once_in_every_worker() -> None:
    found = dict(each(arrival, range(20), Where(2), Counted())).values()
    assert {arrived for _, arrived in found} == {1}
    assert len({pid for pid, _ in found}) <= 2


def test_workers_use_one_thread_of_blas_and_the_caller_keeps_its_own(monkeypatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    results = each(blas_threads, range(2), Where(2))
    assert next(results)[1] == "1"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "5"
    results.close()


@LINUX
@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_beyond_the_memory_limit_is_lost_and_the_rest_goes_on(workers: int) -> None:
    found = dict(each(take, [1, 4000, 2], Where(workers, memory_limit=2 * 2**30)))
    assert isinstance(found[1], Lost)
    assert "memory" in found[1].why
    assert (found[0], found[2]) == (2**20, 2**21)


def test_children_leave_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from forecasting.compute import Where, each\n"
        "def stay(task):\n"
        f"    open(r'{tmp_path}/' + str(os.getpid()), 'w').close()\n"
        "    time.sleep(120)\n"
        "if __name__ == '__main__':\n"
        "    list(each(stay, range(2), Where(2)))\n"
    )
    for how in (signal.SIGKILL, signal.SIGINT):
        parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
        _until(lambda: len(_pids(tmp_path)) == 2)
        parent.send_signal(how)
        parent.wait(20)
        _until(lambda: not any(map(_alive, _pids(tmp_path))))
        for one in _pids(tmp_path):
            (tmp_path / str(one)).unlink()


def test_workers_that_cannot_start_end_the_work(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text("from forecasting.compute import *\nlist(each(print, range(3), Where(2)))\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert "ComputeError: A worker could not start" in done.stderr


def _pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _until(holds, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- A cluster -------------------------------------------------------------------------------------------

CLUSTER = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="the extra [cluster] is absent")


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", processes=True
        ) as made,
    ):
        yield made.scheduler_address


def die_once(task: int, shared: str) -> int:
    mark = Path(shared)
    if task == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def die_at_three_of(task: int, shared: np.ndarray) -> float:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(shared[task])


def nap(task: int) -> None:
    time.sleep(0.05)


def literal(task: object) -> object:
    return task


@CLUSTER
def test_a_cluster_gives_what_processes_give(cluster) -> None:
    shared = np.linspace(0, 1, 40)
    here = dict(each(scaled, range(40), Where(2), shared))
    assert dict(each(scaled, range(40), Where(cluster=cluster), shared)) == here
    assert dict(each(square, [], Where(cluster=cluster))) == {}
    with pytest.raises(DataError) as raised:
        list(each(refuse_two, range(5), Where(cluster=cluster)))
    assert str(raised.value) == "Two is refused."


@CLUSTER
def test_a_task_reaches_a_cluster_as_it_is(cluster) -> None:
    tasks = [(len, [1, 2]), {"a": (sum, [3])}, "key", None]
    assert [result for _, result in sorted(each(literal, tasks, Where(cluster=cluster)))] == tasks


@CLUSTER
def test_a_long_iterable_stays_lazy_on_a_cluster(cluster) -> None:
    drawn = itertools.count()
    results = each(square, drawn, Where(cluster=cluster))
    for _ in range(10):
        next(results)
    results.close()
    assert next(drawn) <= 10 + 2 * compute.WINDOW * 2  # as many again, where a whole window has landed at once


@CLUSTER
def test_a_cluster_repeats_a_task_whose_worker_died(cluster, tmp_path: Path) -> None:
    found = dict(each(die_once, range(12), Where(cluster=cluster), str(tmp_path / "died")))
    assert found == {place: place for place in range(12)}


@CLUSTER
def test_a_task_that_kills_every_worker_is_lost_alone(cluster) -> None:
    shared = np.arange(12.0)
    found = dict(each(die_at_three_of, range(12), Where(cluster=cluster), shared))
    lost = found.pop(3)
    assert isinstance(lost, Lost)
    assert "2 workers died at it" in lost.why
    assert found == {place: shared[place] for place in range(12) if place != 3}


@CLUSTER
def test_a_cluster_that_would_compute_other_numbers_is_refused(cluster, monkeypatch) -> None:
    monkeypatch.setattr(store, "surroundings", Elsewhere())
    with pytest.raises(ComputeError, match=r"Worker tcp://.* other numbers, with numpy .* \(here 1\.0\): install"):
        list(each(square, range(3), Where(cluster=cluster)))


class Elsewhere:
    """Other versions in this process than in workers."""

    true = staticmethod(store.surroundings)

    def __call__(self) -> dict[str, str]:
        return {**self.true(), "numpy": "1.0"}

    def __reduce__(self):
        return (_surroundings_there, ())


def _surroundings_there():
    return store.surroundings


@CLUSTER
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://", "127.0.0.1"])
def test_a_cluster_that_does_not_answer_is_named_in_one_line(address, monkeypatch) -> None:
    monkeypatch.setattr(compute, "PATIENCE", 1)
    with pytest.raises(ComputeError, match="No Dask scheduler answers at") as said:
        list(each(square, range(3), Where(cluster=address)))
    assert "\n" not in str(said.value)


@CLUSTER
def test_a_scheduler_without_workers_says_so() -> None:
    from distributed import LocalCluster

    empty = LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0")
    with empty, pytest.raises(ComputeError, match="has no workers: start some"):
        list(each(square, range(3), Where(cluster=empty.scheduler_address)))


@CLUSTER
def test_a_scheduler_that_leaves_ends_the_work_in_one_line() -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as leaving:
        results = each(nap, range(1000), Where(cluster=leaving.scheduler_address))
        next(results)
        leaving.close()
        with pytest.raises(ComputeError, match="has left: start it again"):
            list(results)


@CLUSTER
def test_a_cluster_with_tls_lets_in_who_has_a_certificate() -> None:
    import dask
    from distributed import LocalCluster, Security

    security = Security.temporary()
    settings = {"distributed.comm.tls.ca-file": security.tls_ca_file}
    for role in ("client", "scheduler", "worker"):
        settings[f"distributed.comm.tls.{role}.cert"] = security.tls_client_cert
        settings[f"distributed.comm.tls.{role}.key"] = security.tls_client_key
    closed = LocalCluster(
        n_workers=1, threads_per_worker=1, host="tls://127.0.0.1", dashboard_address="127.0.0.1:0", security=security
    )
    with closed:
        address = closed.scheduler_address
        with dask.config.set(settings):
            assert dict(each(square, range(3), Where(cluster=address))) == {0: 0, 1: 1, 2: 4}
        with pytest.raises(ComputeError, match=r"No Dask scheduler answers at tls://.*no certificates"):
            list(each(square, range(3), Where(cluster=address)))
        with pytest.raises(ComputeError, match="No Dask scheduler answers at tcp://"):
            list(each(square, range(3), Where(cluster=address.replace("tls:", "tcp:"))))


def test_a_cluster_without_the_extra_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ComputeError, match=r"pip install 'tradecast\[cluster\]'"):
        list(each(square, range(3), Where(cluster="tcp://127.0.0.1:9")))


def test_a_memory_limit_is_the_workers_own_on_a_cluster() -> None:
    with pytest.raises(ComputeError, match="dask worker --memory-limit"):
        list(each(square, range(3), Where(cluster="tcp://127.0.0.1:9", memory_limit=2**30)))


def test_lost_is_a_value() -> None:
    assert pickle.loads(pickle.dumps(Lost("why"))) == Lost("why")


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (OSError("Stream is closed"), "has left while it was asked: run the same command again"),
        (ModuleNotFoundError("No module named 'forecasting'"), "cannot load tradecast: install the same one there"),
        ({"numpy": "1.0"}, "would compute other numbers, with numpy 1.0 [(]here 2.0[)]: install the same versions"),
    ],
)
def test_a_worker_of_a_cluster_that_would_not_do_is_named(there: object, why: str) -> None:
    with pytest.raises(ComputeError, match=f"^Worker tcp://w:1 {why}"):
        compute._check_same("tcp://w:1", there, {"numpy": "2.0"})
