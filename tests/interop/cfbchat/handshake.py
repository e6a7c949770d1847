"""The handshake of PROTOCOL.md §4, without input or output: payloads of frames in, payloads out."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from . import cbor, credential, crypto
from .credential import OwnCredential, Person

VERSION = 1
KEM_KEY_BYTES = 1184
KEM_CIPHERTEXT_BYTES = 1088
SECRET_LABEL = crypto.PROTOCOL + " secret"


class HandshakeFailed(Exception):
    """This end gives up; `reply`, if any, is the payload of a last frame to send."""

    def __init__(self, why: str, reply: bytes | None = None) -> None:
        super().__init__(why)
        self.reply = reply


class PeerRefused(HandshakeFailed):
    """The server refused with message 15; bare, it may be anybody's."""

    def __init__(self, code: str, bare: bool) -> None:
        how = "bare, so it may be anybody's" if bare else "sealed"
        super().__init__(f"refused: {code} ({how})")
        self.code = code
        self.bare = bare


@dataclass
class Established:
    """What a finished handshake leaves behind."""

    peer: Person
    send: crypto.Chain
    receive: crypto.Chain


class Schedule:
    """The transcript and the secrets of §4."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.handshake_secret = b""
        self.master = b""

    def add(self, message: bytes) -> None:
        self.messages.append(message)

    def th(self, count: int) -> bytes:
        """`th(n)`: the hash of the first n messages."""
        assert len(self.messages) >= count
        return crypto.sha256(cbor.encode(list(self.messages[:count])))

    def agree(self, agreed: bytes) -> None:
        self.handshake_secret = crypto.extract(crypto.PROTOCOL.encode(), agreed)

    def handshake_chain(self, side: str) -> bytes:
        return crypto.derive(self.handshake_secret, f"{side} handshake", self.th(2), 32)

    def issue(self, secret: bytes) -> None:
        salt = crypto.derive(self.handshake_secret, "master", self.th(4), 32)
        self.master = crypto.extract(salt, secret)

    def chain(self, side: str) -> bytes:
        return crypto.derive(self.master, side, self.th(5), 32)


def proof_input(side: str, th: bytes, spki: bytes, made: bytes, signature: bytes) -> bytes:
    """What the proof of message 3 or 4 signs."""
    return cbor.encode([f"{crypto.PROTOCOL} {side} proof", th, spki, made, signature])


def identity_message(kind: int, side: str, th: bytes, own: OwnCredential) -> bytes:
    """Message 3 or 4."""
    spki = own.identity.spki
    proof = own.ed25519.sign(proof_input(side, th, spki, own.credential, own.signature))
    return cbor.encode([kind, spki, own.credential, own.signature, proof])


def check_identity(side: str, role: str, th: bytes, fields: list, now: float | None) -> Person:
    """Checks the credential and the proof of message 3 or 4."""
    _, spki, made, signature, proof = fields
    person = credential.check(role, spki, made, signature, now)
    try:
        signed = proof_input(side, th, spki, made, signature)
        crypto.ed25519_verify(person.ed25519, proof, signed)
    except crypto.BadSignature as error:
        raise credential.CredentialRefused("credential", "proof") from error
    return person


def _decode(text: bytes, shape: list[object]) -> list | None:
    """The message in `text`, if it has exactly these fields."""
    try:
        message = cbor.decode(text)
    except cbor.EncodingError:
        return None
    if not cbor.has_fields(message, shape):
        return None
    return message


class ClientHandshake:
    """The client's side: send `start()`, then give each payload that comes to `receive()`."""

    def __init__(
        self,
        own: OwnCredential,
        pinned: bytes | None = None,
        *,
        kem: MLKEM768PrivateKey | None = None,
        ephemeral: X25519PrivateKey | None = None,
        now: float | None = None,
    ) -> None:
        self.own = own
        self.pinned = pinned
        self.kem = kem or MLKEM768PrivateKey.generate()
        self.ephemeral = ephemeral or X25519PrivateKey.generate()
        self.now = now
        self.schedule = Schedule()
        self.server: Person | None = None
        self.done: Established | None = None

    def start(self) -> bytes:
        share = self.kem.public_key().public_bytes_raw()
        share += self.ephemeral.public_key().public_bytes_raw()
        message = cbor.encode([1, [[VERSION, share]]])
        self.schedule.add(message)
        return message

    def receive(self, payload: bytes) -> list[bytes]:
        """The payloads to send after this one has come."""
        if len(self.schedule.messages) == 1:
            self._receive_share(payload)
            return []
        try:
            text = self.from_server.open(payload)
        except crypto.BadTag as error:
            raise HandshakeFailed(f"record: {error}") from error
        if self.server is None:
            return [self._receive_server(text)]
        self._receive_secret(text)
        return []

    def _receive_share(self, message: bytes) -> None:
        refusal = _decode(message, [15, str])
        if refusal:
            raise PeerRefused(refusal[1], bare=True)
        fields = _decode(message, [2, int, bytes])
        if not fields or len(fields[2]) != KEM_CIPHERTEXT_BYTES + 32:
            raise HandshakeFailed("message 2 has wrong fields")
        if fields[1] != VERSION:
            raise HandshakeFailed("the server chose a version that was not offered")
        ciphertext, public = fields[2][:KEM_CIPHERTEXT_BYTES], fields[2][KEM_CIPHERTEXT_BYTES:]
        try:
            agreed = self.kem.decapsulate(ciphertext) + crypto.x25519(self.ephemeral, public)
        except ValueError as error:
            raise HandshakeFailed(f"the server's share: {error}") from error
        self.schedule.add(message)
        self.schedule.agree(agreed)
        self.from_server = crypto.Chain(self.schedule.handshake_chain("server"))
        self.to_server = crypto.Chain(self.schedule.handshake_chain("client"))

    def _receive_server(self, text: bytes) -> bytes:
        fields = _decode(text, [3, bytes, bytes, bytes, bytes])
        if not fields:
            raise HandshakeFailed("message 3 has wrong fields")
        try:
            server = check_identity("server", "server", self.schedule.th(2), fields, self.now)
        except credential.CredentialRefused as error:
            raise HandshakeFailed(f"the server's {error}") from error
        if self.pinned is not None and server.fingerprint != self.pinned:
            shown = crypto.fingerprint_text(server.fingerprint)
            raise HandshakeFailed(f"the server's fingerprint is {shown}, not the pinned one")
        self.schedule.add(text)
        self.server = server
        message = identity_message(4, "client", self.schedule.th(3), self.own)
        self.schedule.add(message)
        return self.to_server.seal(message)

    def _receive_secret(self, text: bytes) -> None:
        refusal = _decode(text, [15, str])
        if refusal:
            raise PeerRefused(refusal[1], bare=False)
        fields = _decode(text, [5, bytes])
        if not fields:
            raise HandshakeFailed("message 5 has wrong fields")
        secret = crypto.oaep_decrypt(self.own.identity.key, SECRET_LABEL, fields[1])
        self.schedule.issue(secret)
        self.schedule.add(text)
        assert self.server is not None
        self.done = Established(
            self.server,
            crypto.Chain(self.schedule.chain("client")),
            crypto.Chain(self.schedule.chain("server")),
        )


class ServerHandshake:
    """The server's side: give each payload that comes to `receive()`."""

    def __init__(
        self,
        own: OwnCredential,
        *,
        ephemeral: X25519PrivateKey | None = None,
        secret: bytes | None = None,
        now: float | None = None,
    ) -> None:
        self.own = own
        self.ephemeral = ephemeral or X25519PrivateKey.generate()
        self.secret = secret or os.urandom(32)
        self.now = now
        self.schedule = Schedule()
        self.done: Established | None = None

    def refuse(self, code: str) -> HandshakeFailed:
        """The refusal as §4 has it: bare instead of 2, sealed instead of 5, none after."""
        message = cbor.encode([15, code])
        if not self.schedule.messages:
            return HandshakeFailed(code, message)
        if self.done is None:
            return HandshakeFailed(code, self.to_client.seal(message))
        return HandshakeFailed(code)

    def receive(self, payload: bytes) -> list[bytes]:
        """The payloads to send after this one has come."""
        if not self.schedule.messages:
            return self._receive_share(payload)
        try:
            text = self.from_client.open(payload)
        except crypto.BadTag as error:  # §5: unanswered
            raise HandshakeFailed(f"record: {error}") from error
        return [self._receive_client(text)]

    def _client_share(self, message: bytes) -> bytes:
        """The share for the highest version both have; versions are looked at before shares."""
        fields = _decode(message, [1, list])
        if not fields or not all(
            isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], int)
            for pair in fields[1]
        ):
            raise self.refuse("malformed")
        shares = {version: share for version, share in fields[1]}
        if len(shares) != len(fields[1]):
            raise self.refuse("malformed")
        if VERSION not in shares:
            raise self.refuse("version")
        share = shares[VERSION]
        if not isinstance(share, bytes) or len(share) != KEM_KEY_BYTES + 32:
            raise self.refuse("malformed")
        return share

    def _receive_share(self, message: bytes) -> list[bytes]:
        share = self._client_share(message)
        try:
            kem_key = MLKEM768PublicKey.from_public_bytes(share[:KEM_KEY_BYTES])
            kem_secret, ciphertext = kem_key.encapsulate()
            agreed = kem_secret + crypto.x25519(self.ephemeral, share[KEM_KEY_BYTES:])
        except ValueError:
            raise self.refuse("malformed") from None
        public = self.ephemeral.public_key().public_bytes_raw()
        answer = cbor.encode([2, VERSION, ciphertext + public])
        self.schedule.add(message)
        self.schedule.add(answer)
        self.schedule.agree(agreed)
        self.from_client = crypto.Chain(self.schedule.handshake_chain("client"))
        self.to_client = crypto.Chain(self.schedule.handshake_chain("server"))
        message = identity_message(3, "server", self.schedule.th(2), self.own)
        self.schedule.add(message)
        return [answer, self.to_client.seal(message)]

    def _receive_client(self, text: bytes) -> bytes:
        fields = _decode(text, [4, bytes, bytes, bytes, bytes])
        if not fields:
            raise self.refuse("malformed")
        try:
            client = check_identity("client", "user", self.schedule.th(3), fields, self.now)
        except credential.CredentialRefused as error:
            raise self.refuse(error.code) from error
        self.schedule.add(text)
        key = crypto.load_spki(client.spki)
        message = cbor.encode([5, crypto.oaep_encrypt(key, SECRET_LABEL, self.secret)])
        self.schedule.issue(self.secret)
        self.schedule.add(message)
        self.done = Established(
            client,
            crypto.Chain(self.schedule.chain("server")),
            crypto.Chain(self.schedule.chain("client")),
        )
        return self.to_client.seal(message)
