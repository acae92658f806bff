"""The files a lab leaves for its users: inventory, known_hosts and ssh_config. All pure."""

from __future__ import annotations

import json

from .model import DEFAULT_LOGIN, SUITES, Lab, LabHost


def known_hosts_lines(host: LabHost, public_keys: list[str]) -> list[str]:
    """Give the lines of known_hosts for a host: each of its ports with each of its keys."""
    lines = []
    for port in (host.port, host.nosftp_port, host.jump_port):
        for key in public_keys:
            kind, body = key.split()[:2]
            lines.append(f"[{host.address}]:{port} {kind} {body}")
    return lines


def inventory_text(lab: Lab) -> str:
    """Give an Ansible-style YAML inventory: hosts, one group a generation, and variables."""
    lines = ["all:", "  hosts:"]
    for host in lab.hosts.values():
        lines += [
            f"    {host.name}:",
            f"      ansible_host: {host.address}",
            f"      ansible_port: {host.port}",
            f"      ansible_user: {DEFAULT_LOGIN}",
            f"      ansible_ssh_private_key_file: {json.dumps(str(host.key))}",
        ]
    lines += ["  vars:", f"    remote_prof_known_hosts: {json.dumps(str(lab.known_hosts))}"]
    lines += ["  children:"]
    for suite, group in SUITES.items():
        members = [host.name for host in lab.hosts.values() if host.spec.suite == suite]
        if members:
            lines += [
                f"    {group}:",
                "      hosts:",
                *(f"        {name}: {{}}" for name in members),
            ]
    return "\n".join(lines) + "\n"


def ssh_config_text(lab: Lab) -> str:
    """Give the text for ``ssh -F``: NAME, NAME-nosftp and NAME-jump for every host."""
    entries = []
    for host in lab.hosts.values():
        for name, port, user in (
            (host.name, host.port, DEFAULT_LOGIN),
            (f"{host.name}-nosftp", host.nosftp_port, "nosftp"),
            (f"{host.name}-jump", host.jump_port, DEFAULT_LOGIN),
        ):
            entries.append(
                f"Host {name}\n  HostName {host.address}\n  Port {port}\n  User {user}\n"
            )
    common = (
        f'Host *\n  IdentityFile "{lab.key}"\n  IdentitiesOnly yes\n'
        f'  UserKnownHostsFile "{lab.known_hosts}"\n  GlobalKnownHostsFile /dev/null\n'
        "  StrictHostKeyChecking yes\n  BatchMode yes\n"
    )
    return "\n".join([*entries, common])
