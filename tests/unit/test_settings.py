from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.durations import parse_duration
from remote_prof.errors import ExitCode, UsageError
from remote_prof.settings import (
    FILE_NAME,
    NAMES,
    ResolvedSettings,
    Settings,
    load_settings,
)
from remote_prof.settings.values import EXPECTED


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    path = tmp_path / "user" / FILE_NAME
    path.parent.mkdir()
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "project"
    path.mkdir(parents=True)
    return path


def load(
    project: Path,
    user_file: Path,
    environ: dict[str, str] | None = None,
    **flags: object,
) -> ResolvedSettings:
    return load_settings(project, environ or {}, flags, user_file=user_file)


def from_file(project: Path, user_file: Path, text: str) -> ResolvedSettings:
    (project / FILE_NAME).write_text(text)
    return load(project, user_file)


def refused(project: Path, user_file: Path, text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        from_file(project, user_file, text)
    return caught.value


def test_defaults(project: Path, user_file: Path) -> None:
    resolved = load(project, user_file)
    assert resolved.values == Settings()
    assert {setting.source for setting in resolved.settings} == {"default"}
    assert [setting.name for setting in resolved.settings] == list(NAMES)
    assert resolved.files == ()
    assert resolved.problems == ()


def test_the_nearer_source_wins(project: Path, user_file: Path) -> None:
    user_file.write_text('image = "user"\nuser = "user"\nport = 1\nduration = "1m"\n')
    (project / FILE_NAME).write_text('# first\nimage = "project"\nuser = "project"\nport = 2\n')
    environ = {"REMOTE_PROF_IMAGE": "environment", "REMOTE_PROF_USER": "environment"}
    resolved = load(project, user_file, environ, image="flag", port=None)
    assert [
        (resolved.setting(name).value, resolved.setting(name).source)
        for name in ("image", "user", "port", "duration", "scope")
    ] == [
        ("flag", "flag --image"),
        ("environment", "environment REMOTE_PROF_USER"),
        (2, f"{project / FILE_NAME}:4"),
        (60.0, f"{user_file}:4"),
        ("container", "default"),
    ]
    assert resolved.values.image == "flag"
    assert resolved.values.duration_s == 60.0
    assert resolved.files == (user_file, project / FILE_NAME)


def test_the_project_file_is_looked_for_upwards(project: Path, user_file: Path) -> None:
    (project.parent / FILE_NAME).write_text("port = 7")
    assert load(project, user_file).values.port == 7
    (project / FILE_NAME).write_text("port = 8")
    assert load(project, user_file).values.port == 8


def test_a_user_file_above_the_project_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("port = 7")
    resolved = load_settings(tmp_path, {}, {}, user_file=path)
    assert resolved.files == (path,)


def test_every_setting_can_be_given_everywhere(project: Path, user_file: Path) -> None:
    text = """
inventory = "hosts.yml"
image = "site/bpftrace:1"
duration = 2.5
frequency = 49
stacks = "user"
scope = "process"
runner = "engine"
results = "out"
formats = ["svg"]
connect-timeout = "500ms"
host_key_checking = false
user = "ops"
port = 2222
identity = "~/key"
privileged = true
max_artifact_size = "64MiB"
forks = 5
serial = [1, "30%"]
executor = "dask://near:8786"
max_fail_percentage = 20
any_errors_fatal = true
timeout = "2m"
deadline = "1h"
connect_rate = 2.5
retries = 3
order = "shuffle"
sidecars_per_host = 2
"""
    values = from_file(project, user_file, text).values
    assert values == Settings(
        inventory=(str(project / "hosts.yml"),),
        image="site/bpftrace:1",
        duration_s=2.5,
        frequency_hz=49,
        stacks="user",
        scope="process",
        runner="engine",
        results=project / "out",
        formats=("svg",),
        connect_timeout_s=0.5,
        host_key_checking="no",
        user="ops",
        port=2222,
        identity=Path("~/key").expanduser(),
        privileged=True,
        max_artifact_bytes=64 << 20,
        forks=5,
        serial=("1", "30%"),
        executor="dask://near:8786",
        max_fail_percentage=20.0,
        any_errors_fatal=True,
        timeout_s=120.0,
        deadline_s=3600.0,
        connect_rate=2.5,
        retries=3,
        order="shuffle",
        sidecars_per_host=2,
    )
    (project / FILE_NAME).unlink()
    environ = {
        f"REMOTE_PROF_{name.upper()}": {
            "formats": "svg",
            "host_key_checking": "no",
            "inventory": str(project / "hosts.yml"),
            "privileged": "yes",
            "serial": "1,30%",
        }.get(name, str(getattr(values, field)))
        for name, field in NAMES.items()
    }
    assert load(project, user_file, environ).values == values


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("256MiB", 256 << 20),
        ("1GiB", 1 << 30),
        ("500MB", 500_000_000),
        ("64mib", 64 << 20),
        ("1.5 GiB", 3 << 29),
        ("2097152", 2 << 20),
    ],
)
def test_sizes(project: Path, user_file: Path, text: str, size_bytes: int) -> None:
    found = load(project, user_file, max_artifact_size=text).values
    assert found.max_artifact_bytes == size_bytes


def test_names_and_descriptions_cover_the_fields() -> None:
    assert sorted(NAMES.values()) == sorted(field.name for field in fields(Settings))
    assert NAMES.keys() == EXPECTED.keys()


def test_a_list_of_hosts_is_not_a_path(project: Path, user_file: Path) -> None:
    assert from_file(project, user_file, 'inventory = "a,b,"').values.inventory == ("a,b,",)


def test_several_inventories(project: Path, user_file: Path) -> None:
    text = 'inventory = ["hosts", "a,b,"]'
    assert from_file(project, user_file, text).values.inventory == (str(project / "hosts"), "a,b,")
    resolved = load(project, user_file, inventory=["x.yml", "y"])
    assert resolved.values.inventory == ("x.yml", "y")
    assert load(project, user_file, inventory=[]).values.inventory[1:] == ("a,b,",)


def test_values_of_flags_come_as_they_are(project: Path, user_file: Path) -> None:
    resolved = load(
        project, user_file, results=Path("here"), formats=["svg", "html"], connect_timeout="1m"
    )
    assert resolved.values.results == Path("here")
    assert resolved.values.formats == ("svg", "html")
    assert resolved.values.connect_timeout_s == 60.0
    assert resolved.setting("formats").source == "flag --format"
    assert resolved.setting("connect_timeout").source == "flag --connect-timeout"


def test_a_flag_that_is_no_setting_is_a_mistake_in_the_code(project: Path, user_file: Path) -> None:
    with pytest.raises(KeyError, match="colour"):
        load(project, user_file, colour="red")


@pytest.mark.parametrize("word", ["yes", "true", "1", "on", True])
def test_host_key_checking_takes_booleans(project: Path, user_file: Path, word: object) -> None:
    assert load(project, user_file, host_key_checking=word).values.host_key_checking == "yes"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('imgae = "x"', "did you mean 'image'?"),
        ('connect-timout = "x"', "did you mean 'connect_timeout'?"),
        ("zzz = 1", "there are inventory, image, "),
        ("[run]\nimage = 'x'", "settings stand at the top"),
    ],
)
def test_unknown_names_in_files(project: Path, user_file: Path, line: str, hint: str) -> None:
    error = refused(project, user_file, f"\n# comment\n{line}\n")
    assert error.what.startswith(f"{project / FILE_NAME}:3: there is no setting ")
    assert error.hint.startswith(hint)
    assert error.exit_code == ExitCode.USAGE


def test_one_setting_in_two_spellings(project: Path, user_file: Path) -> None:
    error = refused(project, user_file, 'connect-timeout = "1s"\nconnect_timeout = "2s"\n')
    assert "are the same setting" in error.what


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("port = 0", "port should be a whole number from 1 to 65535, not 0"),
        ("port = true", "port should be a whole number from 1 to 65535, not True"),
        ("frequency = 'fast'", "frequency should be a whole number of samples a second"),
        ("duration = 'soon'", "duration should be a length of time such as 30, 30s"),
        ("duration = -1", "duration should be"),
        ("duration = nan", "duration should be"),
        ("duration = true", "duration should be"),
        ("stacks = 'all'", "stacks should be 'user', 'kernel' or 'both', not 'all'"),
        ("formats = []", "formats should be a list of names"),
        ("formats = [1]", "formats should be a list of names"),
        ("image = ''", "image should be the name of an image"),
        ("image = '-v'", "image should be"),
        ("image = 2026-01-01", "image should be"),
        ("results = 5", "results should be the path of a directory, not 5"),
        ("results = ''", "results should be"),
        ("privileged = 'maybe'", "privileged should be 'true' or 'false', not 'maybe'"),
        ("host_key_checking = 'ask'", "should be 'yes', 'accept-new' or 'no', not 'ask'"),
        ("user = { name = 'x' }", "user should be the name of a user"),
        ("max_artifact_size = '1023KiB'", "should be a size of at least 1MiB"),
        (
            "max_artifact_size = 5",
            "should be a size of at least 1MiB, such as 500MB or 1GiB, not 5",
        ),
        ("max_artifact_size = true", "max_artifact_size should be a size"),
        ("max_artifact_size = '10MB/s'", "max_artifact_size should be a size"),
        ("max_artifact_size = '-1GB'", "max_artifact_size should be a size"),
        ("max_artifact_size = '9999999 TB'", "max_artifact_size should be a size"),
    ],
)
def test_wrong_values(project: Path, user_file: Path, line: str, said: str) -> None:
    error = refused(project, user_file, f"\n{line}\n")
    assert error.what.startswith(f"{project / FILE_NAME}:2: ")
    assert said in error.what
    assert "\n" not in error.what


def test_wrong_values_elsewhere(project: Path, user_file: Path) -> None:
    with pytest.raises(UsageError, match=r"^environment REMOTE_PROF_PORT: port should be .* 'x'$"):
        load(project, user_file, {"REMOTE_PROF_PORT": "x"})
    with pytest.raises(UsageError, match=r"^flag --port: port should be .* 70000$"):
        load(project, user_file, port=70000)


def test_a_wrong_value_is_told_even_if_another_one_wins(project: Path, user_file: Path) -> None:
    user_file.write_text("port = 'x'")
    with pytest.raises(UsageError, match="port should be"):
        load(project, user_file, port=22)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nimage = \n", 2),
        ("image = 'x'\nimage = 'y'\n", 2),
        ("image = 'x'\n\nformats = [", 3),
        ("<<<", 1),
    ],
)
def test_malformed_toml(project: Path, user_file: Path, text: str, line: int) -> None:
    error = refused(project, user_file, text)
    assert error.what.startswith(f"{project / FILE_NAME}:{line}: not TOML: ")
    assert "(at" not in error.what


def test_files_that_cannot_be_read(project: Path, user_file: Path) -> None:
    (project / FILE_NAME).write_bytes(b"image = '\xff'")
    with pytest.raises(UsageError, match="not text in UTF-8"):
        load(project, user_file)


def test_odd_environment_variables_are_told_about(project: Path, user_file: Path) -> None:
    environ = {
        "REMOTE_PROF_IMGAE": "x",
        "REMOTE_PROF_XYZZY": "x",
        "REMOTE_PROF_BECOME_PASSWORD": "x",
        "REMOTE_PROF_LAB_HOST": "x",
        "REMOTE_PROF_COMPLETE": "x",
        "REMOTE_PROF_USER": "",
        "PATH": "x",
    }
    resolved = load(project, user_file, environ)
    assert [(problem.what, problem.fix) for problem in resolved.problems] == [
        (
            "the environment variable REMOTE_PROF_IMGAE is not a setting",
            "did you mean REMOTE_PROF_IMAGE?",
        ),
        (
            "the environment variable REMOTE_PROF_XYZZY is not a setting",
            "`remote-prof config` lists all settings",
        ),
    ]
    assert resolved.setting("user").source == "default"


def test_what_is_resolved_travels(project: Path, user_file: Path) -> None:
    resolved = load(project, user_file, image="x")
    assert pickle.loads(pickle.dumps(resolved)) == resolved


def test_importing_is_cheap() -> None:
    program = (
        "import sys, remote_prof.settings, remote_prof.inventory\n"
        "print(sorted({'pydantic', 'yaml', 'platformdirs'} & sys.modules.keys()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("30s", 30.0),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1.5h", 5400.0),
        ("500ms", 0.5),
        ("1500ms", 1.5),
        (" 1M ", 60.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-1", "1 2", "1s2m", "5ss", "m", "inf", "1e3", "٣", "9" * 400]
)
def test_texts_that_are_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="not a length of time") as caught:
        parse_duration(text)
    assert "1h30m" in caught.value.hint


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 59))
def test_durations_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds
