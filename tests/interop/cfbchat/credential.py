"""Identities, and the credentials they sign (PROTOCOL.md §2, "Credential")."""

from __future__ import annotations

import ipaddress
import re
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from . import cbor, crypto

DAY = 24 * 60 * 60
LIFETIME = 7 * DAY
CREDENTIAL = crypto.PROTOCOL + " credential"
FIRST = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No"}
LETTER_OR_DIGIT = {"Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"}
MAX_NAME = 32


class CredentialRefused(ValueError):
    """A credential that must not be used; `code` is the refusal of §4 that says so."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Identity:
    """A long-term RSA identity (§2)."""

    key: rsa.RSAPrivateKey
    spki: bytes

    @property
    def fingerprint(self) -> bytes:
        return crypto.sha256(self.spki)

    @staticmethod
    def of(key: rsa.RSAPrivateKey) -> Identity:
        return Identity(key, crypto.spki_of(key.public_key()))

    @staticmethod
    def from_pem(pem: bytes) -> Identity:
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise crypto.RefusedKey("not an RSA key")
        identity = Identity.of(key)
        crypto.load_spki(identity.spki)
        return identity

    @staticmethod
    def load_or_make(path: Path, bits: int) -> Identity:
        """The identity kept in `path`; made and written there the first time."""
        if path.exists():
            return Identity.from_pem(path.read_bytes())
        identity = Identity.of(rsa.generate_private_key(crypto.RSA_EXPONENT, bits))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(identity.to_pem())
        return identity

    def to_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


@dataclass(frozen=True)
class OwnCredential:
    """A credential with its private halves."""

    identity: Identity
    ed25519: Ed25519PrivateKey
    credential: bytes
    signature: bytes
    x25519: X25519PrivateKey | None = None  # a server has none

    @property
    def session(self) -> bytes:
        return crypto.sha256(self.credential)


@dataclass(frozen=True)
class Person:
    """Somebody else's credential, checked."""

    role: str
    name: str
    spki: bytes
    credential: bytes
    signature: bytes
    fingerprint: bytes
    ed25519: bytes
    x25519: bytes
    expires: int

    @property
    def session(self) -> bytes:
        return crypto.sha256(self.credential)


def make(
    identity: Identity,
    role: str,
    name: str = "",
    *,
    ed25519: Ed25519PrivateKey | None = None,
    x25519: X25519PrivateKey | None = None,
    expires: int | None = None,
) -> OwnCredential:
    """A credential for seven days, signed by `identity`; a server's name and x25519 are empty."""
    ed25519 = ed25519 or Ed25519PrivateKey.generate()
    agreement_key = b""
    if role == "user":
        x25519 = x25519 or X25519PrivateKey.generate()
        agreement_key = x25519.public_key().public_bytes_raw()
    credential = cbor.encode(
        [
            CREDENTIAL,
            role,
            name,
            identity.fingerprint,
            ed25519.public_key().public_bytes_raw(),
            agreement_key,
            int(time.time()) + LIFETIME if expires is None else expires,
        ]
    )
    signature = crypto.pss_sign(identity.key, credential)
    return OwnCredential(identity, ed25519, credential, signature, x25519)


def check(
    role: str, spki: bytes, credential: bytes, signature: bytes, now: float | None = None
) -> Person:
    """The checks in the order of PROTOCOL.md 2.1-6; `CredentialRefused` tells the first that fails."""
    fields = _read(credential)
    if fields[1] != role:
        raise CredentialRefused("credential", "role")
    if fields[3] != crypto.sha256(spki):
        raise CredentialRefused("credential", "fingerprint")
    try:
        key = crypto.load_spki(spki)
    except crypto.RefusedKey as error:
        raise CredentialRefused("credential", f"RSA key: {error}") from error
    now = time.time() if now is None else now
    if not now - DAY <= fields[6] <= now + LIFETIME + DAY:
        raise CredentialRefused("clock", "expires")
    if role == "user" and not is_name(fields[2]):
        raise CredentialRefused("name", "name")
    try:
        crypto.pss_verify(key, signature, credential)
    except crypto.BadSignature as error:
        raise CredentialRefused("credential", "signature") from error
    return Person(
        role, fields[2], spki, credential, signature, fields[3], fields[4], fields[5], fields[6]
    )


def _read(credential: bytes) -> list:
    """The credential's fields, of the right types and lengths."""
    try:
        fields = cbor.decode(credential)
    except cbor.EncodingError as error:
        raise CredentialRefused("credential", f"fields: {error}") from error
    if not cbor.has_fields(fields, [CREDENTIAL, str, str, bytes, bytes, bytes, int]):
        raise CredentialRefused("credential", "fields")
    _, role, name, fingerprint, ed25519, x25519, _ = fields
    if role not in ("server", "user") or len(fingerprint) != 32 or len(ed25519) != 32:
        raise CredentialRefused("credential", "fields")
    if role == "server" and (name or x25519) or role == "user" and len(x25519) != 32:
        raise CredentialRefused("credential", "fields")
    return fields


def is_name(name: str) -> bool:
    """A name of PROTOCOL.md 6.7-1: 1 to 32 characters that PRECIS UsernameCasePreserved leaves as they are.

    The contextual and bidirectional rules of PRECIS are not looked at.
    """
    if not (1 <= len(name) <= MAX_NAME and all(map(_in_name, name)) and _is_stable(name)):
        return False
    return _begins_well(name) and not _is_address(name)


def _begins_well(name: str) -> bool:
    """With a letter, a digit or `_`; marks that Unicode calls Alphabetic too are not taken here."""
    return name[0] == "_" or unicodedata.category(name[0]) in FIRST


def _is_address(name: str) -> bool:
    """Whether it is a form of an IP address (PROTOCOL.md 6.7-2)."""
    return is_ipv4(name) or _is_ipv6(name)


def is_ipv4(text: str) -> bool:
    """One to four numbers with dots between them; the last fills the bytes that are left."""
    numbers = [_number(part) for part in text.removesuffix(".").split(".")]
    if not 1 <= len(numbers) <= 4 or None in numbers:
        return False
    *bytes_, last = numbers
    return all(byte <= 255 for byte in bytes_) and last < 256 ** (5 - len(numbers))


def _number(text: str) -> int | None:
    if re.fullmatch("0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    if re.fullmatch("0[0-7]+", text):
        return int(text, 8)
    return int(text) if re.fullmatch("[0-9]+", text) else None


def _is_ipv6(text: str) -> bool:
    """As RFC 4291 has it, with any number of leading zeros, with or without a zone."""
    groups = text.split("%")[0].split(":")
    plain = ["0:0" if group.count(".") == 3 and is_ipv4(group)
             else re.sub("^0+(?=.)", "", group) for group in groups]  # fmt: skip
    try:
        ipaddress.IPv6Address(":".join(plain))
    except ValueError:
        return False
    return True


def _is_stable(name: str) -> bool:
    return unicodedata.normalize("NFC", name) == name


def _in_name(character: str) -> bool:
    """IdentifierClass of RFC 8264: printable ASCII, and letters and digits that are their own NFKC."""
    if character.isascii():
        return "!" <= character <= "~"
    if unicodedata.normalize("NFKC", character) != character:
        return False
    return unicodedata.category(character) in LETTER_OR_DIGIT


def is_room(room: str) -> bool:
    """A room of PROTOCOL.md 6.7-1: `#` and a name."""
    return room.startswith("#") and is_name(room[1:])
