"""A time limit for what runs in this thread, whichever thread that is."""

from __future__ import annotations

import ctypes
import threading
from types import TracebackType


class TookTooLong(BaseException):  # a signal like KeyboardInterrupt: no ``except Exception`` on the way may eat it
    """The block did not end within its time limit."""


class time_limit:  # noqa: N801  reads as a statement
    """``with time_limit(seconds):`` raises TookTooLong inside the block once the seconds are over; None is no limit.

    Works in any thread (a signal reaches the main thread only). The exception comes between two steps of Python:
    compiled code that does not return is not interrupted, and its process has to be ended from outside. After the
    block nothing comes late.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.thread = 0
        self.struck = False
        self.left = False
        self.deciding = threading.Lock()
        self.timer: threading.Timer | None = None

    def __enter__(self) -> None:
        if self.seconds is not None:
            self.thread = threading.get_ident()
            self.timer = threading.Timer(self.seconds, self._strike)
            self.timer.daemon = True
            self.timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The strike may land on any line of this: it then leaves the block from here, and there is only one.
        if self.timer is None:
            return
        self.timer.cancel()
        with self.deciding:
            self.left = True
        if self.struck:
            _raise_in(self.thread, None)

    def _strike(self) -> None:
        with self.deciding:
            if not self.left:
                self.struck = True
                _raise_in(self.thread, TookTooLong)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Let a thread raise at its next step of Python; None takes back what it has not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind))
