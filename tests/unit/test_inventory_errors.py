from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ExitCode, InventoryError
from remote_prof.inventory import load_inventory
from remote_prof.inventory.assemble import assemble
from remote_prof.inventory.read import Tools, read_source
from remote_prof.inventory.source import Source


def refused(tmp_path: Path, content: str | bytes) -> InventoryError:
    path = tmp_path / "hosts.yml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InventoryError) as caught:
        load_inventory(path)
    error = caught.value
    assert error.exit_code == ExitCode.USAGE
    assert "\n" not in error.what + error.evidence + error.hint
    error.what = error.what.replace(f"{tmp_path}/", "")
    error.evidence = error.evidence.replace(f"{tmp_path}/", "")
    return error


HOSTS = "all:\n  hosts:\n    web1:\n      "


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (
            HOSTS + "remote_prof_imgae: x",
            "hosts.yml:4: remote_prof_imgae is not a variable of remote-prof",
            "did you mean remote_prof_image?",
        ),
        (
            HOSTS + "remote_prof_zzz: x",
            "hosts.yml:4: remote_prof_zzz is not a variable of remote-prof",
            "there are remote_prof_image, remote_prof_engine, ",
        ),
        (
            "all:\n  host:\n    a:\n",
            "hosts.yml:2: the group 'all' has the unknown key 'host'",
            "did you mean 'hosts'?",
        ),
        (
            "all:\n  childs:\n    a:\n",
            "hosts.yml:2: the group 'all' has the unknown key 'childs'",
            "did you mean 'children'?",
        ),
        (
            "all:\n  web1:\n    ansible_host: x\n",
            "hosts.yml:2: the group 'all' has the unknown key 'web1'",
            "it may hold hosts, vars, children; a host belongs under `hosts:`",
        ),
        (
            "all:\n  ansible_user: x\n",
            "hosts.yml:2: the group 'all' has the unknown key 'ansible_user'",
            "it may hold hosts, vars, children; a variable belongs under `vars:`",
        ),
        (
            "hosts:\n  web1:\n",
            "hosts.yml:1: the key 'hosts' belongs into a group",
            "write `all:` above and indent `hosts:` below it",
        ),
        (
            "all:\n  hosts:\n    - web1\n",
            "hosts.yml:2: 'hosts' of the group 'all' is a list where a mapping is needed",
            "write each name in its own line with a colon after it: `web1:`",
        ),
        (
            "all:\n  vars:\n    - a: 1\n",
            "hosts.yml:2: 'vars' of the group 'all' is a list where a mapping is needed",
            "write one variable a line: `name: value`",
        ),
        (
            "all:\n  children: [web]\n",
            "hosts.yml:2: 'children' of the group 'all' is a list where a mapping is needed",
            "write each name in its own line",
        ),
        (
            "all:\n  hosts:\n    web1: 10.0.0.1\n",
            "hosts.yml:3: the host 'web1' is a single value where its variables are needed",
            "did you mean `web1: {ansible_host: ...}`?",
        ),
        (
            "web: web1\n",
            "hosts.yml:1: the group 'web' is a single value where a mapping is needed",
            "a group holds",
        ),
        (
            "all:\n  hosts:\n    no:\n",
            "hosts.yml:3: the name of a host is False in YAML, where text is needed",
            "put the name in quotes",
        ),
        ("1:\n  hosts: a\n", "hosts.yml:1: the name of a group is 1 in YAML", "quotes"),
        (
            HOSTS + "ansible_port: abc",
            "hosts.yml:4: ansible_port should be a whole number from 1 to 65535, not 'abc'",
            "",
        ),
        (
            "all:\n  vars: {ansible_port: 70000}\n",
            "hosts.yml:2: ansible_port should be a whole number from 1 to 65535, not 70000",
            "",
        ),
        (
            "all:\n  hosts:\n    web1:70000:\n",
            "hosts.yml:3: the port of 'web1' should be a whole number from 1 to 65535, not 70000",
            "",
        ),
        (
            HOSTS + "ansible_host: 10.1",
            "hosts.yml:4: ansible_host should be a host name or an address, not 10.1",
            "",
        ),
        (
            HOSTS + "ansible_become: maybe",
            "hosts.yml:4: ansible_become should be 'true' or 'false', not 'maybe'",
            "",
        ),
        (
            HOSTS + "ansible_become_password: [s3cret]",
            "hosts.yml:4: ansible_become_password should be text, in quotes",
            "",
        ),
        (
            HOSTS + "remote_prof_engine_sudo: sometimes",
            "hosts.yml:4: remote_prof_engine_sudo should be 'auto', 'always' or 'never', not 'so",
            "",
        ),
        (HOSTS + "remote_prof_runner: swarm", "hosts.yml:4: remote_prof_runner should be", ""),
        (HOSTS + "remote_prof_tmp: tmp", "hosts.yml:4: remote_prof_tmp should be", ""),
        (HOSTS + "remote_prof_engine: bin/docker", "hosts.yml:4: remote_prof_engine should", ""),
        (HOSTS + "remote_prof_known_hosts: {a: b}", "hosts.yml:4: remote_prof_known_hosts", ""),
        (HOSTS + "remote_prof_connect_timeout: 0", "hosts.yml:4: remote_prof_connect_timeout", ""),
        (HOSTS + "remote_prof_connect_timeout: yes", "hosts.yml:4: remote_prof_connect_time", ""),
        (HOSTS + "remote_prof_image: ''", "hosts.yml:4: remote_prof_image should be", ""),
        (HOSTS + 'ansible_user: "a\\nb"', "hosts.yml:4: ansible_user should be", ""),
        (
            "all:\n  vars: {ansible_group_priority: high}\n",
            "hosts.yml:2: ansible_group_priority should be a whole number, not 'high'",
            "",
        ),
        (
            "all:\n  hosts:\n    web[3:1]:\n",
            "hosts.yml:3: the range [3:1] ends before it begins",
            "",
        ),
        (
            "all:\n  hosts:\n    web[1:999999]:\n",
            "hosts.yml:3: 'web[1:999999]' stands for more than 100000 hosts",
            "",
        ),
        (
            "all:\n  hosts:\n    a/../b:\n",
            "hosts.yml:3: 'a/../b' cannot be the name of a host",
            "",
        ),
    ],
)
def test_mistakes_are_told_with_file_line_and_key(
    tmp_path: Path, text: str, what: str, hint: str
) -> None:
    error = refused(tmp_path, text)
    assert error.what.startswith(what)
    assert error.hint.startswith(hint) or hint in error.hint
    assert "s3cret" not in error.what


@pytest.mark.parametrize(
    ("text", "line", "first"),
    [
        ("all:\n  hosts:\n    a:\n    b:\n    a:\n", 5, 3),
        ("all:\n  hosts: a\nall:\n  hosts: b\n", 3, 1),
        ("all:\n  vars:\n    x:\n      y: 1\n      y: 2\n", 5, 4),
    ],
)
def test_a_key_for_the_second_time(tmp_path: Path, text: str, line: int, first: int) -> None:
    error = refused(tmp_path, text)
    assert error.what.startswith(f"hosts.yml:{line}: the key ")
    assert error.evidence == f"the first one is at hosts.yml:{first}"


def test_a_key_may_replace_a_merged_one(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("all:\n  vars: &a {x: 1, y: 1}\n  hosts: {h: {<<: *a, y: 2}}\n")
    assert load_inventory(path).hosts[0].vars == {"x": 1, "y": 2}


def test_groups_in_a_ring(tmp_path: Path) -> None:
    text = "a:\n  children:\n    b:\n      children:\n        c:\nc:\n  children:\n    a:\n"
    error = refused(tmp_path, text)
    assert error.what == "hosts.yml:8: the group 'a' contains itself: a > b > c > a"
    assert error.evidence == "'b' below 'a' at hosts.yml:3, 'c' below 'b' at hosts.yml:5"


@pytest.mark.parametrize("text", ["a:\n  children: a\n", "a:\n  children: all\n"])
def test_short_rings(tmp_path: Path, text: str) -> None:
    assert "contains itself" in refused(tmp_path, text).what


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        ("", "hosts.yml is empty", "it begins with a group"),
        ("# nothing\n", "hosts.yml is empty", "it begins with a group"),
        ("---\n", "hosts.yml is empty", "it begins with a group"),
        ("- a\n", "hosts.yml:1: an inventory is a mapping of groups, and this is a list", ""),
        ("web1\n", "hosts.yml:1: an inventory is a mapping of groups", ""),
        ("all:\n\thosts:\n", "hosts.yml:2:1: found character ", "not allow tabs"),
        ("all:\n  hosts:\n a: b\n", "hosts.yml:3:2: ", "indentation"),
        ("all: [1\n", "hosts.yml:2:1: ", ""),
        ("a: {{ x }}\n", "hosts.yml:1:5: a key is a list or a mapping", "put in quotes"),
        ("all:\n  vars:\n    x: {{ y }}\n", "hosts.yml:3:9: a key is", "put in quotes"),
        ("all: *nowhere\n", "hosts.yml:1:6: found undefined alias", ""),
        ("all: {}\n---\nall: {}\n", "hosts.yml:2:1: but found another document", ""),
        ("all:\n  vars: {x: !ruby x}\n", "hosts.yml:2:13: could not determine a", "!vault"),
        ("all:\n  vars: {x: !!python/name:os.system x}\n", "hosts.yml:2:13: could not", ""),
        ("all:\n  vars: {x: 2024-13-45}\n", "hosts.yml:2: a value that looks like a time", ""),
        ("all:\n  vars: {x: !!int x}\n", "hosts.yml:2: a value that looks like a int", ""),
        ("all:\n  vars: {x: !!bool x}\n", "hosts.yml:2: a value that looks like a bool", ""),
        ("plugin: aws_ec2\n", "hosts.yml is read by a plugin of Ansible", "--yaml"),
        (b"#!/bin/sh\n", "hosts.yml is an inventory script that may not be", "chmod +x"),
        (b"all:\n\x00\x01", "hosts.yml:2: the character 0x00 may not be", ""),
        (b"all:\n  \xff\xfe", "hosts.yml:2: the byte 0xff is not UTF-8 text", ""),
        (b"\x7fELF\x02\x01\x01\x00", "hosts.yml:1: the character 0x7f", ""),
        ("a: &a [*a]\n", "hosts.yml:1: an alias leads back into its own anchor", ""),
        ("a: " + "[" * 100_000, "hosts.yml:1: nested more than 60 levels deep", ""),
        ("- " * 100_000 + "x", "hosts.yml:1: nested more than 60 levels deep", ""),
    ],
)
def test_files_that_are_no_inventory(
    tmp_path: Path, content: str | bytes, what: str, hint: str
) -> None:
    error = refused(tmp_path, content)
    assert error.what.startswith(what)
    assert hint in error.hint


@pytest.mark.parametrize("use", ["[%s]", "{<<: [%s]}"])
def test_aliases_cannot_blow_up(tmp_path: Path, use: str) -> None:
    lines = ["all:", "  vars:", "    a0: &a0 {x: 1}"]
    for n in range(1, 12):
        aliases = ", ".join([f"*a{n - 1}"] * 9)
        lines.append(f"    a{n}: &a{n} {use % aliases}")
    error = refused(tmp_path, "\n".join(lines))
    assert error.what == "hosts.yml: its aliases stand for more than 200000 values"


def test_a_long_chain_of_groups(tmp_path: Path) -> None:
    lines = [f"g{n}: {{children: {{g{n + 1}: }}}}" for n in range(1100)]
    path = tmp_path / "hosts.yml"
    path.write_text("\n".join([*lines, "g1100: {hosts: {deep: }}"]))
    assert len(load_inventory(path).hosts[0].groups) == 1101


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="there is no inventory file"):
        load_inventory(tmp_path / "no.yml")
    looped = tmp_path / "loop.yml"
    looped.symlink_to(looped)
    with pytest.raises(InventoryError, match="cannot be read: Too many levels"):
        load_inventory(looped)


def test_utf_8_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_bytes("\ufeffall:\n  hosts: {käse: }\n".encode())
    assert [host.name for host in load_inventory(path).hosts] == ["käse"]


WORDS = st.sampled_from(
    [
        "all",
        "hosts",
        "children",
        "vars",
        "a",
        "b[1:3]",
        "c:22",
        "<<",
        "no",
        "1",
        "*a",
        "&a",
        "{{x}}",
        "[a]",
        "ansible_port",
        "ansible_host",
        "2024-13-45",
        "~",
        "\t",
        "!vault",
        "!!int",
    ]
)
LINES = st.lists(
    st.tuples(st.integers(0, 4), WORDS, WORDS | st.just("")).map(
        lambda line: f"{'  ' * line[0]}{line[1]}: {line[2]}"
    ),
    max_size=8,
).map("\n".join)


@given(LINES | st.text(max_size=40) | st.binary(max_size=40).map(lambda b: b.decode("latin-1")))
def test_no_text_is_too_odd(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.yml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    source = Source()
    try:
        read_source(str(path), source, Tools())
        inventory = assemble(source, [str(path)])
    except InventoryError:
        return
    assert set(inventory.groups["all"]) == {host.name for host in inventory.hosts}
