"""The target containers of every host, and what a right profile of them shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .model import LANGUAGES_IMAGE, TARGET_IMAGE

API_SHARES: Mapping[str, float] = {
    "main": 1.0,
    "serve": 1.0,
    "handle_request": 1.0,
    "hot_leaf": 0.95,
    "render_reply": 0.57,
    "parse_request": 0.19,
    "compress_body": 0.19,
    "write_log": 0.05,
}
"""Shares of the on-CPU samples of ``api`` whose user stack contains each function.

Samples taken in the kernel count with the user stack that led there: those of ``write_log``.
Of samples taken in user code alone the callers of hot_leaf have 0.2, 0.6 and 0.2.
"""

WAITS = ("waits", "waits-glibc", "waits-musl")
"""The processes of ``waits``: linked statically, with glibc, with musl."""

API_WORKERS = 2
DEEP_FRAMES = 300
BURN_S = 4


_ALONE = ("--network", "none")


@dataclass(frozen=True)
class Target:
    """A target container: what it runs, and whether ``up`` starts it or only creates it."""

    name: str
    command: tuple[str, ...]
    options: tuple[str, ...] = _ALONE
    start: bool = True
    image: str = TARGET_IMAGE


def targets(api_load: float) -> tuple[Target, ...]:
    """Give the targets of a host on which ``api`` is to use ``api_load`` of a core."""
    per_worker = max(1, round(1000 * api_load / API_WORKERS))
    workers = f"/opt/app/svc serve {per_worker} & " * API_WORKERS
    waits = " ".join(f"/opt/app/{name} &" for name in WAITS)
    small = str(max(10, round(1000 * api_load / 5)))
    return (
        Target("api", ("sh", "-c", f"{workers}wait"), options=()),
        Target("deep", ("/opt/app/svc", "deep", str(DEEP_FRAMES), small)),
        Target("nofp", ("/opt/app/svc-nofp", "serve", small)),
        Target("frameless", ("/opt/app/svc-frameless", "serve", "300"), start=False),
        Target("waits", ("sh", "-c", f"{waits} wait")),
        _language("python", "python3", "/opt/app/app.py"),
        _language("node", "node", "/opt/app/app.js"),
        _language("java", "java", *JAVA_OPTIONS, "App"),
        _language("go", "/opt/app/app-go", "6060"),
        # One of each in the same container.
        _language("mixed", "sh", "-c", MIXED),
        Target("idle", ("sleep", "1000000")),
        Target("exiting", ("/opt/app/svc", "burn", str(BURN_S)), start=False),
        Target("stopped", ("true",), start=False),
        Target("web-1", ("sleep", "1000000"), _compose("web")),
        Target("web-2", ("sleep", "1000000"), _compose("worker")),
    )


# Without places in compiled code, Flight Recorder before JDK 25 sees nothing of a loop like ours.
_PLACES = ("-XX:+UnlockDiagnosticVMOptions", "-XX:+DebugNonSafepoints")
JAVA_SECRET = "k3y-0f-a-property"
JAVA_OPTIONS = (
    *("-Xmx64m", "-XX:+UseSerialGC", *_PLACES, f"-Dpassword={JAVA_SECRET}"),
    *("-cp", "/opt/app"),
)
MIXED = (
    "/opt/app/svc serve 50 & python3 /opt/app/app.py & node /opt/app/app.js & "
    f"java {' '.join(JAVA_OPTIONS)} App & /opt/app/app-go 6060 & wait"
)
"""Commands of a container with a native, a Python, a Node, a Java and a Go process."""


def _language(name: str, *command: str) -> Target:
    """Give a target that is started for its tests alone: it takes CPU time from others."""
    options = (*_ALONE, "--user", "1000:1000")
    return Target(name, command, options, start=False, image=LANGUAGES_IMAGE)


def _compose(service: str) -> tuple[str, ...]:
    labels = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
    }
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    return (*_ALONE, *words)


def create_argv(target: Target) -> list[str]:
    """Give the arguments of docker that make a target."""
    verb = ["run", "-d"] if target.start else ["create"]
    options = ["--name", target.name, "--stop-timeout", "1", *target.options]
    return [*verb, *options, target.image, *target.command]
