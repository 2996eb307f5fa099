"""A time limit reaches any thread, passes whatever swallows exceptions, and nothing comes late."""

import random
import threading
import time

import pytest

from forecasting.time_limit import TookTooLong, time_limit


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_block_that_takes_too_long_is_left() -> None:
    began = time.perf_counter()
    with pytest.raises(TookTooLong), time_limit(0.05):
        spin(60)
    assert time.perf_counter() - began < 30


def test_a_block_within_its_limit_keeps_its_result_and_its_own_errors() -> None:
    with time_limit(60):
        kept = 1
    assert kept == 1
    with pytest.raises(ZeroDivisionError), time_limit(60):
        1 / 0  # noqa: B018


def test_none_is_no_limit() -> None:
    before = threading.active_count()
    with time_limit(None):
        assert threading.active_count() == before


def test_a_careless_except_does_not_eat_the_limit() -> None:
    def careless() -> None:
        while True:
            try:
                spin(60)
            except Exception:
                continue

    with pytest.raises(TookTooLong), time_limit(0.05):
        careless()


def test_an_inner_limit_leaves_the_outer_one_in_force() -> None:
    def inner() -> None:
        with pytest.raises(TookTooLong), time_limit(0.05):
            spin(60)
        spin(60)

    with pytest.raises(TookTooLong), time_limit(0.3):
        inner()


def test_nothing_comes_late_in_any_thread() -> None:
    """Thousands of blocks that end at about their limit, in four threads at once: each is left, or none is."""
    ended: list[tuple[int, int]] = []
    leaked: list[BaseException] = []

    def rounds(seed: int) -> None:
        inside = over = 0
        draw = random.Random(seed)
        try:
            for _ in range(1500):
                limit = draw.uniform(1e-4, 1e-3)
                try:
                    with time_limit(limit):
                        spin(limit * draw.uniform(0.5, 1.6))
                    inside += 1
                except TookTooLong:
                    over += 1
                sum(step for step in range(200))  # where a late one would land
            ended.append((inside, over))
        except BaseException as error:
            leaked.append(error)

    threads = [threading.Thread(target=rounds, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leaked == []
    assert [inside + over for inside, over in ended] == [1500] * 4
    assert all(min(counts) > 0 for counts in ended)


def test_the_watch_ends_with_the_block() -> None:
    before = threading.active_count()
    for _ in range(50):
        with time_limit(60):
            pass
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before
