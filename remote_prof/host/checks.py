"""Preflight: what speaks against a run, from facts alone, before anything is changed.

One function a check. All of them are asked, and everything that they say is shown at once.
"""

from __future__ import annotations

from collections.abc import Callable

from remote_prof.host.facts import WORK_NEEDED_BYTES, HostFacts
from remote_prof.host.target import Target
from remote_prof.records import Problem, Severity

_CLOCK_SKEW_S = 120
_RUNTIMES = {"runsc": "gVisor", "kata": "Kata", "firecracker": "Firecracker", "runhcs": "Hyper-V"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


def engine_answers(facts: HostFacts, image: str) -> list[Problem]:
    """Ask for a container engine that the login may use."""
    del image
    engine = facts.engine
    if engine is None:
        return [
            _error(
                "there is no container engine on the host",
                f"not in the login's PATH: {', '.join(facts.engines_sought)}",
                "if it is elsewhere, set remote_prof_engine in the inventory",
            )
        ]
    way, missing = engine.missing
    # Who has the right to ask, and gets no answer, lacks no password.
    if missing and "Cannot connect" not in engine.error:
        return [
            _error(
                f"{facts.login} may not use {engine.name}, and {way} wants a {missing} or refuses",
                engine.error,
                "give the password with --ask-become-pass, log in as another user (--user), or "
                "have the login put into the docker group",
            )
        ]
    if not engine.answers:
        refused = "denied" in engine.error
        return [
            _error(
                f"{facts.login} may not use {engine.name}"
                if refused
                else f"{engine.name} does not answer",
                engine.error,
                "log in as another user (--user), or have the login put into the docker group"
                if refused
                else f"is its daemon running? try on the host: {engine.name} ps",
            )
        ]
    return []


def engine_can_share_pids(facts: HostFacts, image: str) -> list[Problem]:
    """Refuse an engine whose containers cannot see the host's processes."""
    del image
    options = facts.engine.security_options if facts.engine else ()
    if "name=rootless" in options:
        return [
            _error(
                "the engine is rootless: its containers cannot sample the kernel",
                f"security options: {', '.join(options)}",
                "use an engine that runs as root, or the language's own profiler",
            )
        ]
    return []


def image_is_present(facts: HostFacts, image: str) -> list[Problem]:
    """Ask for the sidecar's image, made for the host's processor."""
    engine = facts.engine
    if engine is None or not engine.answers:
        return []
    if facts.image is None:
        return [
            _error(
                f"the image {image} is not on the host",
                f"{engine.name} image inspect {image} finds nothing",
                "remote-prof image build makes one, which a run pushes; or, on a machine that has "
                f"it: docker save {image} | ssh HOST {engine.name} load; or name another: --image",
            )
        ]
    wanted = _ARCHITECTURES.get(facts.architecture, facts.architecture)
    if facts.image.architecture not in ("", wanted):
        return [
            _error(
                f"the image {image} is for another processor",
                f"it is for {facts.image.architecture}, the host is {facts.architecture}",
                f"load the {wanted} image",
            )
        ]
    return []


def there_is_room(facts: HostFacts, image: str) -> list[Problem]:
    """Ask for a directory on the host that can hold the run's files."""
    del image
    if not facts.work_parents:
        return [
            _error(
                "no directory on the host can hold the run's files",
                "none of the usual temporary directories, nor the home, is writable",
                "give one with remote_prof_tmp in the inventory",
            )
        ]
    if facts.work_parent is None:
        free = ", ".join(f"{path} {free >> 20} MiB" for path, free in facts.work_parents.items())
        return [
            _error(
                "every directory on the host that can hold the run's files is full",
                f"free: {free}; {WORK_NEEDED_BYTES >> 20} MiB are wanted",
                "make room, or give another directory with remote_prof_tmp in the inventory",
            )
        ]
    return []


def names_of_the_kernel(facts: HostFacts, image: str) -> list[Problem]:
    """Warn where kernel frames will have no names."""
    del image
    if facts.sysctls.get("kptr_restrict", 0) > 1:
        return [
            Problem(
                Severity.WARNING,
                "kernel frames will have no names",
                f"kernel.kptr_restrict is {facts.sysctls['kptr_restrict']}",
                "--stacks user leaves them away; the setting is the host's owner's to change",
            )
        ]
    return []


HOST_CHECKS: tuple[Callable[[HostFacts, str], list[Problem]], ...] = (
    engine_answers,
    engine_can_share_pids,
    image_is_present,
    there_is_room,
    names_of_the_kernel,
)


def check_host(facts: HostFacts, image: str) -> list[Problem]:
    """Return everything that speaks against a run on a host."""
    return [problem for check in HOST_CHECKS for problem in check(facts, image)]


def check_clock(facts: HostFacts, here_s: float) -> list[Problem]:
    """Compare the host's clock with ours: times in logs mislead when they differ."""
    skew = facts.clock_s - here_s
    if not facts.clock_s or abs(skew) < _CLOCK_SKEW_S:
        return []
    return [
        Problem(
            Severity.NOTE,
            f"the host's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
            "times of its logs and of this run differ by that",
        )
    ]


def check_target(target: Target) -> list[Problem]:
    """Return what speaks against profiling a container from outside."""
    runtime = target.container.runtime
    for part, product in _RUNTIMES.items():
        if part in runtime:
            return [
                _error(
                    f"{target.name} runs under {product}: its stacks cannot be seen from the host",
                    f"its runtime is {runtime}",
                    "profile from inside the container, with the language's own profiler",
                )
            ]
    if not target.processes:
        return [
            _error(
                f"no process of {target.name} is visible to the login",
                f"its main process should be pid {target.container.pid}",
                "is /proc mounted with hidepid? log in as root, or set ansible_become",
            )
        ]
    return []


def _error(what: str, evidence: str, fix: str) -> Problem:
    return Problem(Severity.ERROR, what, evidence, fix)
