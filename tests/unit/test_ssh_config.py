"""ssh_config: the grammar, and what cannot be read. tests/lab compares it with ``ssh -G``."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from remote_prof.errors import UsageError
from remote_prof.transport.ssh.config import load_ssh_config, parse_ssh_config
from remote_prof.transport.ssh.grammar import matches, matches_any, parse_line, split_words
from remote_prof.transport.ssh.tokens import expand_environment, expand_percent, make_tokens

PIECES = st.sampled_from(
    (
        *("host", "match", "include", "port", "user", "identityfile", "proxyjump", "proxycommand"),
        *("hostname", "all", "final", "exec", "canonical", "originalhost", "none", "%h", "ssh://"),
        *' ="#\\\n*!?%1a,@:[]~\t\r|$',
    )
)
TEXTS = st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60)


@given(TEXTS)
@example('host "')
@example("match exec true")
@example("=")
def test_any_text_is_read_or_refused_with_file_and_line(text: str) -> None:
    if "include" in text.lower():
        # Reads files: see below.
        text = text.lower().replace("include", "compression")
    said = "f:"
    try:
        parse_ssh_config(text, "f").lookup("a")
    except UsageError as error:
        said = error.what
    assert said.startswith(("f:", "ssh_config: "))
    assert "\n" not in said


@given(st.lists(st.text("ab c'\"\\#\t", min_size=1), max_size=5))
def test_quoted_words_come_out_as_they_went_in(words: list[str]) -> None:
    quoted = " ".join('"' + w.replace("\\", "\\\\").replace('"', '\\"') + '"' for w in words)
    assert split_words(quoted) == tuple(words)


@pytest.mark.parametrize(
    ("text", "keyword", "words"),
    [
        ("Port 22", "port", ("22",)),
        ("  PORT=22  ", "port", ("22",)),
        ("port = 22 # comment", "port", ("22",)),
        ("user a#b", "user", ("a#b",)),
        ("IdentityFile /a\\ b '/c d'", "identityfile", ("/a b", "/c d")),
    ],
)
def test_a_line(text: str, keyword: str, words: tuple[str, ...]) -> None:
    line = parse_line(text, "f:1")
    assert line is not None
    assert (line.keyword, line.words, line.where) == (keyword, words, "f:1")


@given(st.text("ab*?[]-!.", max_size=8), st.text("ab[]-!.", max_size=8))
def test_a_pattern_knows_stars_and_question_marks_alone(pattern: str, text: str) -> None:
    def covers(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return covers(p[1:], t) or (bool(t) and covers(p, t[1:]))
        return bool(t) and (p[0] in ("?", t[0])) and covers(p[1:], t[1:])

    assert matches(text, pattern) == covers(pattern, text)


def test_a_list_of_patterns() -> None:
    assert matches_any("alpha", "b*,a*")
    assert not matches_any("alpha", "a*,!alpha")
    assert not matches_any("alpha", "!beta")


def test_files_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_text("Port 2\nHost other\n User never\n")
    (tmp_path / "a.conf").write_text("User from-a\nPort 1\n")
    main = tmp_path / "config"
    main.write_text(f"Host x\n Include {tmp_path}/*.conf\n HostName y\n")
    config = load_ssh_config(str(main), str(tmp_path / "none"))
    assert config.lookup("x").values == {
        "user": ("from-a",),
        "port": ("1",),
        "hostname": ("y",),
    }
    assert config.lookup("other").values == {}


def test_the_users_file_comes_before_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Include more\nHost z\n Port 1\n")
    (tmp_path / ".ssh" / "more").write_text("User mine\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "more").write_text("HostKeyAlias whole\n")
    (tmp_path / "etc" / "ssh_config").write_text("User theirs\nInclude more\nPort 2\n")
    found = load_ssh_config(system=str(tmp_path / "etc" / "ssh_config")).lookup("x")
    assert found.values == {"user": ("mine",), "hostkeyalias": ("whole",), "port": ("2",)}


def test_too_many_files_in_each_other(tmp_path: Path) -> None:
    main = tmp_path / "config"
    main.write_text(f"Include {main}\n")
    with pytest.raises(UsageError, match="config:1: more than 16 files include each other"):
        load_ssh_config(str(main), "/none")


def test_a_file_that_others_may_write(tmp_path: Path) -> None:
    main = tmp_path / "config"
    main.touch()
    main.chmod(0o664)
    with pytest.raises(UsageError, match="may be written by others") as raised:
        load_ssh_config(str(main), "/none")
    assert (raised.value.evidence[-3:], raised.value.hint) == ("664", f"chmod go-w {main}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Port many", "f:1: 'many' is no port"),
        ("\nUser", "f:2: User has no value"),
        ('User "a', 'f:1: a quote " is not closed'),
        ("IdentitiesOnly maybe", "f:1: identitiesonly is one of yes, true, no, false"),
        ("Match host", "f:1: Match cannot be read: host has no value"),
        ("Match all user x", "f:1: Match cannot be read: all stands with other criteria"),
        ("Match", "f:1: Match has no value"),
        ("HostName %q", "ssh_config: '%q' holds %q, which means nothing there"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, what: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_ssh_config(text, "f").lookup("x")
    assert raised.value.what.startswith(what)


def test_a_match_that_cannot_be_decided() -> None:
    for criterion, why in (("exec true", "runs a command"), ("localnetwork 10/8", "is not known")):
        text = f"Match host other {criterion}\n Port 1\nMatch host x {criterion}\n Port 2\n"
        config = parse_ssh_config(text, "f")
        # Where the rest of the line does not apply it does not matter.
        assert config.lookup("y").values == {}
        with pytest.raises(UsageError, match=f"f:3: Match {criterion.split()[0]} {why}"):
            config.lookup("x")


def test_a_keyword_that_is_not_read_is_skipped() -> None:
    text = "FromTheFuture yes\nIgnoreUnknown *\nCompression maybe\nPort 7\n"
    assert parse_ssh_config(text).lookup("x").values == {"port": ("7",)}


def test_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "me")
    tokens = make_tokens("short", "long.org", 22, "joe", "alias", "")
    assert expand_percent("%n %h %p %r %k %u %%h", tokens) == "short long.org 22 joe alias me %h"
    assert len(expand_percent("%C", tokens)) == 40
    with pytest.raises(UsageError, match="holds %z"):
        expand_percent("%z", tokens)
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(UsageError, match="names NOT_SET, which is not set"):
        expand_environment("${NOT_SET}/x")
