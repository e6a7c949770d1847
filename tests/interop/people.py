"""Identities and credentials for the tests."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import rsa

from cfbchat import credential
from cfbchat.credential import Identity, OwnCredential


@lru_cache
def identity(name: str) -> Identity:
    return Identity.of(rsa.generate_private_key(65537, 2048))


def user(name: str = "Ira", expires: int | None = None) -> OwnCredential:
    return credential.make(identity(name), "user", name, expires=expires)


def server_credential() -> OwnCredential:
    return credential.make(identity("the server"), "server")


def flipped(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 0x01]) + data[index + 1 :]
