"""Jobs handed to a Dask cluster: machines near the hosts share a fleet that one cannot serve.

On each worker a plugin has what the jobs of a run share there: the connections, a directory, and
the wish to end. The wish is broadcast to the workers themselves; stages come back as events of a
topic; files come back with the result, and lie on the worker no longer than that.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import distributed

from remote_prof import __version__
from remote_prof.errors import RemoteProfError, UsageError
from remote_prof.fleet.parcel import Parcel, Task, pack_parcel, pack_task, unpack, with_own_secrets
from remote_prof.run.directory import RunDirectory
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.job import run_job
from remote_prof.run.manifest import Manifest
from remote_prof.run.prepare import HostJob
from remote_prof.run.record import first_record
from remote_prof.run.result import HostResult, Watch
from remote_prof.transport import Lines

_CONNECT_S = 10
_LOOK_S = 0.2
_SCHEMES = {"dask": "tcp", "dask+tls": "tls"}


class Site(distributed.WorkerPlugin):
    """What the jobs of a run share on one worker."""

    def __init__(self, name: str, version: str, topic: str) -> None:
        self.name = name
        self._version = version
        self._topic = topic

    def setup(self, worker: distributed.Worker) -> None:
        """Be ready on a worker. Raises RuntimeError where it has another version of ours."""
        if self._version != __version__:
            raise RuntimeError(f"remote-prof {__version__} there, {self._version} here")
        self._worker = worker
        self._lines = Lines()
        self._interrupt = Interrupt()
        self._place = tempfile.TemporaryDirectory(prefix="remote-prof-")

    def teardown(self, worker: distributed.Worker) -> None:
        """Leave nothing there."""
        del worker
        self._lines.__exit__()
        self._place.cleanup()

    def end(self, *, leaving: bool) -> None:
        """Have the jobs of this worker end."""
        self._interrupt.requested = True
        self._interrupt.leaving = leaving

    def work(self, task: Task, manifest: Manifest) -> Parcel:
        """Work a job off."""
        host = with_own_secrets(task.job.host, os.environ)
        with tempfile.TemporaryDirectory(dir=self._place.name) as place:
            directory = RunDirectory(Path(place))
            unpack(task.luggage, directory, task.job)
            job = replace(task.job, host=host, directory=directory.path)
            result = run_job(job, manifest, self._interrupt, self._told, self._lines)
            return pack_parcel(result, directory, job)

    def _told(self, host: str, stage: str) -> None:
        said = {"host": host, "stage": stage, "worker": self._worker.address}
        self._worker.log_event(self._topic, said)


def _work(name: str, task: Task, manifest: Manifest) -> Parcel:
    site = distributed.get_worker().plugins[name]
    assert isinstance(site, Site)
    return site.work(task, manifest)


def _end(name: str, dask_worker: distributed.Worker, *, leaving: bool) -> None:
    site = dask_worker.plugins.get(name)
    if isinstance(site, Site):
        site.end(leaving=leaving)


class Cluster:
    """Hands jobs to the workers of a scheduler; see ``Place``.

    ``address`` is ``dask://HOST:PORT``, or ``dask+tls://`` where Dask's own configuration has the
    certificates. Raises UsageError where there is no such cluster, RemoteProfError where its
    workers cannot take jobs.
    """

    def __init__(
        self,
        address: str,
        directory: RunDirectory,
        manifest: Manifest,
        interrupt: Interrupt,
        watch: Watch,
    ) -> None:
        self._address = address
        self._directory = directory
        # Of those that are known already nothing has to travel with each job.
        self._manifest = replace(manifest, hosts=())
        self._interrupt = interrupt
        self._watch = watch
        self._name = f"remote-prof-{manifest.run_id}"
        self._open = contextlib.ExitStack()
        self._client: Any = None
        self._over = threading.Event()

    def __enter__(self) -> Self:
        # What goes wrong is raised; nothing is printed besides.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._client = _connect(self._address)
        self._open.callback(self._client.close, timeout=_CONNECT_S)
        if not self._client.scheduler_info()["workers"]:
            raise UsageError(
                f"the cluster at {self._address} has no workers",
                hint="start some: dask worker HOST:PORT",
            )
        try:
            self._client.register_plugin(Site(self._name, __version__, self._name))
        except Exception as error:
            raise RemoteProfError(
                f"the workers of {self._address} cannot take jobs",
                evidence=str(error),
                hint="install the same version of remote-prof[dask] for all of them",
            ) from error
        self._open.callback(self._leave)
        self._client.subscribe_topic(self._name, self._hear)
        self._open.enter_context(self._interrupt.left_to_threads())
        relay = threading.Thread(target=self._relay, name="interrupt", daemon=True)
        relay.start()
        self._open.callback(self._over.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def submit(self, job: HostJob) -> Future[HostResult]:
        """See ``Place.submit``."""
        task = pack_task(job, self._directory)
        done: Future[HostResult] = Future()
        future = self._client.submit(_work, self._name, task, self._manifest, pure=False)
        future.add_done_callback(lambda each: done.set_result(self._receive(each, job)))
        return done

    def _receive(self, future: Any, job: HostJob) -> HostResult:
        try:
            parcel: Parcel = future.result()
            settled = unpack(parcel.luggage, self._directory, job)
        except RemoteProfError as error:
            return _failed(job, error)
        except (Exception, CancelledError) as error:  # noqa: BLE001  whatever Dask has to say
            return _failed(
                job,
                RemoteProfError(
                    f"{job.name}: the cluster has lost the job",
                    evidence=str(error) or type(error).__name__,
                    hint="go on with --resume: what the host still holds is fetched",
                ),
            )
        return replace(parcel.result, settled=settled)

    def _hear(self, event: tuple[float, Any]) -> None:
        message = event[1]
        self._watch(str(message["host"]), str(message["stage"]))

    def _relay(self) -> None:
        """Tell the workers what the user wishes, until all is over."""
        told = (False, False)
        while not self._over.wait(_LOOK_S):
            wish = (self._interrupt.requested, self._interrupt.leaving)
            if wish != told:
                told = wish
                with contextlib.suppress(Exception):
                    self._client.run(_end, self._name, leaving=wish[1], on_error="ignore")

    def _leave(self) -> None:
        with contextlib.suppress(Exception):
            self._client.unregister_worker_plugin(self._name)


def _failed(job: HostJob, error: RemoteProfError) -> HostResult:
    return HostResult(replace(first_record(job), error=error.what), error=error)


def _connect(address: str) -> Any:
    scheme, _, place = address.partition("://")
    if scheme not in _SCHEMES or not place:
        raise UsageError(
            f"--executor {address!r} is no cluster", hint="it is dask://HOST:PORT, or threads"
        )
    try:
        client: Any = distributed.Client
        return client(f"{_SCHEMES[scheme]}://{place}", timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"there is no Dask scheduler at {address}",
            evidence=" ".join(str(error).split())[:300],
            hint="start one: dask scheduler; it prints its address",
        ) from error
