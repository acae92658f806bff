from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from remote_prof.errors import InventoryError
from remote_prof.inventory import Inventory, load_inventory
from remote_prof.inventory.listing import list_variables
from remote_prof.inventory.read import Tools
from remote_prof.inventory.vault import Vault

CORPUS = Path(__file__).parents[1] / "inventory" / "corpus" / "vault"
RIGHT = b"correct horse"


def load(path: Path, *passwords: bytes) -> Inventory:
    return load_inventory(path, tools=Tools(vault=Vault(lambda: passwords)))


def test_values_and_files_are_decrypted() -> None:
    host, other = load(CORPUS / "hosts", b"another", RIGHT).select("web")
    assert host.password == "hunter2"
    assert host.become is not None
    assert host.become.password == "pass-of-sudo"
    assert (host.address, other.address) == ("192.0.2.77", "v2")


def test_nothing_secret_is_shown_or_kept() -> None:
    inventory = load(CORPUS / "hosts", RIGHT)
    host = inventory.select("v1")[0]
    assert not {"whole_file", "nested", "ansible_password"} & host.vars.keys()
    assert not any(word in repr(inventory) for word in ("hunter2", "pass-of-sudo", "secret-text"))
    shown = {found.name: found for found in list_variables(inventory, "v1")}
    assert shown["whole_file"].value == "(secret)"
    assert shown["whole_file"].source == f"{CORPUS}/host_vars/v1.yml:1"
    assert shown["vaulted_become"].value == "(encrypted by ansible-vault)"
    assert shown["ansible_password"].value == "(secret)"
    assert "secret-text" not in str(shown)


def test_without_a_password_only_what_is_needed_is_missed(tmp_path: Path) -> None:
    text = (CORPUS / "group_vars" / "all" / "main.yml").read_text()
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(text)
    (tmp_path / "hosts").write_text("a\nb ansible_user='{{ vaulted_become }}'\n")
    inventory = load(tmp_path / "hosts")
    (host,) = inventory.select("a")
    assert host.password is None
    assert {problem.what for problem in inventory.problems} == {
        "ansible_password is not known: it is encrypted by ansible-vault",
        "ansible_become_password is not known: it is encrypted by ansible-vault",
    }
    with pytest.raises(InventoryError, match="no vault password is given") as caught:
        inventory.select("b")
    assert "--vault-password-file" in caught.value.hint


def test_a_file_needs_its_password_in_any_case() -> None:
    with pytest.raises(InventoryError) as caught:
        load(CORPUS / "hosts")
    assert caught.value.what == (
        f"{CORPUS}/host_vars/v1.yml: it is encrypted by ansible-vault, "
        "and no vault password is given"
    )


def test_a_wrong_password_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        load(CORPUS / "hosts", b"wrong", b"wronger")
    error = caught.value
    assert error.what == f"{CORPUS}/host_vars/v1.yml: the vault password does not open it"
    assert error.evidence == "2 passwords were tried"
    assert "ansible-vault view" in error.hint
    text = (CORPUS / "group_vars" / "all" / "main.yml").read_text()
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(text)
    (tmp_path / "hosts").write_text("a\n")
    with pytest.raises(InventoryError) as caught:
        load(tmp_path / "hosts", b"wrong").select("a")
    assert caught.value.what == (
        f"{tmp_path}/group_vars/all.yml:2: ansible_password: the vault password does not open it"
    )


def test_passwords_are_asked_for_once_and_only_if_need_be(tmp_path: Path) -> None:
    asked: list[int] = []

    def ask() -> list[bytes]:
        asked.append(1)
        return [RIGHT]

    (tmp_path / "hosts").write_text("a\n")
    load_inventory(tmp_path / "hosts", tools=Tools(vault=Vault(ask)))
    assert asked == []
    load_inventory(CORPUS / "hosts", tools=Tools(vault=Vault(ask)))
    assert asked == [1]


WHOLE = (CORPUS / "host_vars" / "v1.yml").read_text()


def _cut(text: str) -> str:
    return text[: len(text) // 2]


def _other_version(text: str) -> str:
    return text.replace(";1.1;", ";1.0;")


def _other_cipher(text: str) -> str:
    return text.replace(";AES256", ";AES")


def _header(text: str) -> str:
    return text.splitlines()[0] + "\n"


def _no_hexadecimal(text: str) -> str:
    return text.replace("3", "x")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_cut, "what is encrypted is not whole"),
        (_header, "what is encrypted is not whole"),
        (_no_hexadecimal, "what is encrypted is not whole"),
        (_other_version, "no vault of a version that is known"),
        (_other_cipher, "its cipher 'AES' is not known"),
    ],
)
def test_spoilt_vaults(tmp_path: Path, spoil: Callable[[str], str], said: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(spoil(WHOLE))
    with pytest.raises(InventoryError, match=said) as caught:
        load(path, RIGHT)
    assert str(path) in caught.value.what


def test_values_of_an_encrypted_file_are_in_no_message(tmp_path: Path) -> None:
    # It holds a mapping of variables, which is no inventory.
    path = tmp_path / "hosts.yml"
    path.write_text(WHOLE)
    with pytest.raises(InventoryError) as caught:
        load(path, RIGHT)
    error = caught.value
    assert "secret-text" not in error.what + error.evidence + error.hint
