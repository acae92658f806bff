"""What is built works when it is installed elsewhere, away from the checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDED = b"main;serve;hot 9\nmain;serve;cold 1\n"


class Installed(NamedTuple):
    wheel: Path
    program: Path


def run(*argv: str | Path, cwd: Path, stdin: bytes = b"") -> bytes:
    done = subprocess.run([*map(str, argv)], cwd=cwd, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it, with what it needs, into an empty environment."""
    place = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", place, REPOSITORY, cwd=place)
    (wheel,) = place.glob("remote_prof-*.whl")
    venv.create(place / "env", with_pip=True)
    binaries = place / "env" / "bin"
    run(binaries / "python", "-m", "pip", "install", "-q", wheel, cwd=place)
    return Installed(wheel, binaries / "remote-prof")


def test_the_wheel_carries_its_data(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    templates = {
        f"remote_prof/data/templates/{path.relative_to(REPOSITORY / 'templates').as_posix()}"
        for path in (REPOSITORY / "templates").rglob("*")
        if path.is_file()
    }
    assert templates <= set(names)
    assert "remote_prof/data/inventory.example" in names
    assert "remote_prof/data/playbooks/README.md" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_installed_program_works(installed: Installed, tmp_path: Path) -> None:
    assert run(installed.program, "--version", cwd=tmp_path).startswith(b"remote-prof ")
    svg = run(installed.program, "convert", "-", "--to", "svg", cwd=tmp_path, stdin=FOLDED)
    assert b"<svg" in svg
    assert b"hot" in svg


def test_the_installed_program_finds_its_host_scripts(installed: Installed, tmp_path: Path) -> None:
    # Without an engine on this machine it ends with what is missing; with one, with its facts.
    done = subprocess.run(
        [installed.program, "doctor", "--host", "localhost", "-c", "local"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a run would" in done.stdout, done.stderr
    assert "kernel:" in done.stdout


def test_the_sdist_can_be_built_from_and_tested(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", build, tmp_path, cwd=REPOSITORY)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "Makefile", "inventory.example"}
    wanted |= {"templates/launcher/launcher.sh.j2", "playbooks/README.md", "tests/lab/__init__.py"}
    assert wanted <= names
