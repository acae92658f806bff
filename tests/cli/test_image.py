"""``remote-prof image`` through hosts that are scripts."""

from __future__ import annotations

import json
from pathlib import Path

from remote_prof.errors import HostError
from remote_prof.image.store import save_image
from tests.cli.conftest import Cli
from tests.cli.scripted import Script
from tests.unit.test_image import image

FACTS = (
    Path(__file__).parents[1] / "unit" / "data" / "facts" / "docker-26-hybrid.txt"
).read_bytes()
WHERE = ("-H", "localhost", "-c", "local")
OURS = (
    b'["sha256:1234567890abcdef",["remote-prof/sidecar:0.1.0"],["sha256:f"],"amd64","now",5000000,'
    b'{"remote-prof.sidecar":"0.1.0"}]\n'
)
PART = b"@@part 17000000 /var/tmp/remote-prof-image-1234567890ab\n"
END = b"@@end\n"


def build(home: Path, architecture: str = "amd64") -> None:
    store = home / ".local/share/remote-prof/images"
    store.mkdir(parents=True)
    (archive := home / "archive").write_bytes(b"bytes")
    save_image(image(archive, architecture=architecture), archive, store)


def test_without_an_image_it_says_how_to_get_one(cli: Cli) -> None:
    assert "remote-prof image build" in cli("image", "list").out
    assert json.loads(cli("image", "list", "--json").out) == []
    assert cli("image", "remove").out == "no image was built here\n"
    assert "there are: none" in cli("image", "list", "abcdef").err


def test_what_was_built_here_is_listed_and_removed(cli: Cli, tmp_path: Path) -> None:
    build(tmp_path / "home")
    listed = cli("image", "list").out
    assert "111111111111" in listed
    assert "MIT" in cli("image", "list", "--contents").out
    (document,) = json.loads(cli("image", "list", "--json").out)
    assert document["packages"][0]["licences"] == ["MIT"]
    removed = cli("image", "remove", "1111")
    assert "is removed here" in removed.out
    assert json.loads(cli("image", "list", "--json").out) == []


def test_an_image_for_another_processor_is_not_pushed(
    cli: Cli, script: Script, tmp_path: Path
) -> None:
    build(tmp_path / "home", "arm64")
    script.hosts = {"localhost": [("facts", FACTS)]}
    done = cli("image", "push", *WHERE)
    assert done.code == 1
    assert "there is no image for its processor" in done.err
    assert "remote-prof image build --arch amd64" in done.err


def test_a_push_that_is_not_needed(cli: Cli, script: Script, tmp_path: Path) -> None:
    build(tmp_path / "home")
    script.hosts = {"localhost": [("facts", FACTS), ("push image", b"@@present sha256:1\n")]}
    done = cli("image", "push", *WHERE, "--json")
    (document,) = json.loads(done.out)
    assert (done.code, document["present"], document["sent_bytes"]) == (0, True, 0)
    assert script.written == []


def test_too_little_room(cli: Cli, script: Script, tmp_path: Path) -> None:
    build(tmp_path / "home")
    said = b"@@full engine 800 MiB are wanted, /var/lib/docker has 5 MiB\n"
    script.hosts = {"localhost": [("facts", FACTS), ("push image", said)]}
    done = cli("image", "push", *WHERE)
    assert done.code == 1
    assert "evidence: 800 MiB are wanted, /var/lib/docker has 5 MiB" in done.err


def test_images_on_hosts(cli: Cli, script: Script) -> None:
    script.hosts = {"localhost": [("facts", FACTS), ("images", OURS + PART + END)]}
    done = cli("image", "list", *WHERE)
    assert "remote-prof/sidecar:0.1.0" in done.out
    assert "unfinished push" in done.out


def test_images_are_removed_from_hosts(cli: Cli, script: Script) -> None:
    before = OURS + PART + END
    script.hosts = {"localhost": [("facts", FACTS), ("images", before), ("images", END)]}
    done = cli("image", "remove", *WHERE)
    assert done.code == 0
    assert done.out.count("is removed") == 2


def test_an_image_that_is_used_stays(cli: Cli, script: Script) -> None:
    after = b"@@said container 12 is using it\n" + OURS + END
    script.hosts = {"localhost": [("facts", FACTS), ("images", OURS + END), ("images", after)]}
    done = cli("image", "remove", *WHERE)
    assert done.code == 1
    assert "evidence: container 12 is using it" in done.err


def test_what_cannot_be_told_is_an_error(cli: Cli, script: Script) -> None:
    script.hosts = {"localhost": [("facts", FACTS), ("images", HostError("it hangs"))]}
    done = cli("image", "list", *WHERE)
    assert done.code == 1
    assert "it hangs" in done.err


def test_the_dockerfile_is_printed(cli: Cli) -> None:
    assert cli("image", "build", "--dockerfile").out.startswith("# The sidecar of remote-prof")


def test_an_unknown_processor_is_refused(cli: Cli) -> None:
    done = cli("image", "build", "--arch", "vax")
    assert done.code == 5
    assert "no image can be built for vax" in done.err


def test_a_policy_and_a_named_image_exclude_each_other(cli: Cli) -> None:
    done = cli("run", *WHERE, "-C", "api", "--image", "x", "--image-policy", "push")
    assert done.code == 5
    assert "--image-policy push means another" in done.err
    assert cli("run", *WHERE, "-C", "api", "--image-policy", "pull").code == 5
