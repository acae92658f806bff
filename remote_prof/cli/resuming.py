"""Jobs of earlier runs, to be gone on with: what was not kept is asked for once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from remote_prof.cli.invocation import completion
from remote_prof.errors import UsageError

if TYPE_CHECKING:
    from remote_prof.cli.flag_sets import ConnectFlags
    from remote_prof.records import Host
    from remote_prof.run.directory import RunDirectory
    from remote_prof.run.prepare import HostJob
    from remote_prof.settings import ResolvedSettings, Settings


def resumed_jobs(
    directory: RunDirectory, settings: ResolvedSettings, flags: ConnectFlags
) -> list[HostJob]:
    """Return the jobs of an earlier run, with what flags and settings say now.

    Secrets were not kept: they come from where they come from for a new run. Raises UsageError.
    """
    from remote_prof.run.launch import load_jobs

    if flags.limit is not None:
        raise UsageError("the hosts are those of the run", hint="leave --limit away")
    values, known = settings.values, _known_secrets(settings.values, flags)
    complete = completion(values, flags)
    jobs = []
    for job in load_jobs(directory):
        host, ssh = complete(known(job.host)), job.ssh
        if flags.connect_timeout is not None:
            ssh = replace(ssh, connect_timeout_s=values.connect_timeout_s)
        if flags.host_key_checking is not None:
            ssh = replace(ssh, host_key_checking=values.host_key_checking)
        jobs.append(
            replace(
                job,
                host=host,
                ssh=ssh,
                max_artifact_bytes=values.max_artifact_bytes,
                max_sidecars=values.sidecars_per_host,
            )
        )
    return jobs


def _known_secrets(settings: Settings, flags: ConnectFlags) -> Callable[[Host], Host]:
    """Return what gives a host the secrets that the inventory has for one of its name."""
    from remote_prof.cli.inventory import open_inventory

    try:
        inventory = open_inventory(settings, flags)
    except UsageError:
        if settings.inventory:
            raise
        return lambda host: host
    hosts = {host.name: host for host in inventory.hosts}

    def complete(host: Host) -> Host:
        own = hosts.get(host.name)
        if own is None:
            return host
        become = host.become
        if become is not None and own.become is not None:
            become = replace(become, password=own.become.password)
        return replace(
            host, become=become, password=own.password, key_passphrase=own.key_passphrase
        )

    return complete
