from __future__ import annotations

from pathlib import Path

import pytest

from remote_prof.errors import HostError, InventoryError
from remote_prof.inventory import load_inventory
from remote_prof.inventory.read import Tools
from remote_prof.transport.local import run_program

TOOLS = Tools(lambda argv: run_program(argv, 10))


def program(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def says(tmp_path: Path, printed: str) -> Path:
    return program(tmp_path / "inventory.sh", f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\n")


@pytest.mark.parametrize(
    ("script", "what", "evidence"),
    [
        ("exit 3", "--list: it ends with exit code 3", ""),
        ("echo no luck >&2; exit 1", "--list: it ends with exit code 1", "no luck"),
        ("echo hello", "--list: it prints no JSON: Expecting value", "hello"),
        ("echo '[]'", "--list: it prints no mapping of groups", "of the type list"),
        ("printf '\\377'", "--list: what it prints is not UTF-8 text", ""),
        ('echo \'{"a": {"hosts": "x"}}\'', "a.hosts is not a list of names", "type str"),
        ('echo \'{"a": {"hosts": [1]}}\'', "a.hosts is not a list of names", "type list"),
        ('echo \'{"a": {"vars": [1]}}\'', "a.vars is not a mapping", "type list"),
        ('echo \'{"a": {"children": {}}}\'', "a.children is not a list of names", "type dict"),
        ("echo '{\"_meta\": 1}'", "_meta is not a mapping", "type int"),
        ("echo '{\"_meta\": {}}'", "_meta.hostvars is not a mapping", "type NoneType"),
        ('[ $1 = --list ] && echo \'{"a": ["h"]}\'', "--host h: it ends with exit code 1", ""),
    ],
)
def test_scripts_that_fail(tmp_path: Path, script: str, what: str, evidence: str) -> None:
    path = program(tmp_path / "inventory.sh", f"#!/bin/sh\n{script}\n")
    with pytest.raises(InventoryError) as caught:
        load_inventory(path, tools=TOOLS)
    assert caught.value.what.startswith(f"the inventory script {path}: {what}")
    assert evidence in caught.value.evidence
    assert f"{path} --list" in caught.value.hint


def test_a_script_without_an_interpreter(tmp_path: Path) -> None:
    path = program(tmp_path / "inventory.sh", "#!/nonexistent/interpreter\n")
    with pytest.raises(InventoryError, match="cannot be run here"):
        load_inventory(path, tools=TOOLS)


def test_a_script_that_may_not_be_executed(tmp_path: Path) -> None:
    path = program(tmp_path / "inventory.sh", "#!/bin/sh\n", 0o644)
    with pytest.raises(InventoryError, match="may not be executed") as caught:
        load_inventory(path, tools=TOOLS)
    assert f"chmod +x {path}" in caught.value.hint


def test_nothing_is_run_where_nothing_may_be(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="is an inventory script, and none is run here"):
        load_inventory(says(tmp_path, "{}"))


def test_variables_of_a_script_are_checked_like_others(tmp_path: Path) -> None:
    path = says(
        tmp_path,
        '{"_meta": {"hostvars": {"h": {"ansible_port": "x"}}}, "g": {"hosts": ["h"]}}',
    )
    with pytest.raises(InventoryError) as caught:
        load_inventory(path, tools=TOOLS)
    assert caught.value.what.startswith(f"{path}: ansible_port should be a whole number")


PLUGIN = "plugin: amazon.aws.aws_ec2\nregions: [eu-west-1]\n"


def test_a_plugin_without_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "cloud.aws_ec2.yml"
    path.write_text(PLUGIN)
    with pytest.raises(InventoryError) as caught:
        load_inventory(path, tools=TOOLS)
    assert "there is no ansible-inventory here" in caught.value.what
    assert "install ansible-core" in caught.value.hint


def test_a_plugin_is_read_by_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    program(
        programs / "ansible-inventory",
        '#!/bin/sh\n[ "$*" = "-i $WANTED --list --export" ] || exit 9\n'
        'echo \'{"_meta": {"hostvars": {"i-1": {"ansible_host": "192.0.2.1"}}}, \'\n'
        'echo \'"all": {"children": ["aws"]}, "aws": {"hosts": ["i-1"], "vars": {"a": 1}}}\'\n',
    )
    path = tmp_path / "cloud.aws_ec2.yml"
    path.write_text(PLUGIN)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("WANTED", str(path))
    (host,) = load_inventory(path, tools=TOOLS).select("aws")
    assert (host.address, host.vars["a"]) == ("192.0.2.1", 1)


def test_a_plugin_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(
        tmp_path / "ansible-inventory",
        '#!/bin/sh\necho \'{"_meta": {"hostvars": {}}}\'\n'
        "echo '[WARNING]: Failed to parse inventory: no boto3' >&2\n",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "cloud.yml"
    path.write_text(PLUGIN)
    with pytest.raises(InventoryError, match="finds no hosts") as caught:
        load_inventory(path, tools=TOOLS)
    assert "no boto3" in caught.value.evidence


def test_a_mistake_in_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("web1\n")
    (tmp_path / "b.yml").write_text("all:\n  host: x\n")
    with pytest.raises(InventoryError, match=r"b.yml:2: the group 'all' has the unknown key"):
        load_inventory(tmp_path)


def test_a_directory_without_hosts(tmp_path: Path) -> None:
    (tmp_path / "empty.yml").touch()
    with pytest.raises(InventoryError, match="has no hosts"):
        load_inventory(tmp_path).select("all")


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "text\n"])
def test_files_of_variables_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "hosts").write_text("web1\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all").write_text(text)
    with pytest.raises(InventoryError, match=r"group_vars/all:\d"):
        load_inventory(tmp_path / "hosts")


def test_our_paths_begin_at_the_source(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("web1\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "web1.yml").write_text("remote_prof_known_hosts: keys\n")
    (host,) = load_inventory(tmp_path / "hosts").select("web1")
    assert host.known_hosts_files == (str(tmp_path / "keys"),)


def test_a_program_gets_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_PROF_BECOME_PASSWORD", "hunter2")
    monkeypatch.setenv("CLOUD_TOKEN", "its own")
    printed = run_program(["env"], 10).stdout.decode()
    assert "hunter2" not in printed
    assert "CLOUD_TOKEN=its own" in printed


def test_a_program_that_does_not_end() -> None:
    with pytest.raises(HostError, match="did not end within"):
        run_program(["sleep", "5"], 0.1)
