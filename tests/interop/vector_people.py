"""The two users of the frozen values of PROTOCOL.md §7, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cfbchat import cbor
from cfbchat.credential import Identity, OwnCredential
from vector_basics import NOW, fixed

SECOND = "sahnawaz"
ROOM = "#lobby"
AT = NOW * 1000 + 123
THIRD = fixed("a third session")


@dataclass(frozen=True)
class Cast:
    """Who is there in the frozen values."""

    server: OwnCredential
    ira: OwnCredential
    sahnawaz: OwnCredential

    @property
    def server_fingerprint(self) -> bytes:
        return self.server.identity.fingerprint

    def both(self) -> list[bytes]:
        return [self.ira.session, self.sahnawaz.session]


def name_of(own: OwnCredential) -> str:
    return cbor.decode(own.credential)[2]


def public_of(own: OwnCredential) -> bytes:
    return own.ed25519.public_key().public_bytes_raw()


def frozen_credential(vectors: dict[str, Any], who: str) -> OwnCredential:
    """A credential of the frozen values, with its private halves."""
    given = vectors["credentials"][who]
    agreement = bytes.fromhex(given["x25519_private"])
    return OwnCredential(
        Identity.from_pem(vectors["identities"][who]["pem"].encode()),
        Ed25519PrivateKey.from_private_bytes(bytes.fromhex(given["ed25519_seed"])),
        bytes.fromhex(given["credential"]),
        bytes.fromhex(given["signature"]),
        X25519PrivateKey.from_private_bytes(agreement) if agreement else None,
    )
