"""What is shipped: a wheel that works in an empty environment, an sdist that makes the same."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROFILE = "svc;main;work 30\nsvc;main;idle 10\n"


def pip(*arguments: str, python: Path = Path(sys.executable)) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", str(where), str(ROOT))
    (made,) = where.glob("*.whl")
    return made


def test_the_wheel_holds_every_data_file(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"remote_prof/data/{path.relative_to(ROOT).as_posix()}"
        for folder in ("templates", "playbooks")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert len(wanted) > 5
    assert wanted | {"remote_prof/data/inventory.example"} <= shipped


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "remote_prof").rglob("*.py")}
    # What a sidecar runs is data here.
    python = {name for name in shipped if name.endswith(".py")}
    assert modules == {name for name in python if not name.startswith("remote_prof/data/")}
    assert {name.split("/")[0] for name in shipped} - {"remote_prof"} == {
        next(name.split("/")[0] for name in shipped if ".dist-info/" in name)
    }
    assert any(name.endswith("/licenses/LICENSE") for name in shipped)


def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    programs = tmp_path / "venv" / "bin"
    pip("install", str(wheel), python=programs / "python")
    (tmp_path / "profile.folded").write_text(PROFILE)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(programs / "remote-prof"), *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert run("--version").startswith("remote-prof 0.")
    assert run("convert", "profile.folded", "--to", "folded").splitlines() == sorted(
        PROFILE.splitlines()
    )
    run("convert", "profile.folded", "--to", "svg", "-o", "flamegraph.svg")
    drawn = (tmp_path / "flamegraph.svg").read_text()
    script = (ROOT / "templates/svg/flamegraph.js").read_text().splitlines()
    assert max(script, key=len).strip() in drawn
    assert "work" in drawn
    assert "Examples" in run("run", "--help")


def test_the_sdist_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    pip("install", "hatchling", python=python)
    subprocess.run(
        [str(python), "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "inventory.example"} <= names
    assert {"tests/conftest.py", "templates/launcher/launcher.sh.j2"} <= names
    assert not {name for name in names if name.startswith((".git/", ".venv/", "results/"))}
    pip("wheel", "--no-deps", "--wheel-dir", str(tmp_path / "out"), str(sdist))
    (again,) = (tmp_path / "out").glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()
