from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import InventoryError
from remote_prof.inventory import load_inventory


def load(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "hosts"
    path.write_text(text)
    return {host.name: dict(host.vars) for host in load_inventory(path).hosts}


def test_connection_variables(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(
        "[web]\nw:2222 ansible_host=192.0.2.1 ansible_become=yes ansible_password=1234\n"
        "[web:vars]\nansible_user=ops\nansible_ssh_common_args=-o ProxyJump=bastion\n"
    )
    (host,) = load_inventory(path).select("web")
    assert (host.address, host.port, host.user) == ("192.0.2.1", 2222, "ops")
    assert (host.password, host.jump) == ("1234", "bastion")
    assert host.become is not None
    assert host.become.always


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("[web\nw1\n", "hosts:1: '[web' has a bracket that is no range", "web[01:20]"),
        ("[a b]\nw1\n", "hosts:1: '[a b]' is no section", "without spaces"),
        ("[web:hots]\n", "hosts:1: the section [web:hots] is of an unknown kind", "[group:vars]"),
        ("[web:vars]\na=1\n", "hosts:1: [web:vars] is of a group that is not there", "[web]"),
        ("[a:children]\nb\n", "hosts:2: [a:children] names 'b', and there is no such", "[b]"),
        ("[a:children]\nb c\n", "hosts:2: 'b c' is no name of a group", "one group a line"),
        ("[a]\n[a:vars]\nx\n", "hosts:3: 'x' is no variable", "name=value"),
        ("w1 x\n", "hosts:1: 'x' is no variable of the host 'w1'", "quotes around spaces"),
        ("w1 a='x\n", "hosts:1: a host cannot be read: no closing quotation", "quotes"),
        ("w1: \n[a]\n", "hosts:1: 'w1:' looks like YAML", "one of the two forms"),
        ("---\n[a]\n", "hosts:1: '---' looks like YAML", "one of the two forms"),
        ("w[1:3\n", "hosts:1: 'w[1:3' has a bracket that is no range", "web[01:20]"),
        ("w[3:1]\n", "hosts:1: the range [3:1] ends before it begins", ""),
        ("w1 a={[1]:2}\n", "hosts:1: the value of a looks like Python and is not", "quotes"),
        ("w1 ansible_port=x\n", "hosts:1: ansible_port should be a whole number", ""),
        ("w1 ansible_password=[]\n", "hosts:1: ansible_password should be text, in quotes", ""),
        ("w1 remote_prof_imgae=x\n", "hosts:1: remote_prof_imgae is not a variable", "image?"),
        ("[a]\n[a:vars]\nansible_group_priority=x\n", "hosts:3: ansible_group_priority", ""),
        ("[a:children]\nb\n[b:children]\na\n", "hosts:4: the group 'a' contains itself", "rem"),
        ("a/b\n", "hosts:1: 'a/b' cannot be the name of a host", ""),
    ],
)
def test_mistakes_are_told_with_file_and_line(
    tmp_path: Path, text: str, what: str, hint: str
) -> None:
    with pytest.raises(InventoryError) as caught:
        load(tmp_path, text)
    error = caught.value
    assert error.what.replace(f"{tmp_path}/", "").startswith(what)
    assert hint in error.hint
    assert "\n" not in error.what + error.evidence + error.hint


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", []),
        ("# nothing\n", []),
        ("web1\nweb2\n", ["web1", "web2"]),
        ("2001:db8::1\n", ["2001:db8::1"]),
        ("web1 a=x:y\n", ["web1"]),
        ("all:\n  hosts: a\n", ["a"]),
        ("'all': {hosts: a}\n", ["a"]),
        ("---\nall: {hosts: a}\n", ["a"]),
        ("{all: {hosts: a}}\n", ["a"]),
    ],
)
def test_which_form_a_file_without_a_suffix_has(
    tmp_path: Path, text: str, hosts: list[str]
) -> None:
    assert list(load(tmp_path, text)) == hosts


LINES = st.lists(
    st.sampled_from(
        (
            *("[a]", "[a:vars]", "[a:children]", "[b]", "h1", "h[1:3] x=1", "x=[1", "a", "b"),
            *("h:22 y='", "[", "]", "=", "x={'a': (1,)}", "[c:x]", "--- ", "\ufeff", "h x=\\"),
        )
    )
    | st.text(max_size=12),
    max_size=8,
).map("\n".join)


@given(LINES)
def test_no_text_is_too_odd(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "odd"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        inventory = load_inventory(path)
    except InventoryError:
        return
    assert set(inventory.groups["all"]) == {host.name for host in inventory.hosts}
