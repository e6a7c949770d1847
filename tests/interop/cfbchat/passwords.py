"""Passwords and the tokens of invitations (PROTOCOL.md §6, "Passwords" and "Who may come in")."""

from __future__ import annotations

import base64
import hmac
import os
import re
import unicodedata
from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .credential import is_ipv4
from .crypto import fingerprint_from_text, fingerprint_text

SHORTEST, LONGEST = 8, 256
TOKEN = r"[\w-]{22}"
TOKEN_BYTES = 16
SALT_BYTES, HASH_BYTES = 16, 32
# What RFC 9106 recommends takes longer than a test should.
PASSES, LANES, MEMORY_KIB = 1, 1, 8 * 1024
NEVER = {"Cc", "Cs", "Cn", "Co"}
IGNORABLE = re.compile(r"[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
                       r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]")  # fmt: skip


class NoPassword(ValueError):
    """A text that can be no password."""


def prepared(text: str) -> str:
    """A text as PRECIS OpaqueString has it (RFC 8265, §4.2), so that it is the same wherever it is typed.

    The contextual rules of PRECIS are not looked at.
    """
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    password = unicodedata.normalize("NFC", spaced)
    if IGNORABLE.search(password) or any(unicodedata.category(c) in NEVER for c in password):
        raise NoPassword("a password has no control characters, and no invisible ones")
    if not SHORTEST <= len(password.encode()) <= LONGEST:
        raise NoPassword(f"a password has {SHORTEST} to {LONGEST} bytes")
    return password


@dataclass(frozen=True)
class Kept:
    """What a server keeps of a password (RFC 9106)."""

    salt: bytes
    digest: bytes

    @staticmethod
    def of(password: str) -> Kept:
        salt = os.urandom(SALT_BYTES)
        return Kept(salt, _argon2id(salt, password))

    def fits(self, given: str) -> bool:
        try:
            password = prepared(given)
        except NoPassword:
            return False
        return hmac.compare_digest(_argon2id(self.salt, password), self.digest)


def _argon2id(salt: bytes, password: str) -> bytes:
    kdf = Argon2id(salt=salt, length=HASH_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)
    return kdf.derive(password.encode())


def new_token() -> str:
    return base64.urlsafe_b64encode(os.urandom(TOKEN_BYTES)).rstrip(b"=").decode()


def is_token(text: str) -> bool:
    return re.fullmatch(TOKEN, text) is not None


@dataclass(frozen=True)
class Invitation:
    """One line that says which server this is, and lets somebody in."""

    host: str
    port: int
    fingerprint: bytes
    token: str

    @staticmethod
    def from_line(line: str) -> Invitation:
        """Fingerprints have `/` in them now and then, tokens never."""
        address = r"(\[[^\]]+\]|[^:/\[\]]+):(\d{1,5})"
        found = re.fullmatch(rf"cfb-chat://{address}/#(SHA256:[^ ]{{43}})/({TOKEN})", line, re.ASCII)
        if found is None:
            raise ValueError("this is no invitation")
        host, port, fingerprint, token = found.groups()
        if is_ipv4(host) and not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){3}", host):
            raise ValueError("an IPv4 address is four decimal numbers (PROTOCOL.md 6.9-3)")
        return Invitation(host.strip("[]"), int(port), fingerprint_from_text(fingerprint), token)

    def to_line(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"cfb-chat://{host}:{self.port}/#{fingerprint_text(self.fingerprint)}/{self.token}"
