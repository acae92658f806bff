"""What a scenario has at hand: a host, the command line, a link in between, and the moment."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.engine import Engine
from tests.lab.model import Lab, LabHost
from tests.lab.proxy import Proxy
from tests.lab.tool import Running, Stock, Tool, until

STAGES = {
    "before": "",
    "connect": "connecting",
    "facts": "reading facts",
    "deploy": "reading facts",
    "start": "starting the sidecar",
    "sampling": "sampling for",
    "stop": "stopping early",
    "fetch": "fetching",
    "clean": "cleaning the host",
    "throughout": "cleaning the host",
}
"""The stages of a run, and what the progress says when each begins.

Nothing is printed before the first connection; nor when the files go to the host: the facts that
were kept here say so.
"""

_SLOW_BYTES_PER_S = 8000
_DELAY_S = 0.1


@dataclass
class Bench:
    """One run on one host, and what is to be undone after it."""

    lab: Lab
    host: LabHost
    tool: Tool
    stock: Stock
    when: str = ""
    after: ExitStack = field(default_factory=ExitStack)
    inventory: Path | None = None
    link: Proxy | None = None

    @property
    def engine(self) -> Engine:
        """The host's container engine."""
        return Engine(self.lab, self.host)

    def start(
        self, *more: object, container: str = "api", terminal: bool = False, **env: str
    ) -> Running:
        """Start a run of one second; what is given later counts."""
        argv = ["run", "-H", self.host.name, "-C", container, "-d", 1, *more]
        if self.inventory is not None:
            argv += ["-i", self.inventory]
        running = self.tool.start(*argv, terminal=terminal, **env)
        self.after.callback(running.abandon)
        return running

    def proxy(self, **shape: float) -> Proxy:
        """Put a proxy in the way; unless told otherwise it makes short stages long."""
        if not shape:
            slow = self.when == "deploy"
            shape = {"bytes_per_s": _SLOW_BYTES_PER_S} if slow else {"delay_s": _DELAY_S}
        proxy = self.after.enter_context(Proxy((self.host.address, self.host.port), **shape))
        self.inventory = self.tool.through(proxy, self.host)
        self.link = proxy
        return proxy

    def reopen(self) -> None:
        """Have the way to the host free again. What a dead connection held back is lost."""
        if self.link is not None:
            self.link.drop()
            self.link.resume()

    def variables(self, **variables: object) -> None:
        """Say something of the host in the inventory."""
        self.inventory = self.tool.inventory(self.host, **variables)

    def reach(self, running: Running, when: str = "") -> None:
        """Wait until a run is in a stage: the row's, where no other is named."""
        when = when or self.when
        if when == "stop":
            self.reach(running, "sampling")
            running.process.send_signal(signal.SIGINT)
        running.wait_for(STAGES[when])
        if when == "deploy":
            results = running.cwd / "results"
            until("the facts were kept", lambda: any(results.rglob("facts.json")), 30)
        elif when == "sampling":
            time.sleep(0.4)

    def container(self, name: str, *command: str, options: tuple[str, ...] = ()) -> str:
        """Start a container of the targets' image, to be removed afterwards; give its id."""
        return self.container_of("lab/target:latest", name, *command, options=options)

    def container_of(
        self, image: str, name: str, *command: str, options: tuple[str, ...] = ()
    ) -> str:
        """Start a container of an image, to be removed afterwards; give its id."""
        argv = ("run", "-d", "--network", "none", "--name", name, *options, image, *command)
        container = self.host.docker(*argv)
        self.after.callback(self.host.exec, ["docker", "rm", "-f", container], check=False)
        return container

    def tidy(self) -> None:
        """Undo what the scenario did to the host and to this machine."""
        self.after.close()

    def clear_away(self) -> None:
        """Remove what a row that failed has left, so that the next one does not see it."""
        script = """
            for place in /tmp /mnt/small /home/ops; do
              for run in "$place"/remote-prof-*; do
                [ -d "$run" ] || continue
                read -r pid < "$run/launcher.pid" && kill -KILL "-$pid"
                rm -rf "$run"
              done
            done
            ids=$(docker ps -aq --filter label=remote-prof.run)
            [ -z "$ids" ] || docker rm -f $ids
        """
        self.shell(script, check=False)

    def shell(self, script: str, check: bool = True) -> str:
        """Run a script as root on the host, by the back door; give its stdout."""
        done: Any = self.host.exec(["sh", "-c", script], check=check)
        return str(done.stdout.decode())
