"""What ansible-vault has encrypted: values, and files as a whole.

The format: a line ``$ANSIBLE_VAULT;<version>;AES256[;<vault id>]``, then a text in hexadecimal; in
it three lines that are hexadecimal themselves: a salt, an HMAC-SHA256, and the cipher text. PBKDF2
(SHA-256, 10,000 rounds) makes two keys and a counter of the password; AES-256 in counter mode
encrypts.
https://docs.ansible.com/ansible/latest/vault_guide/vault_using_encrypted_content.html
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence

from remote_prof.errors import InventoryError

_MAGIC = "$ANSIBLE_VAULT;"
_ROUNDS = 10_000
_KEY_BYTES = 32
_BLOCK_BYTES = 16


class VaultError(InventoryError):
    """It is encrypted, and none of the passwords that were given opens it."""


def is_encrypted(data: bytes) -> bool:
    """Whether the content of a file is encrypted as a whole."""
    return data.startswith(_MAGIC.encode())


class Vault:
    """Decrypts with the passwords that were given; they are loaded when the first is needed."""

    def __init__(self, load_passwords: Callable[[], Sequence[bytes]] = tuple) -> None:
        self._load = load_passwords
        self._passwords: Sequence[bytes] | None = None
        self._opened: dict[str, bytes] = {}

    @property
    def passwords(self) -> Sequence[bytes]:
        """Return the passwords; the first time, a file is read or somebody is asked."""
        if self._passwords is None:
            self._passwords = self._load()
        return self._passwords

    def decrypt(self, envelope: str, where: str) -> bytes:
        """Return what was encrypted, tried with every password as Ansible does it.

        ``where`` names the place for messages. Raises VaultError where there is no password, or
        none that fits; InventoryError for what is no vault.
        """
        if envelope not in self._opened:
            self._opened[envelope] = self._decrypt(envelope, where)
        return self._opened[envelope]

    def _decrypt(self, envelope: str, where: str) -> bytes:
        vault_id, salt, digest, cipher_text = _parse(envelope, where)
        if not self.passwords:
            raise VaultError(
                f"{where}: it is encrypted by ansible-vault, and no vault password is given",
                hint="give one with --vault-password-file FILE or --ask-vault-pass",
            )
        for password in self.passwords:
            clear = _open(password, salt, digest, cipher_text)
            if clear is not None:
                return clear
        count = len(self.passwords)
        raise VaultError(
            f"{where}: the vault password does not open it",
            evidence=(f"{count} passwords were tried" if count > 1 else "one password was tried")
            + (f"; its vault id is {vault_id!r}" if vault_id else ""),
            hint="`ansible-vault view` opens it with the right one: give that, by "
            "--vault-password-file FILE or --ask-vault-pass",
        )


def _parse(envelope: str, where: str) -> tuple[str, bytes, bytes, bytes]:
    """Return vault id, salt, HMAC and cipher text. Raises InventoryError."""
    header, *lines = envelope.strip().splitlines() or [""]
    fields = [field.strip() for field in header.split(";")]
    if len(fields) < 3 or f"{fields[0]};" != _MAGIC or fields[1] not in ("1.1", "1.2"):
        raise InventoryError(
            f"{where}: this is no vault of a version that is known",
            evidence=f"its first line is {header[:60]!r}",
            hint="encrypt it anew with ansible-vault",
        )
    if fields[2] != "AES256":
        raise InventoryError(
            f"{where}: its cipher {fields[2][:20]!r} is not known, AES256 is",
            hint="encrypt it anew: ansible-vault rekey",
        )
    try:
        text = binascii.unhexlify("".join(line.strip() for line in lines))
        salt, digest, cipher_text = (binascii.unhexlify(part) for part in text.split(b"\n", 2))
    except (ValueError, binascii.Error):
        raise InventoryError(
            f"{where}: what is encrypted is not whole",
            evidence=f"{len(lines)} lines after its first one",
            hint="was a part of it lost when it was copied?",
        ) from None
    return fields[3] if len(fields) > 3 else "", salt, digest, cipher_text


def _open(password: bytes, salt: bytes, digest: bytes, cipher_text: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.hmac import HMAC
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    length = 2 * _KEY_BYTES + _BLOCK_BYTES
    derived = PBKDF2HMAC(hashes.SHA256(), length, salt, _ROUNDS).derive(password)
    signed = HMAC(derived[_KEY_BYTES : 2 * _KEY_BYTES], hashes.SHA256())
    signed.update(cipher_text)
    try:
        signed.verify(digest)
        counter = modes.CTR(derived[2 * _KEY_BYTES :])
        decryptor = Cipher(algorithms.AES(derived[:_KEY_BYTES]), counter).decryptor()
        padded = decryptor.update(cipher_text) + decryptor.finalize()
        unpadder = padding.PKCS7(8 * _BLOCK_BYTES).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except (InvalidSignature, ValueError):
        return None
