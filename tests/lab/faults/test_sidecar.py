"""The sidecar"""

from __future__ import annotations

import time

from tests.lab.faults.bench import Bench
from tests.lab.faults.images import broken_image
from tests.lab.faults.rows import NOTHING, PROFILE, Row, fault
from tests.lab.model import SIDECAR_IMAGE, TARGET_IMAGE
from tests.lab.tool import Done, our_containers

_ENDED = "error: …the sidecar ended before it sampled anything"
_LACKS = "error: …lacks the profiler"


def _with(bench: Bench, name: str, *more: object) -> Done:
    image = broken_image(bench.host, name)
    bench.after.callback(bench.host.exec, ["docker", "rmi", "-f", image], check=False)
    return bench.start("--image", image, *more).end(180)


@fault(Row("the image has no bpftrace", "start", _LACKS, 1, NOTHING))
def test_no_bpftrace(bench: Bench) -> Done:
    return bench.start("--image", TARGET_IMAGE).end()


@fault(Row("bpftrace fails to attach", "start", _ENDED, 1, NOTHING))
def test_it_does_not_attach(bench: Bench) -> Done:
    return _with(bench, "noattach")


@fault(Row("bpftrace prints garbage", "sampling", "error: …cannot be read", 1, NOTHING))
def test_garbage(bench: Bench) -> Done:
    return _with(bench, "garbage")


@fault(Row("bpftrace prints 200 MB", "sampling", "--max-artifact-size", 1, NOTHING))
def test_a_flood(bench: Bench) -> Done:
    return _with(bench, "huge", "--max-artifact-size", "10MiB")


@fault(
    Row(
        "bpftrace runs out of memory",
        "sampling",
        "exit code 137",
        1,
        NOTHING,
    )
)
def test_no_memory(bench: Bench) -> Done:
    return _with(bench, "hungry")


@fault(
    Row(
        "bpftrace does not end, and heeds no signal",
        "sampling",
        "stopped at its deadline",
        1,
        NOTHING,
        slow=True,
    )
)
def test_it_does_not_end(bench: Bench) -> Done:
    return _with(bench, "silent")


@fault(
    Row(
        "the sidecar is killed",
        "sampling",
        "warning: the sidecar was killed while it sampled",
        0,
        PROFILE,
    )
)
def test_the_sidecar_is_killed(bench: Bench) -> Done:
    running = bench.start("-d", 20, "-F", 499)
    bench.reach(running)
    # After the first printing, at one second.
    time.sleep(2)
    bench.host.docker("kill", *our_containers(bench.host))
    return running.end()


@fault(
    Row(
        "the sidecar is removed",
        "sampling",
        "warning: the sidecar was killed while it sampled",
        0,
        PROFILE,
    )
)
def test_the_sidecar_is_removed(bench: Bench) -> Done:
    running = bench.start("-d", 20, "-F", 499)
    bench.reach(running)
    time.sleep(2)
    bench.host.docker("rm", "-f", *our_containers(bench.host))
    return running.end()


@fault(Row("the sidecar is paused for 3 s", "sampling", "cleaning the host", 0, PROFILE))
def test_the_sidecar_is_paused(bench: Bench) -> Done:
    running = bench.start()
    bench.reach(running)
    sidecars = our_containers(bench.host)
    bench.host.docker("pause", *sidecars)
    time.sleep(3)
    bench.host.docker("unpause", *sidecars)
    return running.end()


@fault(
    Row("the image is removed", "deploy", _ENDED, 1, NOTHING),
    Row("the image is removed", "sampling", "cleaning the host", 0, PROFILE),
)
def test_the_image_is_removed(bench: Bench) -> Done:
    image = "lab/bpftrace:leaving"
    bench.host.docker("tag", SIDECAR_IMAGE, image)
    bench.proxy()
    running = bench.start("--image", image)
    bench.reach(running)
    bench.host.docker("rmi", "-f", image)
    return running.end()
