from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ExitCode, InventoryError
from remote_prof.inventory import Inventory, load_inventory
from remote_prof.inventory.names import expand_ranges, is_address, split_port
from remote_prof.inventory.patterns import Names, match_pattern, split_pattern

DATA = Path(__file__).parent / "data" / "ansible"
RECORDED: list[dict[str, Any]] = json.loads((DATA / "recorded.json").read_text())["cases"]

NAMES = Names(
    hosts=("web1", "web2", "web3", "db1", "db2", "solo"),
    groups={
        "all": ("solo", "web1", "web2", "web3", "db1", "db2"),
        "ungrouped": ("solo",),
        "web": ("web1", "web2", "web3"),
        "db": ("db1", "db2"),
        "staging": ("web3", "db2"),
        "empty": (),
    },
)


@pytest.mark.parametrize(
    ("inventory", "pattern", "limit", "expected"),
    [
        pytest.param(
            case["inventory"],
            asked["pattern"],
            asked["limit"],
            asked["hosts"],
            id=f"{case['inventory']}-{asked['pattern']}-{asked['limit']}",
        )
        for case in RECORDED
        for asked in case["patterns"]
    ],
)
def test_selects_what_ansible_selects(
    inventory: str, pattern: str, limit: str | None, expected: list[str] | None
) -> None:
    loaded = load_inventory(DATA / inventory)
    if not expected:
        # Ansible goes on with no hosts, or stops; here it is an error in any case.
        with pytest.raises(InventoryError):
            loaded.select(pattern, limit)
        return
    assert [host.name for host in loaded.select(pattern, limit)] == expected


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        ("a", ["a"]),
        ("a,b[1], c[2:3] , d", ["a", "b[1]", "c[2:3]", "d"]),
        ("a:b", ["a", "b"]),
        ("a:&b:!c", ["a", "&b", "!c"]),
        ("web[0:2]:db", ["web[0:2]", "db"]),
        ("web[0:2]", ["web[0:2]"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("::1", ["::1"]),
        ("::1,a", ["::1", "a"]),
        ("[2001:db8::1]:22", ["[2001:db8::1]:22"]),
        ("a b", ["a", "b"]),
        ("", []),
        (" , ", []),
        ("::", ["::"]),
        (":", []),
    ],
)
def test_separators(pattern: str, pieces: list[str]) -> None:
    assert split_pattern(pattern) == pieces


def test_exclusions_come_last_wherever_they_are_written() -> None:
    assert match_pattern("!web1:web:db1", NAMES) == ["web2", "web3", "db1"]
    assert match_pattern("&staging:web:db", NAMES) == ["web3", "db2"]


def test_a_range_that_ends_before_it_begins_is_empty() -> None:
    assert match_pattern("web[2:1]", NAMES) == []


def test_an_unknown_name_lists_what_is_close_to_it() -> None:
    with pytest.raises(InventoryError) as caught:
        match_pattern("db:wbe", NAMES)
    assert caught.value.what == "no host or group is called 'wbe'"
    assert "web1 (host)" in caught.value.evidence
    assert "web (group)" in caught.value.evidence
    assert caught.value.exit_code == ExitCode.USAGE


def test_an_unknown_name_that_is_close_to_nothing_lists_the_groups() -> None:
    with pytest.raises(InventoryError, match="'zzz'") as caught:
        match_pattern("zzz", NAMES)
    assert caught.value.evidence == (
        "the inventory has 6 hosts, and the groups all, db, empty, staging, web"
    )


@pytest.mark.parametrize("pattern", ["all:!wbe1", "all:&wbe1"])
def test_a_typing_mistake_does_not_widen_a_selection(pattern: str) -> None:
    with pytest.raises(InventoryError, match="'wbe1'"):
        match_pattern(pattern, NAMES)


@pytest.mark.parametrize("pattern", ["", " ", ",", ":", ", ,"])
def test_a_pattern_without_a_name_is_not_all(pattern: str) -> None:
    with pytest.raises(InventoryError, match="names no host"):
        match_pattern(pattern, NAMES)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("~web(", "not a regular expression"),
        ("!", "no name after it"),
        ("web,&", "no name after it"),
        ("db[2]", "out of range"),
        ("db[-3]", "out of range"),
    ],
)
def test_malformed_patterns(pattern: str, said: str) -> None:
    with pytest.raises(InventoryError, match=said):
        match_pattern(pattern, NAMES)


def test_a_group_without_hosts_is_no_mistake_within_a_pattern() -> None:
    assert match_pattern("empty:web1", NAMES) == ["web1"]
    with pytest.raises(InventoryError, match="selects none of 1 hosts"):
        small().select("empty")


def test_a_limit_reads_files(tmp_path: Path) -> None:
    retry = tmp_path / "failed.retry"
    retry.write_text("b\n\n c \n")
    names = [host.name for host in several().select("all", f"@{retry}")]
    assert names == ["b", "c"]
    assert [host.name for host in several().select("all", f"a,@{retry},!b")] == ["a", "c"]


def test_a_limit_file_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"cannot be read: No such file"):
        several().select("all", f"@{tmp_path / 'no.retry'}")
    (tmp_path / "empty.retry").write_text("\n")
    with pytest.raises(InventoryError, match="names no host"):
        several().select("all", f"@{tmp_path / 'empty.retry'}")


def test_an_empty_limit_is_not_no_limit() -> None:
    with pytest.raises(InventoryError, match="names no host"):
        several().select("all", "")


def test_pattern_and_limit_that_have_nothing_in_common() -> None:
    with pytest.raises(InventoryError) as caught:
        several().select("a", "b")
    assert caught.value.what == "the host pattern 'a' selects none of 3 hosts within the limit 'b'"


def test_names_with_ports_and_ranges() -> None:
    assert split_port("web1:22") == ("web1", 22)
    assert split_port("[2001:db8::1]:22") == ("2001:db8::1", 22)
    assert split_port("2001:db8::1") == ("2001:db8::1", None)
    assert split_port("-x:22") == ("-x:22", None)
    assert expand_ranges("a[01:03]") == ["a01", "a02", "a03"]
    assert expand_ranges("a[:2]b[x:z:2]") == ["a0bx", "a0bz", "a1bx", "a1bz", "a2bx", "a2bz"]
    assert expand_ranges("plain[1:") == ["plain[1:"]


@pytest.mark.parametrize(
    "name",
    ["a[2:1]", "a[1:2:0]", "a[01:100]", "a[1:x]", "a[1:9999999999]", "a[1:999999999]"],
)
def test_ranges_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"range|stands for"):
        expand_ranges(name)


def small() -> Inventory:
    from remote_prof.inventory.assemble import assemble
    from remote_prof.inventory.source import Source

    source = Source()
    source.group("empty")
    source.group("one").hosts["a"] = None
    source.hosts["a"] = {}
    return assemble(source, ["test"])


def several() -> Inventory:
    return load_inventory("a,b,c,")


PLAIN = st.sampled_from([*NAMES.hosts, *NAMES.groups, "w*", "~.b", "web[0:1]", "db[-1]", "*[1:]"])
TERM = st.builds(str.__add__, st.sampled_from(["", "", "&", "!"]), PLAIN)


@given(st.lists(PLAIN, min_size=1), st.lists(PLAIN, min_size=1))
def test_unions_commute(left: list[str], right: list[str]) -> None:
    one = match_pattern(",".join([*left, *right]), NAMES)
    other = match_pattern(",".join([*right, *left]), NAMES)
    assert set(one) == set(other)
    assert len(one) == len(set(one))


@given(st.lists(TERM, min_size=1), st.randoms(use_true_random=False))
def test_only_the_order_of_hosts_depends_on_the_order_of_terms(
    terms: list[str], random: Any
) -> None:
    shuffled = list(terms)
    random.shuffle(shuffled)
    expected = set(match_pattern(",".join(terms), NAMES))
    assert set(match_pattern(",".join(shuffled), NAMES)) == expected


@given(st.lists(TERM, min_size=1), PLAIN)
def test_exclusion_and_intersection_split_a_selection(terms: list[str], term: str) -> None:
    whole = match_pattern(",".join(terms), NAMES)
    within = match_pattern(",".join([*terms, f"&{term}"]), NAMES)
    without = match_pattern(",".join([*terms, f"!{term}"]), NAMES)
    assert sorted([*within, *without]) == sorted(whole)


@given(st.text(alphabet="webdb123[]:,&!~*?.-()\\ {}^$+|", max_size=24) | st.text(max_size=12))
def test_no_text_is_too_odd(pattern: str) -> None:
    is_address(pattern)
    try:
        hosts = match_pattern(pattern, NAMES)
    except InventoryError:
        return
    assert len(hosts) == len(set(hosts))


@given(st.text(alphabet="web019az[]:-", max_size=20))
def test_no_host_name_is_too_odd(name: str) -> None:
    host, port = split_port(name)
    assert port is None or port >= 0
    with contextlib.suppress(ValueError):
        assert expand_ranges(host)
