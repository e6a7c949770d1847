"""Boxes: from one session to one session, for whispers and sender keys (PROTOCOL.md §7.1)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from . import cbor, crypto
from .cbor import Bytes
from .opening import CannotOpen, fields_of

LABEL = crypto.PROTOCOL + " box"
SIGNED = LABEL + " signed"
WHISPER, KEY = "whisper", "key"


@dataclass(frozen=True)
class Way:
    """What a box is for, at which server, and between which sessions."""

    purpose: str
    server: bytes
    sender: bytes
    reader: bytes

    def context(self, count: int, public: bytes) -> list[cbor.Value]:
        return [LABEL, self.purpose, self.server, self.sender, self.reader, count, public]


def signed_part(context: list[cbor.Value], sealed: bytes) -> bytes:
    """What the sender of a box signs."""
    return cbor.encode([SIGNED, context, sealed])


def chain_for(context: list[cbor.Value], secret: bytes) -> bytes:
    """The chain whose first step seals a box's text."""
    return crypto.extract(crypto.sha256(cbor.encode(context)), secret)


def make(
    way: Way,
    count: int,
    text: bytes,
    signer: Ed25519PrivateKey,
    reader_x25519: bytes,
    ephemeral: X25519PrivateKey | None = None,
) -> bytes:
    """A box; `RefusedKey` if nothing can be agreed with the reader's key."""
    ephemeral = ephemeral or X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    context = way.context(count, public)
    chain = chain_for(context, crypto.x25519(ephemeral, reader_x25519))
    sealed = crypto.seal(crypto.step(chain), text)
    return cbor.encode([count, public, sealed, signer.sign(signed_part(context, sealed))])


@dataclass(frozen=True)
class SignedBox:
    """A box whose signature holds; its count is to be looked at before it is opened."""

    count: int
    public: bytes
    sealed: bytes
    context: list[cbor.Value]

    def open(self, own: X25519PrivateKey) -> bytes:
        """The text, once the tag holds."""
        try:
            chain = chain_for(self.context, crypto.x25519(own, self.public))
            return crypto.open_sealed(crypto.step(chain), self.sealed)
        except (crypto.RefusedKey, crypto.BadTag) as error:
            raise CannotOpen("tag", str(error)) from error


def check(way: Way, data: bytes, sender_ed25519: bytes) -> SignedBox:
    """The box in `data`, if the sender of `way` signed it for this way."""
    count, public, sealed, signature = fields_of(
        data, [int, Bytes(32), bytes, Bytes(64)], "the box"
    )
    context = way.context(count, public)
    try:
        crypto.ed25519_verify(sender_ed25519, signature, signed_part(context, sealed))
    except crypto.BadSignature as error:
        raise CannotOpen("signature", str(error)) from error
    return SignedBox(count, public, sealed, context)
