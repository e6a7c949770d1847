"""Letters, to somebody who is away: with nothing but the two identities (PROTOCOL.md §7)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from . import cbor, credential, crypto, texts
from .cbor import Bytes
from .credential import Identity
from .opening import CannotOpen, fields_of
from .texts import Text

LABEL = crypto.PROTOCOL + " letter"
SIGNED = LABEL + " signed"
ID_BYTES = 16
SECRET_BYTES = 32
DAY = 24 * 60 * 60 * 1000
OLDEST, MOST_AHEAD = 30 * DAY, DAY
CONTEXT_SHAPE = (LABEL, Bytes(32), bytes, str, Bytes(32), Bytes(ID_BYTES), int, bytes)


def names_author(data: bytes, spki: bytes, name: str) -> bool:
    """Whether a letter says that it is theirs: all that whoever relays it can see, and has to (PROTOCOL.md 6.5-3)."""
    try:
        value = cbor.decode(data)
    except cbor.EncodingError:
        return False
    context = value[0] if isinstance(value, list) and value else None
    return isinstance(context, list) and context[2:4] == [spki, name]


def signed_part(context: list[cbor.Value], sealed: bytes) -> bytes:
    """What the sender of a letter signs."""
    return cbor.encode([SIGNED, context, sealed])


def chain_for(context: list[cbor.Value], secret: bytes) -> bytes:
    """The chain whose first step seals a letter's text."""
    return crypto.extract(crypto.sha256(cbor.encode(context)), secret)


def seal(context: list[cbor.Value], secret: bytes, text: bytes, signer: rsa.RSAPrivateKey) -> bytes:
    """A letter with this context, in which `secret` is closed."""
    sealed = crypto.seal(crypto.step(chain_for(context, secret)), text)
    return cbor.encode([context, sealed, crypto.pss_sign(signer, signed_part(context, sealed))])


def write(server: bytes, sender: Identity, name: str, reader_spki: bytes, text: Text) -> bytes:
    """A letter from `sender`, who is called `name`."""
    secret = os.urandom(SECRET_BYTES)
    closed = crypto.oaep_encrypt(crypto.load_spki(reader_spki), LABEL, secret)
    context: list[cbor.Value] = [
        LABEL, server, sender.spki, name, crypto.sha256(reader_spki), os.urandom(ID_BYTES),
        text.sent_at, closed,
    ]  # fmt: skip
    return seal(context, secret, texts.pad(text), sender.key)


@dataclass(frozen=True)
class SignedLetter:
    """A letter for this reader, whose signature holds; no private key has been used for it yet."""

    context: list[cbor.Value]
    spki: bytes
    name: str
    letter_id: bytes
    sent_at: int
    closed: bytes
    sealed: bytes

    @property
    def fingerprint(self) -> bytes:
        return crypto.sha256(self.spki)

    def open(self, own: rsa.RSAPrivateKey, longest: int = texts.LONGEST) -> Text:
        """The text; the time in it must be the one the age was judged by."""
        secret = crypto.oaep_decrypt(own, LABEL, self.closed)
        try:
            padded = crypto.open_sealed(crypto.step(chain_for(self.context, secret)), self.sealed)
        except crypto.BadTag as error:
            raise CannotOpen("tag", str(error)) from error
        text = texts.unpad(padded, longest)
        if text.sent_at != self.sent_at:
            raise CannotOpen("text", "the time inside is another than outside")
        return text


def check(data: bytes, server: bytes, reader: bytes, now: int) -> SignedLetter:
    """The letter in `data`, if it may be opened by `reader` at this server, at `now` milliseconds.

    Whether it has been seen, and whether its sender is who had that name, is left to the caller.
    """
    context, sealed, signature = fields_of(data, [CONTEXT_SHAPE, bytes, bytes], "the letter")
    _, at_server, spki, name, to, letter_id, sent_at, closed = context
    try:
        key = crypto.load_spki(spki)
    except crypto.RefusedKey as error:
        raise CannotOpen("sender", f"the sender's key: {error}") from error
    try:
        crypto.pss_verify(key, signature, signed_part(context, sealed))
    except crypto.BadSignature as error:
        raise CannotOpen("signature", str(error)) from error
    if at_server != server or to != reader:
        raise CannotOpen("address", "it is for somebody else, or for another server")
    if not credential.is_name(name):
        raise CannotOpen("sender", "the sender's name is none")
    if not now - OLDEST <= sent_at <= now + MOST_AHEAD:
        raise CannotOpen("age", "it is too old, or from the future")
    return SignedLetter(context, spki, name, letter_id, sent_at, closed, sealed)
