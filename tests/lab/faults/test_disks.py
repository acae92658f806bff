"""Disks, results, clock"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.lab.faults.bench import Bench
from tests.lab.faults.rows import AFTER_FETCH, NOTHING, PROFILE, Row, fault
from tests.lab.tool import Done

_SMALL = "/mnt/small"
_HOME = "/home/ops"


def _small_host_disk(bench: Bench, size: str, place: str = _SMALL) -> None:
    """Give the host a small file system, and have the run's files go there."""
    mount = f"mkdir -p {place} && mount -t tmpfs -o mode=1777,size={size} lab {place}"
    bench.shell(mount)
    bench.after.callback(bench.shell, f"umount {place}", check=False)
    bench.variables(remote_prof_tmp=_SMALL)


@fault(Row("the disk of remote_prof_tmp is full", "facts", "cleaning the host", 0, PROFILE))
def test_the_chosen_disk_is_full(bench: Bench) -> Done:
    _small_host_disk(bench, "1m")
    # Its home has room.
    return bench.start().end()


@fault(
    Row(
        "no disk of the host has room",
        "facts",
        "error: every directory on the host that can hold the run's files is full",
        1,
        NOTHING,
    )
)
def test_the_hosts_disks_are_full(bench: Bench) -> Done:
    _small_host_disk(bench, "1m", _HOME)
    _small_host_disk(bench, "1m")
    return bench.start().end()


@fault(
    Row(
        "the host's disk fills up", "start", "warning: the disk of the host became full", 1, NOTHING
    ),
    Row(
        "the host's disk fills up",
        "sampling",
        "warning: the disk of the host became full",
        0,
        PROFILE,
    ),
)
def test_the_hosts_disk_fills_up(bench: Bench) -> Done:
    _small_host_disk(bench, "70m")
    # At one second names are printed: until then nothing needs room.
    running = bench.start("-d", 4, "-F", 499)
    bench.reach(running)
    if bench.when == "sampling":
        time.sleep(1.5)
    bench.shell(f"cat /dev/zero > {_SMALL}/filler", check=False)
    done = running.end()
    bench.shell(f"rm {_SMALL}/filler")
    assert bench.shell(f"ls -A {_SMALL}") == ""
    return done


@fault(
    Row(
        "the host's clock is a day ahead (its date command says so)",
        "facts",
        "note: the host's clock is 86…s ahead",
        0,
        PROFILE,
    )
)
def test_the_clock_is_off(bench: Bench) -> Done:
    # The clock of a lab host is the machine's.
    date = "/usr/local/bin/date"
    script = """#!/bin/sh
[ "$*" = +%s ] && exec echo $(($(/bin/date +%s) + 86400))
exec /bin/date "$@"
"""
    bench.host.exec(["sh", "-c", f"cat > {date}; chmod 755 {date}"], input=script.encode())
    bench.after.callback(bench.shell, f"rm {date}")
    return bench.start("-v").end()


def _results(bench: Bench, options: str) -> Path:
    """Have the results go to a file system of their own."""
    place = bench.tool.place / "results"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "lab", str(place)], check=True)
    bench.after.callback(subprocess.run, ["umount", "-l", str(place)], check=True)
    return place


@fault(
    Row(
        "the results directory is read-only",
        "before",
        "error: the results cannot be written to",
        1,
        NOTHING,
    )
)
def test_the_results_are_read_only(bench: Bench) -> Done:
    _results(bench, "ro")
    return bench.start().end()


@fault(
    Row(
        "the disk of the results is full",
        "before",
        "error: the results cannot be written to",
        1,
        NOTHING,
    )
)
def test_no_room_for_results(bench: Bench) -> Done:
    place = _results(bench, "size=64k")
    _fill(place)
    return bench.start().end()


@fault(
    Row(
        "the disk of the results fills up",
        "sampling",
        "error: …profile.txt cannot be written",
        1,
        AFTER_FETCH,
    ),
)
def test_the_disk_of_the_results_fills_up(bench: Bench) -> Done:
    place = _results(bench, "size=1m")
    running = bench.start()
    bench.reach(running)
    filler = _fill(place)
    done = running.end()
    filler.unlink()
    return done


def _fill(place: Path) -> Path:
    filler = place / "filler"
    with filler.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(os.urandom(512))
        except OSError:
            return filler


@fault(
    Row("the results directory is removed", "sampling", "cleaning the host", 0, PROFILE),
)
def test_the_results_are_removed(bench: Bench) -> Done:
    running = bench.start()
    bench.reach(running)
    shutil.rmtree(bench.tool.place / "results")
    return running.end()
