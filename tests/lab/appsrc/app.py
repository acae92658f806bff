"""The program in the lab's Python target: known functions with known shares of its work.

``handle_request`` spends three quarters of its time in ``render_reply`` and one in
``parse_request``. The main thread works a quarter of the time, a thread called ``waiter`` waits all
the time, and a child process, which is the same program, works in ``compress_logs``.

``app.py count`` does one thing as often as it can, and prints ten times a second the time, its CPU
time (both in nanoseconds), and how often it has done it.
"""

from __future__ import annotations

import os
import sys
import threading
import time


def hot_leaf(loops: int) -> int:
    total = 0
    for number in range(loops):
        total += number * number
    return total


def parse_request() -> None:
    hot_leaf(10_000)


def render_reply() -> None:
    hot_leaf(30_000)


def handle_request() -> None:
    parse_request()
    render_reply()


def compress_logs() -> None:
    hot_leaf(20_000)


def wait_for_peer() -> None:
    while True:
        time.sleep(0.05)


def serve(work) -> None:  # type: ignore[no-untyped-def]
    while True:
        begun = time.thread_time()
        for _ in range(5):
            work()
        time.sleep(3 * (time.thread_time() - begun))


def count() -> None:
    done = told = 0
    while True:
        now = time.monotonic_ns()
        if now - told >= 100_000_000:
            print(now, time.process_time_ns(), done, flush=True)
            told = now
        hot_leaf(1_000)
        done += 1


def main() -> None:
    if sys.argv[1:] == ["count"]:
        count()
    if sys.argv[1:] == ["child"]:
        serve(compress_logs)
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, __file__, "child"])
    threading.Thread(target=wait_for_peer, name="waiter").start()
    serve(handle_request)


if __name__ == "__main__":
    main()
