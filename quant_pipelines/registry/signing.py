"""Keys, and what they have signed. A signature is one line of a fixed form, so nothing is parsed to check it."""

import hmac
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from quant_pipelines.digest import digest_bytes
from quant_pipelines.registry.failures import KeyRefused, SignatureMismatch
from quant_pipelines.settings import Settings

KEY_BYTES = 32
RETIRED = "retired"
_PURPOSE = b"quant_pipelines model manifest 1\n"
_LINE = re.compile(rb"hmac-sha256 ([0-9a-f]{16}) ([0-9a-f]{64})\n")
_ID_DIGITS = 16
_OWNER_ONLY = 0o600
_OTHERS = 0o077
SIGNATURE_BYTES = len("hmac-sha256 ") + _ID_DIGITS + 1 + 64 + 1


@dataclass(frozen=True, slots=True)
class Key:
    """One secret. Its id may be shown; it is made of the secret, but does not tell it."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return digest_bytes(b"key id\n", self.secret)[:_ID_DIGITS]

    def signature(self, text: bytes) -> bytes:
        return f"hmac-sha256 {self.id} {self._code(text)}\n".encode()

    def _code(self, text: bytes) -> str:
        return hmac.new(self.secret, _PURPOSE + text, sha256).hexdigest()

    def has_signed(self, text: bytes, code: bytes) -> bool:
        return hmac.compare_digest(self._code(text).encode(), code)


class Keys:
    """The key that signs, and older ones whose signatures still count."""

    def __init__(self, current: Key, retired: Iterable[Key] = ()) -> None:
        self.current = current
        self._known = {key.id: key for key in (*retired, current)}

    def sign(self, text: bytes) -> bytes:
        return self.current.signature(text)

    def verify(self, text: bytes, signature: bytes) -> None:
        """Refuse a text that none of the keys has signed."""
        found = _LINE.fullmatch(signature)
        if found is None:
            raise SignatureMismatch("The signature is no signature of ours. Restore the version, or train it again.")
        name = found[1].decode()
        key = self._known.get(name)
        if key is None:
            raise SignatureMismatch(
                f"The manifest was signed by key {name}; this machine has {', '.join(self._known)}. If that key was "
                f"yours, put its file into the folder {RETIRED}/ beside the current one."
            )
        if not key.has_signed(text, found[2]):
            raise SignatureMismatch(
                f"The manifest is not the one that key {name} has signed: somebody changed it. Restore the version "
                "from a backup, or train it again."
            )


def open_keys(settings: Settings) -> Keys:
    """The installation's keys. The first one is made where there is none; a key that was named must be there."""
    path = settings.model_key_path
    if not path.exists() and settings.model_key_file is None:
        _make(path)
    retired = path.parent / RETIRED
    return Keys(_read(path), [_read(each) for each in sorted(retired.glob("*.key"))])


def _make(path: Path) -> None:
    """Whoever comes second reads the key of the first: it appears whole, by a link, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> Key:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4 * KEY_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyRefused(
            f"The key file {path} cannot be read: {error}. Restore it from where you keep secrets; without it no "
            "stored model can be trusted."
        ) from error
    if mode & _OTHERS:
        raise KeyRefused(f"Others than its owner may read or write the key file {path}. Run: chmod 600 {path}")
    try:
        secret = bytes.fromhex(text)
    except ValueError as error:
        raise KeyRefused(f"The key file {path} holds no hexadecimal number. Write {2 * KEY_BYTES} digits.") from error
    if len(secret) < KEY_BYTES:
        raise KeyRefused(
            f"The key in {path} has {len(secret)} bytes. Write {KEY_BYTES} random ones: openssl rand -hex {KEY_BYTES}"
        )
    return Key(secret)
