"""The frozen credentials and signatures that PROTOCOL.md §2 has everybody refuse."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cfbchat import cbor, credential, crypto
from cfbchat.credential import Identity, OwnCredential
from vector_basics import NOW, fixed


def credential_for_tests(identity: Identity, role: str, name: str) -> OwnCredential:
    return credential.make(
        identity,
        role,
        name,
        ed25519=Ed25519PrivateKey.from_private_bytes(fixed(f"{role} ed25519")),
        x25519=X25519PrivateKey.from_private_bytes(fixed(f"{role} x25519")),
        expires=NOW + credential.LIFETIME,
    )


def absent_parameters(spki: bytes) -> bytes:
    """The same key with the NULL of its algorithm left out."""
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    body = spki[4:].replace(algorithm, bytes.fromhex("300b06092a864886f70d010101"), 1)
    assert len(body) == len(spki) - 6
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


def refused_credentials(identity: Identity, other: Identity) -> list[object]:
    """Credentials one must refuse, each with the code §4 has for it."""
    good = cbor.decode(credential_for_tests(identity, "user", "Ira").credential)
    cases: list[object] = []

    def add(why: str, code: str, changes: dict[int, cbor.Value], **instead: bytes) -> None:
        fields = list(good)
        for index, value in changes.items():
            fields[index] = value
        made = cbor.encode(fields) + instead.get("behind", b"")
        signature = instead.get("signature", crypto.pss_sign(identity.key, made))
        spki = instead.get("spki", identity.spki)
        try:
            credential.check("user", spki, made, signature, NOW)
        except credential.CredentialRefused as error:
            assert error.code == code, (why, error.code, code)
        else:
            raise AssertionError(why)
        cases.append({"why": why, "code": code, "spki": spki.hex(),
                      "credential": made.hex(), "signature": signature.hex()})  # fmt: skip

    weak = rsa.generate_private_key(3, 2048).public_key()
    short = rsa.generate_private_key(65537, 1024).public_key()
    add("a byte behind the fields", "credential", {}, behind=b"\x00")
    add("another label", "credential", {0: "cfb-chat/2 credential"})
    add("an unknown role", "credential", {1: "admin"})
    add("a server's role", "credential", {1: "server", 2: "", 5: b""})
    add("another's fingerprint", "credential", {3: other.fingerprint})
    add("a fingerprint of 31 bytes", "credential", {3: identity.fingerprint[:31]})
    add("an Ed25519 key of 31 bytes", "credential", {4: bytes(31)})
    add("a user without X25519 key", "credential", {5: b""})
    add("expires is text", "credential", {6: "tomorrow"})
    for why, key in (("an RSA exponent of 3", weak), ("an RSA modulus of 1024 bits", short)):
        spki = crypto.spki_of(key)
        add(why, "credential", {3: crypto.sha256(spki)}, spki=spki)
    without_null = absent_parameters(identity.spki)
    add("an SPKI without parameters", "credential", {3: crypto.sha256(without_null)},
        spki=without_null)  # fmt: skip
    trailing = identity.spki + b"\x00"
    add("a byte behind the SPKI", "credential", {3: crypto.sha256(trailing)}, spki=trailing)
    add("expired for more than a day", "clock", {6: NOW - 86401})
    add("expires in more than eight days", "clock", {6: NOW + 8 * 86400 + 1})
    add("clock is looked at before name and signature", "clock", {2: "", 6: 0}, signature=bytes(256))
    add("an empty name", "name", {2: ""})
    add("a name of 33 characters", "name", {2: "n" * 33})
    add("a name with a space", "name", {2: "I ra"})
    add("a name with a control character", "name", {2: "Ira\x1b"})
    add("a name with a direction character", "name", {2: "Ira\u202e"})
    add("name is looked at before signature", "name", {2: ""}, signature=bytes(256))
    add("a signature over something else", "credential", {},
        signature=crypto.pss_sign(identity.key, b"something else"))  # fmt: skip
    add("another's signature", "credential", {},
        signature=crypto.pss_sign(other.key, cbor.encode(good)))  # fmt: skip
    salt_20 = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=20)
    add("a signature with a salt of 20 bytes", "credential", {},
        signature=identity.key.sign(cbor.encode(good), salt_20, hashes.SHA256()))  # fmt: skip
    add("an empty signature", "credential", {}, signature=b"")
    return cases


def refused_ed25519() -> list[object]:
    """Signatures a lax verifier takes for any text, or that are malleable."""
    one = b"\x01" + bytes(31)
    order = 2**252 + 27742317777372353535851937790883648493
    signer = Ed25519PrivateKey.from_private_bytes(fixed("malleable"))
    good = signer.sign(b"text")
    scalar = int.from_bytes(good[32:], "little") + order
    cases = [
        ("key and R of small order", one, one + bytes(32)),
        ("key that is not canonical", (2**255 - 18).to_bytes(32, "little"), one + bytes(32)),
        ("S not reduced", signer.public_key().public_bytes_raw(),
         good[:32] + scalar.to_bytes(32, "little")),
    ]  # fmt: skip
    for why, public, signature in cases:
        try:
            crypto.ed25519_verify(public, signature, b"text")
        except crypto.BadSignature:
            continue
        raise AssertionError(why)
    return [
        {"why": why, "public": public.hex(), "text": b"text".hex(), "signature": signature.hex()}
        for why, public, signature in cases
    ]
