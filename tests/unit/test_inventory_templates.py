from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remote_prof.errors import InventoryError
from remote_prof.inventory import Inventory, host_settings, load_inventory


def load(tmp_path: Path, text: str) -> Inventory:
    path = tmp_path / "inventory.yml"
    path.write_text(text)
    return load_inventory(path)


def evaluated(tmp_path: Path, expression: str) -> Any:
    """What becomes of a template, seen through a variable that takes any text."""
    variables = "n: 5, who: {name: Ann}"
    text = f"all:\n  vars: {{{variables}}}\n  hosts:\n    h: {{ansible_user: {expression}}}\n"
    (host,) = load(tmp_path, text).select("h")
    return host.user


@pytest.mark.parametrize(
    ("template", "user"),
    [
        ("'{{ n }}'", "5"),
        ("'u{{ n }}-{{ n + 1 }}'", "u5-6"),
        ("'{{ who.name | lower }}'", "ann"),
        ("'{{ missing | default(\"op\") }}'", "op"),
        ("'{{ missing | default(omit) }}'", None),
        ('\'{{ who.name | regex_replace("n+", "x") }}\'', "Ax"),
        ('\'{{ "a-12" | regex_search("[0-9]+") }}\'', "12"),
        ('\'{{ "a-12" | regex_findall("[0-9]") | join }}\'', "12"),
        ('\'{{ (n > 3) | ternary("big", "small") }}\'', "big"),
        ("'{{ \"b3A=\" | b64decode }}'", "op"),
        ("'{{ \"op\" | b64encode }}'", "b3A="),
        ('\'{{ ("[\\"op\\"]" | from_json)[0] }}\'', "op"),
        ('\'{{ "/a/b" | basename }}{{ "/a/b" | dirname }}\'', "b/a"),
        ("'{{ \"yes\" | ansible.builtin.bool | string }}'", "True"),
        ('\'{{ (who | combine({"name": "Bob"})).name }}\'', "Bob"),
        ("'{% if n == 5 %}five{% endif %}'", "five"),
        ("'{{ inventory_hostname_short }}'", "h"),
        ("'{{ groups.all | first }}'", "h"),
        ("'{{ hostvars.h.who.name }}'", "Ann"),
        ('\'{{ hostvars["h"].missing | default("none") }}\'', "none"),
        ("!unsafe 'plain'", "plain"),
    ],
)
def test_templates(tmp_path: Path, template: str, user: str | None) -> None:
    assert evaluated(tmp_path, template) == user


def test_a_single_expression_keeps_its_type(tmp_path: Path) -> None:
    text = """
all:
  vars:
    base: 2000
    ansible_port: "{{ base + 22 }}"
    ansible_become: "{{ base > 3000 }}"
    remote_prof_known_hosts: "{{ [dir + '/a', 'b'] }}"
    dir: /keys
    remote_prof_image: "{{ registry }}/tool:1"
    registry: "{{ mirror | default('hub') }}.example"
  hosts: h
"""
    (host,) = load(tmp_path, text).select("h")
    assert (host.port, host.become) == (2022, None)
    assert host.known_hosts_files == ("/keys/a", str(tmp_path / "b"))
    assert host_settings(host).image == "hub.example/tool:1"


def test_variables_of_other_hosts(tmp_path: Path) -> None:
    text = """
edge:
  hosts:
    bastion: {ansible_host: "{{ ip }}", ip: 192.0.2.1}
inner:
  hosts: {a: , b: }
  vars:
    ansible_ssh_common_args: "-J {{ hostvars[groups['edge'][0]].ansible_host }}"
"""
    assert [host.jump for host in load(tmp_path, text).select("inner")] == ["192.0.2.1"] * 2


@pytest.mark.parametrize(
    "expression",
    [
        "lookup('file', '/etc/passwd')",
        "query('env', 'HOME')",
        "''.__class__.__mro__[1].__subclasses__()",
        "cycler.__init__.__globals__",
        "self.__init__.__globals__",
        "hostvars.__class__",
        "(1).__class__.__base__",
        "'%s' | format(x.__class__)",
        "'x' * 9999999",
        "2 ** 9999999",
        "range(99999999) | list",
        "groups.all.append('x')",
    ],
)
def test_a_template_gets_at_nothing(tmp_path: Path, expression: str) -> None:
    path = tmp_path / "inventory"
    path.write_text(f'h ansible_user="{{{{ {expression} }}}}"\n')
    with pytest.raises(InventoryError, match="ansible_user of the host 'h' is not known"):
        load_inventory(path).select("h")


def test_variables_that_refer_to_each_other_over_hosts(tmp_path: Path) -> None:
    text = """
all:
  hosts:
    a: {ansible_host: "{{ hostvars.b.ansible_host }}"}
    b: {ansible_host: "{{ hostvars.a.ansible_host }}"}
"""
    with pytest.raises(InventoryError, match="it refers to itself: ansible_host > ansible_host"):
        load(tmp_path, text).select("a")


def test_what_fails_names_the_variable_and_its_file(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("---\nansible_host: '{{ prefix }}-x'\n")
    (tmp_path / "hosts").write_text("a\nb prefix=ok\n")
    inventory = load_inventory(tmp_path / "hosts")
    assert [host.address for host in inventory.select("b")] == ["ok-x"]
    with pytest.raises(InventoryError) as caught:
        inventory.select("all")
    assert caught.value.what == (
        f"{tmp_path}/group_vars/all.yml:2: ansible_host of the host 'a' is not known: "
        "'prefix' is undefined"
    )
    assert "':!a'" in caught.value.hint
