"""The choice of engines: each process by the profiler that is made for what it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from remote_prof.engines.base import Engine, Event, ProfileRequest
from remote_prof.engines.sidecar import none_runs
from remote_prof.errors import UsageError
from remote_prof.host.facts import HostFacts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target
from remote_prof.records import Problem, Severity

AUTO = "auto"
_MOST_NAMED = 4

# What a process would have to be started with for more than its own profiler shows.
_ONE_FLAG_MORE = (
    (
        "Java",
        "-XX:+DebugNonSafepoints",
        "it can place samples of compiled loops (-XX:+UnlockDiagnosticVMOptions goes before)",
    ),
    (
        "Java",
        "-XX:+PreserveFramePointer",
        "bpftrace can walk through Java's frames, and has the JVM name them",
    ),
    (
        "Node.js",
        "--perf-basic-prof",
        "bpftrace names its functions, below the kernel's and the native ones",
    ),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The engines that profile a target, and what each is given; ``problems`` say why those."""

    engines: tuple[tuple[Engine, Target], ...]
    problems: tuple[Problem, ...] = ()


class Engines:
    """Finds engines and their events by name. ``auto`` stands for all of them."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines

    def named(self, name: str) -> tuple[Engine, ...]:
        """Return the engines that a name stands for. Raises UsageError."""
        found = tuple(engine for engine in self._engines if name in (engine.name, AUTO))
        if not found:
            names = ", ".join([AUTO, *(engine.name for engine in self._engines)])
            raise UsageError(f"there is no engine {name}", hint=f"there are: {names}")
        return found

    def events(self, name: str) -> Mapping[str, Event]:
        """Return what those can measure; what several call the same, the first of them measures."""
        found: dict[str, Event] = {}
        for engine in self.named(name):
            for event in engine.events.values():
                found.setdefault(event.name, event)
        return found

    def options(self, name: str, event: str) -> frozenset[str]:
        """Return the fields of a request that one of them heeds which measures an event."""
        able = (engine for engine in self.named(name) if event in engine.events)
        return frozenset().union(*(engine.options for engine in able))

    def choose(
        self, name: str, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> Choice:
        """Choose for a target; all that speaks against it is said.

        ``auto``: CPU time is sampled by bpftrace (by perf, where stacks are to be unwound as that
        alone can), and what that does not see whole by the language's own profiler, too. What
        else is measured has one engine, the first that can; but what profilers of several languages
        measure and none of any program (a dump), each measures of its own processes. Who gives
        a library for one of them means that one. Without a
        target it is what can be said of the host.
        """
        engines = self.named(name)
        able = [engine for engine in engines if request.event in engine.events]
        if name == AUTO and request.call_graph != "fp":
            able = [e for e in able if e.language or "call_graph" in e.options] or able
        if name == AUTO and request.async_profiler and request.event != "cpu":
            able = [e for e in able if "async_profiler" in e.options] or able
        first = able[0]
        if target is not None and len(able) > 1 and all(engine.language for engine in able):
            return _of_their_own(able, request, facts, target)
        if name != AUTO or target is None or first.language or request.event != "cpu":
            against = first.problems(request, facts, target)
            return Choice(((first, target),) if target else (), tuple(against))
        against_first = first.problems(request, facts, target)
        apart = [engine for engine in able[1:] if not engine.events["cpu"].seen_whole]
        chosen, problems = _by_language(apart, request, facts, target)
        problems = [_no_error(problem) for problem in problems]
        if not chosen or not any(p.severity is Severity.ERROR for p in against_first):
            others = [
                p.pid for e, _ in chosen for p in target.processes if p.language == e.language
            ]
            chosen.insert(0, (first, replace(target, others=tuple(others))))
        else:
            against_first = list(map(_no_error, against_first))
        problems += _for_nothing(chosen, request)
        return Choice(tuple(chosen), (*against_first, *problems, *_one_flag_more(target)))


def _by_language(
    engines: Sequence[Engine], request: ProfileRequest, facts: HostFacts, target: Target
) -> tuple[list[tuple[Engine, Target]], list[Problem]]:
    """Return the engines whose language runs in a target and that can, and what is said of each."""
    chosen: list[tuple[Engine, Target]] = []
    problems: list[Problem] = []
    for engine in engines:
        own = [p for p in target.processes if p.language == engine.language]
        # Of several for one language it is the first.
        if not own or engine.language in {other.language for other, _ in chosen}:
            continue
        part = replace(target, processes=tuple(own)) if target.scope == "process" else target
        against = engine.problems(request, facts, part)
        if not any(problem.severity is Severity.ERROR for problem in against):
            chosen.append((engine, part))
            problems.append(_chosen(engine, own))
        problems += against
    return chosen, problems


def _of_their_own(
    engines: Sequence[Engine], request: ProfileRequest, facts: HostFacts, target: Target
) -> Choice:
    """Choose for what no engine of any program measures: one that cannot costs no other."""
    chosen, problems = _by_language(engines, request, facts, target)
    if not chosen and not problems:
        # Where the login does not see what runs, nothing tells Go: whoever can look, looks.
        for engine in engines:
            against = engine.problems(request, facts, target)
            if not any(problem.severity is Severity.ERROR for problem in against):
                return Choice(((engine, target),), tuple(against))
    if chosen:
        problems = list(map(_no_error, problems))
    elif not problems:
        what = " and no ".join(engine.language for engine in engines)
        names = " or ".join(engine.name for engine in engines)
        fix = f"name the process (--process, --pid) and what it runs (--engine {names})"
        problems = [none_runs(target, what, fix)]
    return Choice(tuple(chosen), tuple(problems))


def _chosen(engine: Engine, processes: Sequence[Process]) -> Problem:
    what = f"{engine.language} is profiled by {engine.name}"
    named = [f"{p.pid} {_evidence(p)}" for p in processes[:_MOST_NAMED]]
    named += ["..."] if len(processes) > _MOST_NAMED else []
    return Problem(Severity.NOTE, what, ", ".join(named))


def _evidence(process: Process) -> str:
    if process.runtime == "go":
        return f"{process.name} has a build id of Go"
    if process.runtime:
        return f"{process.name} has loaded lib{process.runtime}"
    if process.program:
        return f"runs {process.program}"
    return f"is called {process.name} (the login may not see what it runs)"


def _no_error(problem: Problem) -> Problem:
    # What one profiler cannot do bpftrace does, after its fashion.
    if problem.severity is not Severity.ERROR:
        return problem
    return replace(problem, severity=Severity.WARNING)


def _for_nothing(
    chosen: Sequence[tuple[Engine, Target]], request: ProfileRequest
) -> Iterator[Problem]:
    if request.async_profiler and not any("async_profiler" in e.options for e, _ in chosen):
        yield Problem(
            Severity.WARNING,
            "no JVM is sampled by async-profiler",
            "none that it could be loaded into was found",
            "name the process (--process, --pid), and --engine java",
        )


def _one_flag_more(target: Target) -> Iterator[Problem]:
    for language, flag, gain in _ONE_FLAG_MORE:
        without = [
            p for p in target.processes if p.language == language and flag not in p.arguments
        ]
        if without:
            yield Problem(
                Severity.NOTE,
                f"started with {flag}, {language} would show more: {gain}",
                f"{without[0].pid} {without[0].name} was started without it",
            )
