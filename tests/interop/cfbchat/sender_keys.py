"""Sender keys, and the envelopes they seal for a room (PROTOCOL.md §7.3)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import cbor, crypto
from .cbor import Bytes
from .opening import CannotOpen, fields_of
from .shapes import ROOM

SAID = crypto.PROTOCOL + " said"
ROSTER = crypto.PROTOCOL + " roster"
KEY_ID_BYTES = 8
CHAIN_BYTES = 32
MOST_STEPS = 1000


@dataclass(frozen=True)
class SenderKey:
    """A key for a room as it stands: the chain seals, or opens, the message of this counter."""

    room: str
    key_id: bytes
    counter: int
    chain: bytes

    @staticmethod
    def fresh(room: str, counter: int) -> SenderKey:
        return SenderKey(room, os.urandom(KEY_ID_BYTES), counter, os.urandom(CHAIN_BYTES))

    @staticmethod
    def from_text(text: bytes) -> SenderKey:
        """The key in the text of a "key" box."""
        shape: list[object] = [ROOM, Bytes(KEY_ID_BYTES), int, Bytes(CHAIN_BYTES)]
        return SenderKey(*fields_of(text, shape, "the key"))

    def to_text(self) -> bytes:
        """The text of the "key" box that shares this key; it is not padded."""
        return cbor.encode([self.room, self.key_id, self.counter, self.chain])

    def after(self) -> SenderKey:
        """The key after the message of its counter."""
        chain = crypto.step(self.chain).next_chain
        return SenderKey(self.room, self.key_id, self.counter + 1, chain)

    def at(self, counter: int) -> SenderKey:
        """The key at a later counter; what was skipped cannot be opened any more."""
        if not 0 <= counter - self.counter <= MOST_STEPS:
            raise CannotOpen("count", f"counter {counter} where the key stands at {self.counter}")
        key = self
        while key.counter < counter:
            key = key.after()
        return key

    def seal(self, text: bytes) -> bytes:
        return crypto.seal(crypto.step(self.chain), text)

    def open(self, sealed: bytes) -> bytes:
        try:
            return crypto.open_sealed(crypto.step(self.chain), sealed)
        except crypto.BadTag as error:
            raise CannotOpen("tag", str(error)) from error


def roster_encoding(server: bytes, room: str, change: int, sessions: list[bytes]) -> bytes:
    """What a roster's hash is over."""
    in_order: list[cbor.Value] = [*sorted(sessions)]
    return cbor.encode([ROSTER, server, room, change, in_order])


def roster(server: bytes, room: str, change: int, sessions: list[bytes]) -> bytes:
    return crypto.sha256(roster_encoding(server, room, change, sessions))


@dataclass(frozen=True)
class Place:
    """Where an envelope is said and who says it; signed, not sent, for the reader has it."""

    server: bytes
    room: str
    session: bytes
    roster: bytes

    def signed_part(self, key_id: bytes, counter: int, sealed: bytes) -> bytes:
        return cbor.encode(
            [SAID, self.server, self.room, self.session, key_id, counter, self.roster, sealed]
        )


@dataclass(frozen=True)
class Envelope:
    """An envelope without its signature."""

    key_id: bytes
    counter: int
    sealed: bytes

    def signed(self, place: Place, signer: Ed25519PrivateKey) -> bytes:
        signature = signer.sign(place.signed_part(self.key_id, self.counter, self.sealed))
        return cbor.encode([self.key_id, self.counter, self.sealed, signature])


def check(place: Place, data: bytes, sender_ed25519: bytes) -> Envelope:
    """The envelope in `data`, if the session of `place` signed it there."""
    shape: list[object] = [Bytes(KEY_ID_BYTES), int, bytes, Bytes(64)]
    key_id, counter, sealed, signature = fields_of(data, shape, "the envelope")
    try:
        crypto.ed25519_verify(sender_ed25519, signature, place.signed_part(key_id, counter, sealed))
    except crypto.BadSignature as error:
        raise CannotOpen("signature", str(error)) from error
    return Envelope(key_id, counter, sealed)
