"""The frozen values of PROTOCOL.md §7: what two users must be able to open."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cfbchat import boxes, cbor, crypto, letters, sender_keys, texts
from cfbchat.boxes import Way
from cfbchat.credential import OwnCredential
from cfbchat.safety_number import safety_number
from cfbchat.sender_keys import Envelope, Place, SenderKey
from cfbchat.texts import Text
from vector_basics import fixed, sealed_case
from vector_people import AT, ROOM, THIRD, Cast, name_of, public_of
from vector_rsa import oaep_seed, pss_salt

Case = dict[str, object]


def text_case(name: str, text: Text) -> Case:
    array = cbor.encode([text.sent_at, text.kind, text.text])
    padded = texts.pad(text)
    assert texts.unpad(padded) == text, name
    return {
        "name": name,
        "sent_at": text.sent_at,
        "kind": text.kind,
        "text": text.text,
        "array": array.hex(),
        "marked_bytes": len(array) + 1,
        "padded": padded.hex(),
    }


def _filling(marked_bytes: int) -> Text:
    """A text that has this many bytes with its 0x80."""
    count = marked_bytes
    while len(cbor.encode([AT, 0, "x" * count])) + 1 > marked_bytes:
        count -= 1
    return Text(AT, texts.TEXT, "x" * count)


def text_section() -> list[Case]:
    cases = [text_case(f"{count} bytes with its 0x80", _filling(count))
             for count in (62, 63, 64, 65, 127, 128, 129)]  # fmt: skip
    for count, case in zip((62, 63, 64, 65, 127, 128, 129), cases, strict=True):
        assert case["marked_bytes"] == count
    return cases + [
        text_case("one byte", Text(AT, texts.TEXT, "x")),
        text_case("an action", Text(AT, texts.ACTION, "waves")),
        text_case("an unknown kind", Text(AT, 77, "Hi")),
        text_case("the largest unknown kind", Text(AT, 2**64 - 1, "Hi")),
        text_case("not ASCII", Text(AT, texts.TEXT, "grüße 水 😀")),
        text_case("control characters", Text(AT, texts.TEXT, "a\nb\u0000\u001b[31m\u202e")),
        text_case("the time 0", Text(0, texts.TEXT, "Hi")),
        text_case("the longest", Text(AT, texts.TEXT, "x" * texts.LONGEST)),
    ]


def roster_section(cast: Cast) -> list[Case]:
    ira, sahnawaz = cast.both()
    cases = []
    for change, sessions in (
        (1, [ira]),
        (2, [ira, sahnawaz]),
        (24, [THIRD, ira, sahnawaz]),
        (24, [sahnawaz, THIRD, ira]),
        (300, [ira, THIRD, sahnawaz]),
    ):
        given = (cast.server_fingerprint, ROOM, change, sessions)
        cases.append(
            {
                "server": cast.server_fingerprint.hex(),
                "room": ROOM,
                "change": change,
                "sessions": [session.hex() for session in sessions],
                "encoding": sender_keys.roster_encoding(*given).hex(),
                "roster": sender_keys.roster(*given).hex(),
            }
        )
    return cases


def box_case(
    cast: Cast, purpose: str, sender: OwnCredential, reader: OwnCredential, count: int, text: bytes
) -> Case:
    way = Way(purpose, cast.server_fingerprint, sender.session, reader.session)
    private = fixed(f"box {purpose} of {name_of(sender)} {count}")
    ephemeral = X25519PrivateKey.from_private_bytes(private)
    assert reader.x25519
    to = reader.x25519.public_key().public_bytes_raw()
    box = boxes.make(way, count, text, sender.ed25519, to, ephemeral)
    _, public, sealed, signature = cbor.decode(box)
    context = way.context(count, public)
    secret = crypto.x25519(ephemeral, to)
    assert boxes.check(way, box, public_of(sender)).open(reader.x25519) == text
    sealing = sealed_case(boxes.chain_for(context, secret), text)
    assert sealing["sealed"] == sealed.hex()
    return {
        "purpose": purpose,
        "from": name_of(sender),
        "to": name_of(reader),
        "server": way.server.hex(),
        "from_session": way.sender.hex(),
        "to_session": way.reader.hex(),
        "count": count,
        "e_private": private.hex(),
        "e_public": public.hex(),
        "context": cbor.encode(context).hex(),
        "context_hash": crypto.sha256(cbor.encode(context)).hex(),
        "ikm": secret.hex(),
        **sealing,
        "signed": boxes.signed_part(context, sealed).hex(),
        "signature": signature.hex(),
        "box": box.hex(),
    }


def first_key() -> SenderKey:
    return SenderKey(ROOM, fixed("key id", 8), 0, fixed("sender chain"))


def later_key() -> SenderKey:
    """The key of a sender who has spoken 301 times, and changed it once more."""
    return SenderKey(ROOM, fixed("later key id", 8), 301, fixed("later sender chain"))


def box_section(cast: Cast) -> list[Case]:
    ira, sahnawaz = cast.ira, cast.sahnawaz

    def whispered(text: str) -> bytes:
        return texts.pad(Text(AT, texts.TEXT, text))

    return [
        box_case(cast, "whisper", ira, sahnawaz, 1, whispered("Hi")),
        box_case(cast, "key", ira, sahnawaz, 2, first_key().to_text()),
        box_case(cast, "key", ira, sahnawaz, 1, first_key().to_text()),
        box_case(cast, "whisper", ira, sahnawaz, 2, whispered("grüße 水 😀")),
        box_case(cast, "whisper", sahnawaz, ira, 1, texts.pad(Text(AT, texts.ACTION, "waves"))),
        box_case(cast, "whisper", sahnawaz, ira, 300, whispered("x" * texts.LONGEST)),
    ]


def sender_key_section() -> list[Case]:
    cases = []
    for name, key in (
        ("a session's first", first_key()),
        ("the first at counter 300", first_key().at(300)),
        ("another, and the counter goes on", later_key()),
        ("for a room that is not ASCII", SenderKey("#grüße水", fixed("key id", 8), 24, bytes(32))),
    ):
        keys = crypto.step(key.chain)
        cases.append(
            {
                "name": name,
                "room": key.room,
                "key_id": key.key_id.hex(),
                "counter": key.counter,
                "chain": key.chain.hex(),
                "text": key.to_text().hex(),
                "step": {"enc": keys.enc.hex(), "mac": keys.mac.hex(), "iv": keys.iv.hex(),
                         "next": keys.next_chain.hex()},
            }
        )  # fmt: skip
    return cases


def envelope_case(
    cast: Cast, name: str, key: SenderKey, text: Text, change: int, sessions: list[bytes]
) -> Case:
    """What Ira says with `key` as it stands."""
    server, sender = cast.server_fingerprint, cast.ira
    roster = sender_keys.roster(server, key.room, change, sessions)
    place = Place(server, key.room, sender.session, roster)
    padded = texts.pad(text)
    sealed = key.seal(padded)
    envelope = Envelope(key.key_id, key.counter, sealed).signed(place, sender.ed25519)
    checked = sender_keys.check(place, envelope, public_of(sender))
    assert texts.unpad(key.open(checked.sealed)) == text
    return {
        "name": name,
        "from": name_of(sender),
        "server": server.hex(),
        "room": key.room,
        "session": sender.session.hex(),
        "key_id": key.key_id.hex(),
        "counter": key.counter,
        "change": change,
        "sessions": [session.hex() for session in sessions],
        "roster": roster.hex(),
        "sent_at": text.sent_at,
        "kind": text.kind,
        "said": text.text,
        **sealed_case(key.chain, padded),
        "signed": place.signed_part(key.key_id, key.counter, sealed).hex(),
        "signature": cbor.decode(envelope)[3].hex(),
        "envelope": envelope.hex(),
    }


def envelope_section(cast: Cast) -> list[Case]:
    both, three = cast.both(), [*cast.both(), THIRD]
    first = first_key()
    return [
        envelope_case(cast, "counter 0", first, Text(AT, 0, "Hi"), 2, both),
        envelope_case(cast, "counter 1, the next of the chain", first.after(),
                      Text(AT + 1, 1, "waves to all of you"), 2, both),
        envelope_case(cast, "counter 1 again, for those who are there at the next change",
                      first.after(), Text(AT + 1, 1, "waves to all of you"), 3, three),
        envelope_case(cast, "counter 300", first.at(300), Text(AT + 2, 0, "grüße 水 😀"), 3, three),
        envelope_case(cast, "another key, and the counter goes on", later_key(),
                      Text(AT + 3, 0, "x" * 100), 4, both),
    ]  # fmt: skip


def letter_case(cast: Cast, name: str, text: Text, secret: bytes, letter_id: bytes) -> Case:
    """A letter of Ira to sahnawaz."""
    sender, reader = cast.ira, cast.sahnawaz
    key = reader.identity.key.public_key()
    closed = crypto.oaep_encrypt(key, letters.LABEL, secret)
    context: list[cbor.Value] = [
        letters.LABEL, cast.server_fingerprint, sender.identity.spki, name_of(sender),
        reader.identity.fingerprint, letter_id, text.sent_at, closed,
    ]  # fmt: skip
    padded = texts.pad(text)
    letter = letters.seal(context, secret, padded, sender.identity.key)
    _, sealed, signature = cbor.decode(letter)
    sealing = sealed_case(letters.chain_for(context, secret), padded)
    assert sealing["sealed"] == sealed.hex()
    opens_at = [text.sent_at, text.sent_at + letters.OLDEST - 1000,
                text.sent_at - letters.MOST_AHEAD + 1000]  # fmt: skip
    for now in opens_at:
        signed = letters.check(letter, cast.server_fingerprint, reader.identity.fingerprint, now)
        assert signed.open(reader.identity.key) == text
    return {
        "name": name,
        "from": name_of(sender),
        "to": name_of(reader),
        "server": cast.server_fingerprint.hex(),
        "from_spki": sender.identity.spki.hex(),
        "to_fingerprint": reader.identity.fingerprint.hex(),
        "id": letter_id.hex(),
        "sent_at": text.sent_at,
        "kind": text.kind,
        "said": text.text,
        "r": secret.hex(),
        "oaep_seed": oaep_seed(reader.identity.key, closed).hex(),
        "oaep": closed.hex(),
        "context": cbor.encode(context).hex(),
        "context_hash": crypto.sha256(cbor.encode(context)).hex(),
        **sealing,
        "signed": letters.signed_part(context, sealed).hex(),
        "pss_salt": pss_salt(sender.identity.key.public_key(), signature).hex(),
        "signature": signature.hex(),
        "letter": letter.hex(),
        "opens_at": opens_at,
    }


def letter_section(cast: Cast) -> list[Case]:
    return [
        letter_case(cast, name, text, fixed(f"letter {number}"), fixed(f"id {number}", 16))
        for number, (name, text) in enumerate(
            (
                ("short", Text(AT, texts.TEXT, "Hi")),
                ("not ASCII, two blocks", Text(AT + 1, texts.TEXT, "grüße 水 😀 " * 4)),
                ("an action", Text(AT + 2, texts.ACTION, "waves")),
            )
        )
    ]


def safety_number_section(cast: Cast) -> list[Case]:
    ira, sahnawaz = cast.ira.identity.fingerprint, cast.sahnawaz.identity.fingerprint
    pairs = (
        (ira, sahnawaz),
        (sahnawaz, ira),
        (ira, bytes(32)),
        (b"\xff" * 32, bytes(31) + b"\x01"),
    )
    return [
        {
            "fingerprints": [one.hex(), other.hex()],
            "lower_first": [fingerprint.hex() for fingerprint in sorted((one, other))],
            "groups": safety_number(one, other),
        }
        for one, other in pairs
    ]
