from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from remote_prof.errors import ExitCode, InventoryError
from remote_prof.inventory import (
    Inventory,
    host_settings,
    load_inventory,
    resolve_inventory,
)
from remote_prof.inventory.ssh_arguments import SshArguments, parse_ssh_arguments
from remote_prof.inventory.variables import OWN_VARIABLES, SECRETS
from remote_prof.records import Become, Host

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data" / "ansible"
RECORDED: list[dict[str, Any]] = json.loads((DATA / "recorded.json").read_text())["cases"]


def load(tmp_path: Path, text: str) -> Inventory:
    path = tmp_path / "inventory.yml"
    path.write_text(text)
    return load_inventory(path)


def only_host(tmp_path: Path, variables: str) -> Host:
    (host,) = load(tmp_path, f"all:\n  hosts:\n    web1: {{{variables}}}\n").select("all")
    return host


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: str(case["inventory"]))
def test_reads_what_ansible_reads(case: dict[str, Any]) -> None:
    inventory = load_inventory(DATA / case["inventory"])
    variables = {host.name: json.loads(json.dumps(host.vars)) for host in inventory.hosts}
    assert {name: found for name, found in variables.items() if found} == case["hostvars"]
    groups = {name: list(hosts) for name, hosts in inventory.groups.items() if hosts}
    # With a name for both, the recording holds the host.
    for name in ["all", *variables]:
        groups.pop(name, None)
    expected = {name: hosts for name, hosts in case["groups"].items() if hosts}
    assert groups == {name: hosts for name, hosts in expected.items() if name not in variables}


def test_the_example_is_complete() -> None:
    text = (ROOT / "inventory.example").read_text()
    inventory = load_inventory(ROOT / "inventory.example")
    assert inventory.problems == ()
    assert inventory.blocked == {}
    assert [host.name for host in inventory.select("production")] == [
        "shop-01",
        "shop-02",
        "shop-03",
        "shop-canary",
        "db-primary.example.com",
        "db-replica.example.com",
        "vault-1",
    ]
    for name in OWN_VARIABLES:
        assert f"{name}:" in text
    for host in inventory.hosts:
        assert host_settings(host).image


def test_the_example_says_what_its_comments_say() -> None:
    inventory = load_inventory(ROOT / "inventory.example")
    (canary,) = inventory.select("shop-canary")
    assert (canary.address, canary.port, canary.user) == ("192.0.2.17", 2222, "deploy")
    assert canary.groups == ("production", "shop")
    assert canary.known_hosts_files[1] == str(ROOT / "known_hosts.customer")
    (replica,) = inventory.select("db-replica.example.com")
    assert replica.become == Become(always=True)
    assert host_settings(replica).engine == "podman"
    assert host_settings(replica).tmp == "/var/tmp"
    (here,) = inventory.select("127.0.0.1")
    assert (here.name, here.connection) == ("localhost", "local")


def test_everything_that_decides_how_a_host_is_reached(tmp_path: Path) -> None:
    host = only_host(
        tmp_path,
        "ansible_host: 10.0.0.1, ansible_port: '2222', ansible_user: 1000, "
        "ansible_ssh_private_key_file: ~/key, ansible_connection: ansible.builtin.ssh, "
        "ansible_become: yes, ansible_become_user: op, "
        "ansible_become_method: ansible.builtin.sudo, "
        "ansible_become_password: 's3cret', remote_prof_known_hosts: [kh, /kh]",
    )
    assert host == Host(
        name="web1",
        address="10.0.0.1",
        port=2222,
        user="1000",
        identity_files=(str(Path("~/key").expanduser()),),
        known_hosts_files=(str(tmp_path / "kh"), "/kh"),
        become=Become(always=True, method="sudo", user="op", password="s3cret"),
        groups=("ungrouped",),
        vars=host.vars,
    )
    assert "s3cret" not in repr(host)
    assert not SECRETS & host.vars.keys()


def test_old_names_win_as_in_ansible(tmp_path: Path) -> None:
    # Checked with ansible-core 2.19: of two names the one that its plugin lists last is taken,
    # even if the other one is set nearer to the host. A null does not count.
    text = """
all:
  vars: {ansible_ssh_port: 2001, ansible_sudo_pass: x}
  hosts:
    a: {ansible_host: one, ansible_ssh_host: two, ansible_user: u1, ansible_ssh_user: u2,
        ansible_port: 2002, ansible_private_key_file: /k1, ansible_ssh_private_key_file: /k2}
    b: {ansible_host: one, ansible_ssh_host: null}
"""
    a, b = load(tmp_path, text).select("all")
    assert (a.address, a.port, a.user, a.identity_files) == ("two", 2001, "u2", ("/k2",))
    assert b.address == "one"
    assert b.become == Become(password="x")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ("x: 1", Become(always=False)),
        ("ansible_become: true", Become(always=True)),
        ("ansible_become: 'no'", None),
        ("remote_prof_engine_sudo: always", Become(always=True)),
        ("remote_prof_engine_sudo: yes", Become(always=True)),
        ("remote_prof_engine_sudo: never, ansible_become: true", None),
        ("remote_prof_engine_sudo: no", None),
        ("remote_prof_engine_sudo: always, ansible_become: false", Become(always=True)),
    ],
)
def test_when_sudo_may_be_used(tmp_path: Path, variables: str, expected: Become | None) -> None:
    assert only_host(tmp_path, variables).become == expected


def test_our_own_variables(tmp_path: Path) -> None:
    host = only_host(
        tmp_path,
        "remote_prof_image: 'a/b:1', remote_prof_engine: /usr/bin/podman, "
        "remote_prof_results: out, remote_prof_known_hosts: kh, remote_prof_runner: compose, "
        "remote_prof_tmp: /var/tmp, remote_prof_connect_timeout: '2.5'",
    )
    found = host_settings(host)
    assert found.image == "a/b:1"
    assert found.engine == "/usr/bin/podman"
    assert found.engine_sudo == "auto"
    assert found.results == str(tmp_path / "out")
    assert found.known_hosts == (str(tmp_path / "kh"),)
    assert found.runner == "compose"
    assert found.tmp == "/var/tmp"
    assert found.connect_timeout_s == 2.5


def test_a_host_without_variables_has_defaults(tmp_path: Path) -> None:
    host = load(tmp_path, "all:\n  hosts: web1\n").select("web1")[0]
    assert host == Host("web1", "web1", become=Become(), groups=("ungrouped",))
    assert host_settings(host).image is None
    assert host_settings(Host("x", "x")).engine_sudo == "auto"


def test_inventories_are_read_only_and_travel(tmp_path: Path) -> None:
    text = "all:\n  vars: {a: {b: [1, 2]}}\n  hosts: {web1: , web2: }\n"
    inventory = load(tmp_path, text)
    assert pickle.loads(pickle.dumps(inventory)) == inventory
    variables: Any = inventory.hosts[0].vars
    assert variables == {"a": {"b": (1, 2)}}
    for change in (
        lambda: variables.update(a=1),
        lambda: variables.pop("a"),
        variables["a"].clear,
        lambda: variables.__setitem__("a", 1),
        lambda: variables.__ior__({"a": 1}),
    ):
        with pytest.raises(TypeError, match="do not change"):
            change()
    assert hash(inventory.hosts[0]) == hash(pickle.loads(pickle.dumps(inventory.hosts[0])))


def test_localhost_needs_no_inventory() -> None:
    for name in ("localhost", "127.0.0.1", "::1"):
        (host,) = Inventory().select(name)
        assert (host.name, host.address, host.connection) == (name, name, "local")


def test_an_implicit_localhost_has_the_variables_of_all_hosts(tmp_path: Path) -> None:
    text = """
all:
  vars: {ansible_user: "{{ who }}", ansible_connection: ssh, remote_prof_image: a/b:1}
  hosts: web1
"""
    (host,) = load(tmp_path, text).select("localhost")
    assert host.connection == "local"
    assert host.user is None
    assert host_settings(host).image == "a/b:1"


def test_a_localhost_in_the_inventory_is_taken(tmp_path: Path) -> None:
    inventory = load(tmp_path, "all:\n  hosts: {127.0.0.1: {ansible_connection: local, x: 1}}\n")
    (host,) = inventory.select("localhost")
    assert (host.name, host.vars["x"]) == ("127.0.0.1", 1)


def test_hosts_on_the_command_line() -> None:
    inventory = load_inventory("web1, web2:2222,[2001:db8::1]:22,web1,")
    assert [(host.name, host.port) for host in inventory.select("all")] == [
        ("web1", None),
        ("web2", 2222),
        ("2001:db8::1", 22),
    ]
    assert pickle.loads(pickle.dumps(inventory)) == inventory
    with pytest.raises(InventoryError, match="is empty"):
        load_inventory(" ,")
    with pytest.raises(InventoryError, match="from 1 to 65535"):
        load_inventory("web1:99999,")


def test_what_minus_i_takes(tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text("all:\n  hosts: a\n")
    (tmp_path / "other.yml").write_text("all:\n  hosts: b\n")
    assert [h.name for h in resolve_inventory((), tmp_path).hosts] == ["a"]
    assert [h.name for h in resolve_inventory([str(tmp_path / "other.yml")], tmp_path).hosts] == [
        "b"
    ]
    assert [h.name for h in resolve_inventory(["c,d"], tmp_path).hosts] == ["c", "d"]


def test_no_inventory_says_where_it_was_looked_for(tmp_path: Path) -> None:
    inventory = resolve_inventory((), tmp_path)
    assert inventory.select("localhost")
    for pattern in ("web1", "all", "*", "web*"):
        with pytest.raises(InventoryError, match="there is no inventory") as caught:
            inventory.select(pattern)
        assert str(tmp_path / "inventory.yml") in caught.value.evidence
        assert "-i FILE" in caught.value.hint
        assert caught.value.exit_code == ExitCode.USAGE


NEEDS = "all:\n  hosts:\n    ok:\n    web1: {%s}\n"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ("ansible_host: '{{ ip }}'", "ansible_host of the host 'web1' is not known: 'ip' is undef"),
        ("ansible_user: '{% if x %}a{% endif %}'", "'x' is undefined"),
        ("ansible_user: '{% if x %}'", "its template is wrong"),
        ('ansible_user: \'{{ lookup("env", "HOME") }}\'', "lookups are not run"),
        ("ansible_user: '{{ x | frobnicate }}'", "No filter named 'frobnicate'"),
        ("ansible_user: '{{ ansible_user }}'", "refers to itself: ansible_user > ansible_user"),
        ("ansible_user: '{{ 1 / 0 }}'", "its template fails: ZeroDivisionError"),
        ("ansible_user: '{{ 9 ** 9 ** 9 }}'", "is not evaluated by remote-prof"),
        ("ansible_user: '{{ [1] * 3 }}'", "is not evaluated by remote-prof"),
        ("ansible_user: '{{ \"\".__class__.__mro__ }}'", "is unsafe"),
        ("ansible_port: '{{ \"9\" }}x'", "should be a whole number from 1 to 65535, not '9x'"),
        ("remote_prof_image: '{{ registry }}/x'", "remote_prof_image of the host 'web1'"),
        ("remote_prof_known_hosts: ['{{ x }}']", "remote_prof_known_hosts of the host"),
        ("ansible_become: '{{ x }}'", "ansible_become of the host"),
        ("ansible_connection: docker", "is 'docker', and hosts are reached by 'ssh'"),
        ("ansible_connection: lcoal", "is 'lcoal'"),
    ],
)
def test_what_ansible_would_evaluate_is_refused_when_it_is_needed(
    tmp_path: Path, variables: str, said: str
) -> None:
    inventory = load(tmp_path, NEEDS % variables)
    assert [host.name for host in inventory.select("all:!web1")] == ["ok"]
    with pytest.raises(InventoryError) as caught:
        inventory.select("all")
    assert caught.value.what.startswith(f"{tmp_path / 'inventory.yml'}:4: ")
    assert said in caught.value.what
    assert "leave the host out with ':!web1'" in caught.value.hint


def test_a_near_miss_of_a_connection_is_named(tmp_path: Path) -> None:
    inventory = load(tmp_path, NEEDS % "ansible_connection: lcoal")
    with pytest.raises(InventoryError) as caught:
        inventory.select("web1")
    assert "did you mean 'local'?" in caught.value.hint


@pytest.mark.parametrize(
    "variables",
    [
        "greeting: '{{ x }}'",
        "ansible_host: !unsafe '{{x}}'",
        "ansible_connection: local, ansible_host: '{{ x }}', ansible_user: '{{ x }}'",
        "ansible_become: false, ansible_become_user: '{{ x }}'",
        "ansible_python_interpreter: '{{ x }}', secret: !vault abc",
    ],
)
def test_what_is_not_needed_is_left_alone(tmp_path: Path, variables: str) -> None:
    host = load(tmp_path, NEEDS % variables).select("web1")[0]
    assert host_settings(host).engine_sudo == "auto"
    assert pickle.loads(pickle.dumps(host)) == host


def test_a_password_that_is_not_known_is_only_warned_about(tmp_path: Path) -> None:
    text = "all:\n  vars: {ansible_become_password: '{{ vaulted }}'}\n  hosts: {a: , b: }\n"
    inventory = load(tmp_path, text)
    assert [host.become for host in inventory.select("all")] == [Become(), Become()]
    (problem,) = inventory.problems
    assert problem.what == "ansible_become_password is not known: 'vaulted' is undefined"
    assert problem.evidence == f"{tmp_path / 'inventory.yml'}:2"
    assert "REMOTE_PROF_BECOME_PASSWORD" in problem.fix


@pytest.mark.parametrize(
    ("variables", "what", "fix"),
    [
        ("ansible_hots: x", "ansible_hots means nothing", "did you mean ansible_host?"),
        ("ansbile_host: x", "ansbile_host means nothing", "did you mean ansible_host?"),
        ("ansible_prot: 1", "ansible_prot means nothing", "did you mean ansible_port?"),
        ("remoteprof_image: x", "remoteprof_image means", "did you mean remote_prof_image?"),
        ("ansible_ssh_common_args: -4 -J x", "not all of it is read", "~/.ssh/config"),
        ("ansible_ssh_extra_args: '-4'", "not all of it is read", "~/.ssh/config"),
        ("ansible_password: '{{ x }}'", "is not known", "REMOTE_PROF_CONNECTION_PASSWORD"),
        ("vars: {ansible_host: x}", "'vars' is taken for a variable", "directly below it"),
        ("8080: x", "is called 8080, which is not text", "quotes"),
    ],
)
def test_warnings(tmp_path: Path, variables: str, what: str, fix: str) -> None:
    inventory = load(tmp_path, NEEDS % variables)
    (problem,) = inventory.problems
    assert what in problem.what
    assert fix in problem.fix
    assert problem.evidence.startswith(f"{tmp_path / 'inventory.yml'}:4")
    assert inventory.select("all")


@pytest.mark.parametrize(
    ("arguments", "jump", "rest"),
    [
        ("", None, ()),
        ("-J bastion", "bastion", ()),
        ("-Jop@bastion:2222,second", "op@bastion:2222,second", ()),
        ("-o ProxyJump=bastion -o proxyjump=later", "bastion", ()),
        ("-oProxyJump=none", "none", ()),
        ("-o 'ProxyCommand=ssh -W %h:%p -q op@bastion'", "op@bastion", ()),
        ('-o ProxyCommand="ssh bastion -W %h:%p"', "bastion", ()),
        ("-o ProxyCommand='nc -x proxy %h %p'", None, ("-o ProxyCommand=nc -x proxy %h %p",)),
        ("-o ForwardAgent=yes -J bastion -4", "bastion", ("-o ForwardAgent=yes", "-4")),
        ("-C -o ControlMaster=auto -o ControlPersist=60s -J bastion", "bastion", ()),
        ("-J 'open", None, ("-J 'open",)),
    ],
)
def test_jump_hosts_in_arguments_of_ssh(
    arguments: str, jump: str | None, rest: tuple[str, ...]
) -> None:
    assert parse_ssh_arguments(arguments) == SshArguments(jump=jump, rest=rest)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-p 2222 -l ops -i ~/key", SshArguments(None, "ops", "2222", "~/key")),
        ("-p2222 -o User=ops -oIdentityFile=/k", SshArguments(None, "ops", "2222", "/k")),
        ("-o 'Port 22' -o port=23", SshArguments(port="22")),
        ("-p 99999 -l -x", SshArguments(rest=("-p 99999", "-l -x"))),
    ],
)
def test_other_arguments_of_ssh(arguments: str, expected: SshArguments) -> None:
    assert parse_ssh_arguments(arguments) == expected


def test_arguments_of_ssh_fill_what_variables_leave_open(tmp_path: Path) -> None:
    host = only_host(
        tmp_path,
        "ansible_user: ops, ansible_ssh_args: '-C -p 2201', "
        "ansible_ssh_common_args: '-l other -p 2202 -J one', "
        "ansible_ssh_extra_args: '-i /key -J two'",
    )
    assert (host.user, host.port, host.jump) == ("ops", 2201, "one")
    assert host.identity_files == ("/key",)


def test_secrets_and_jump_hosts_of_a_host(tmp_path: Path) -> None:
    variables = (
        "ansible_password: 1234, ansible_ssh_private_key_passphrase: pp, "
        "ansible_become_method: community.general.doas, ansible_become_pass: bp, "
        "ansible_ssh_common_args: '-o ProxyJump=bastion'"
    )
    inventory = load(tmp_path, NEEDS % variables)
    (host,) = inventory.select("web1")
    assert (host.password, host.key_passphrase, host.jump) == ("1234", "pp", "bastion")
    assert host.become == Become(method="doas", password="bp")
    assert inventory.problems == ()
    assert "1234" not in repr(host)
    assert not {"ansible_password", "ansible_become_pass"} & host.vars.keys()


def test_unknown_variables_of_ansible_are_nobodys_business(tmp_path: Path) -> None:
    variables = "ansible_python_interpreter: x, ansible_ssh_retries: 3, ansible_become_exe: x, a: 1"
    assert load(tmp_path, NEEDS % variables).problems == ()


def test_a_name_for_a_host_and_a_group(tmp_path: Path) -> None:
    inventory = load(tmp_path, "web:\n  hosts: {web: , other: }\n")
    assert [problem.what for problem in inventory.problems] == [
        "'web' is the name of a host and of a group"
    ]
    assert [host.name for host in inventory.select("web")] == ["web"]


def test_many_hosts(tmp_path: Path) -> None:
    text = "all:\n  vars: {ansible_user: x}\n  hosts:\n    n[0001:5000]: {ansible_port: 22}\n"
    inventory = load(tmp_path, text)
    assert len(inventory.select("n*")) == 5000


@pytest.mark.parametrize("method", ["su;id", "pbrun", "{{ 'runas' }}"])
def test_a_become_method_that_is_not_known_is_refused_for_its_host(
    tmp_path: Path, method: str
) -> None:
    text = (
        'all:\n  hosts:\n    a: {ansible_become_method: "%s"}\n    b:\n'
        "    c: {ansible_become_method: pbrun, ansible_become: false}\n"
    )
    inventory = load(tmp_path, text % method)
    assert [host.become for host in inventory.select("b:c")] == [Become(), None]
    with pytest.raises(InventoryError, match=r"ansible_become_method of the host 'a' should be"):
        inventory.select("a")


def test_an_empty_user_or_key_counts_as_not_set(tmp_path: Path) -> None:
    host = only_host(
        tmp_path,
        "ansible_user: '', ansible_private_key_file: '', ansible_become_user: '', "
        "ansible_ssh_user: \"{{ '' }}\", ansible_ssh_common_args: ''",
    )
    assert (host.user, host.identity_files, host.become) == (None, (), Become())
    assert host_settings(host).user is None


def test_passwords_of_other_plugins_are_secrets_too(tmp_path: Path) -> None:
    host = only_host(tmp_path, "ansible_winrm_pass: x, ansible_su_pass: y, ansible_private_key: z")
    assert host.vars == {}
