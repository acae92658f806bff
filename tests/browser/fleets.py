"""Fleets that the tests look at, of hosts that are made by a seeded generator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random

from remote_prof.profile.functions import functions_of
from remote_prof.profile.hottest import hottest
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.outliers import Standing, rank_hosts
from remote_prof.profile.quality import measure_quality
from remote_prof.profile.summary import merge
from remote_prof.render.fleet_page import Bar, FleetPage, GroupRow, HostRow
from remote_prof.render.report import Report

API = Frame("api", FrameKind.PROCESS, pid=12)
MAIN = Frame("main", module="/srv/api")
HANDLE = Frame("handle(request&)", module="/srv/api")
STACKS: dict[Stack, int] = {
    (API, MAIN, HANDLE, Frame("parse_json")): 180,
    (API, MAIN, HANDLE, Frame("std::map<int, std::string>::find(int const&)")): 120,
    (API, MAIN, HANDLE, Frame("send"), Frame("tcp_sendmsg", FrameKind.KERNEL)): 90,
    (API, MAIN, HANDLE, Frame("render_template", FrameKind.INTERPRETED)): 60,
    (API, MAIN, HANDLE, Frame("Ljava/lang/String;::hashCode", FrameKind.JIT)): 40,
    (API, MAIN, Frame("epoll_wait", FrameKind.KERNEL)): 30,
    (API, MAIN, Frame("runtime.gcBgMarkWorker", FrameKind.GO)): 20,
    (API, MAIN): 10,
}
REGEX: Stack = (API, MAIN, HANDLE, Frame("regex_compile"))
LOCK: Stack = (API, MAIN, HANDLE, Frame("native_queued_spin_lock_slowpath", FrameKind.KERNEL))
# Every so many hosts differ, or have failed; nobody else does.
DIFFERENT = {3: REGEX, 77: LOCK, 140: REGEX, 222: LOCK}
FAILURES = {
    10: ("failed", "container api: not found; there are web and db"),
    55: ("unreachable", "connect to 192.0.2.55 port 22: timed out after 10 s"),
    56: ("unreachable", "connect to 192.0.2.56 port 22: no route to host"),
    100: ("no-samples", "there are no samples: the target did nothing in 30 s"),
    120: ("skipped", "there is no container api"),
    130: ("failed", "/var/tmp on the host is full: 0 bytes are free, 20 MB are needed"),
}


def name_of(number: int) -> str:
    return f"shop-{number}.eu.example.net"


@cache
def fleet(count: int = 300) -> FleetPage:
    """Make the page of so many hosts."""
    random = Random(20260131)
    profiles = {
        name_of(number): _profile(random, DIFFERENT.get(number))
        for number in range(count)
        if number not in FAILURES
    }
    functions = functions_of(profiles)
    standings = {standing.host: standing for standing in rank_hosts(functions)}
    whole = merge(profiles.values())
    subtitle = f"on-CPU, 99 Hz, 30 s, {whole.total:,} samples"
    return FleetPage(
        title="api on 300 hosts of shop",
        subtitle=subtitle,
        unit="samples",
        facts={"run": "20260131-235959-1a2b3c", "command": "run -H shop -C api -d 30"},
        hosts=tuple(_row(number, profiles, standings) for number in range(count)),
        hottest=tuple(hottest(functions)),
        groups=_groups(standings),
        merged=Report(whole, measure_quality(whole), "api on 300 hosts", subtitle),
        links={"merged flame graph": "flamegraph.html", "folded stacks": "profile.folded"},
    )


def _profile(random: Random, more: Stack | None) -> Profile:
    load = random.uniform(0.6, 1.4)
    stacks = {
        stack: round(load * weight * random.gauss(1, 0.05)) for stack, weight in STACKS.items()
    }
    if more:
        stacks[more] = round(load * random.uniform(400, 900))
    return Profile.of(stacks, frequency_hz=99)


def _row(
    number: int, profiles: Mapping[str, Profile], standings: Mapping[str, Standing]
) -> HostRow:
    name = name_of(number)
    groups = ("shop", f"zone-{'abc'[number % 3]}")
    if number in FAILURES:
        status, error = FAILURES[number]
        return HostRow(name, status, groups, error)
    profile, standing = profiles[name], standings[name]
    verdict = measure_quality(profile).verdict
    assert verdict is not None
    functions = functions_of({name: profile})[name]
    shares = sorted(functions.self_shares().items(), key=lambda each: (-each[1], each[0]))
    return HostRow(
        name,
        "ok",
        groups,
        weight=profile.total,
        grade=verdict.grade,
        reason=verdict.reason,
        cpu_time_s=round(profile.total / 99, 1),
        bars=tuple(Bar(*function, share) for function, share in shares),
        distance=standing.distance,
        noise=standing.noise,
        is_outlier=standing.is_outlier,
        differences=standing.differences,
        report=f"{name}/flamegraph.html",
        facts={"kernel": f"6.1.{number % 2}", "engine": "bpftrace v0.23.2", "image": "api:2.4.1"},
        problems=("the clock is off by 3 s",) if number == 3 else (),
    )


def _groups(standings: Mapping[str, Standing]) -> tuple[GroupRow, ...]:
    odd = standings[name_of(3)]
    return tuple(
        GroupRow(
            f"zone-{zone}",
            tuple(name_of(number) for number in range(at, 300, 3)),
            weight=55_000 + at,
            distance=0.01 + 0.02 * at,
            noise=0.02,
            differs=zone == "c",
            differences=odd.differences[:3],
        )
        for at, zone in enumerate("abc")
    )
