"""The frozen boxes, envelopes, letters and texts of PROTOCOL.md §7 that nobody may use."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cfbchat import boxes, cbor, crypto, letters, sender_keys, texts
from cfbchat.boxes import Way
from cfbchat.opening import CannotOpen
from cfbchat.sender_keys import Envelope, Place, SenderKey
from cfbchat.texts import Text
from people import flipped
from vector_basics import fixed
from vector_end_to_end import first_key
from vector_people import AT, ROOM, THIRD, Cast, name_of, public_of

Case = dict[str, object]
HI = Text(AT, texts.TEXT, "Hi")
OF_SMALL_ORDER = b"\x01" + bytes(31)


def each_flipped(fields: list[cbor.Value], names: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """The array of these fields with each in turn changed by one bit, or by 1."""
    spoiled = []
    for index, name in enumerate(names):
        given = fields[index]
        changed: cbor.Value
        if isinstance(given, bytes):
            changed = flipped(given, len(given) // 2)
        elif isinstance(given, str):
            changed = given[:-1] + chr(ord(given[-1]) ^ 1)
        else:
            assert isinstance(given, int)
            changed = given + 1
        spoiled.append(
            (f"{name} changed", cbor.encode([*fields[:index], changed, *fields[index + 1 :]]))
        )
    return spoiled


def misshapen(fields: list[cbor.Value], number: int) -> list[tuple[str, bytes]]:
    """Arrays that have not exactly these fields; `number` is the index of one that is a number."""
    good = cbor.encode(fields)
    before, after = cbor.encode(fields[:number])[1:], cbor.encode(fields[number + 1 :])[1:]
    value = fields[number]
    assert isinstance(value, int) and value < 24 and len(fields) < 24
    as_text: cbor.Value = str(value)
    return [
        ("an extra field at the end", cbor.encode([*fields, 0])),
        ("a field less", cbor.encode(fields[:-1])),
        ("a byte behind the end", good + b"\x00"),
        ("cut off", good[:-1]),
        ("nothing", b""),
        ("no array", cbor.encode(good)),
        ("a long head of the array", b"\x98" + bytes([len(fields)]) + good[1:]),
        ("a long head of a number", good[:1] + before + b"\x18" + bytes([value]) + after),
        ("text for a number", cbor.encode([*fields[:number], as_text, *fields[number + 1 :]])),
    ]


def refused_by(action: Callable[[], object], why: str) -> str:
    """The check that `action` fails."""
    try:
        action()
    except CannotOpen as error:
        return error.check
    raise AssertionError(f"{why} was taken")


# --- Texts


def bad_texts() -> list[tuple[str, bytes]]:
    array = cbor.encode([HI.sent_at, HI.kind, HI.text])
    fill = 64 - len(array)
    exact = cbor.encode([AT, 0, "x" * (63 - len(cbor.encode([AT, 0, "x" * 40])) + 40)])
    assert len(exact) == 63
    long_heads = b"\x83\x1b" + AT.to_bytes(8, "big") + b"\x18\x00" + b"\x62Hi"
    not_utf_8 = array.replace(b"Hi", b"H\xff")
    arrays: list[tuple[str, bytes]] = [
        ("an empty text", cbor.encode([AT, 0, ""])),
        ("a text of 4,097 bytes", cbor.encode([AT, 0, "x" * 4097])),
        ("a long head of the kind", long_heads),
        ("a long head of the array", b"\x98\x03" + array[1:]),
        ("an extra field", cbor.encode([AT, 0, "Hi", 0])),
        ("a field less", cbor.encode([AT, 0])),
        ("a kind that is text", cbor.encode([AT, "0", "Hi"])),
        ("a time that is text", cbor.encode(["now", 0, "Hi"])),
        ("bytes for text", cbor.encode([AT, 0, b"Hi"])),
        ("not UTF-8", not_utf_8),
        ("no array", cbor.encode("Hi")),
        ("a byte behind the array", array + b"\x00"),
    ]
    return [
        ("nothing", b""),
        ("64 zeros", bytes(64)),
        ("no 0x80", array + bytes(fill)),
        ("0x81 for 0x80", array + b"\x81" + bytes(fill - 1)),
        ("0x01 for 0x80", array + b"\x01" + bytes(fill - 1)),
        ("two times 0x80", array + b"\x80\x80" + bytes(fill - 2)),
        ("not zero after 0x80", array + b"\x80" + bytes(fill - 2) + b"\x01"),
        ("not zero just after 0x80", array + b"\x80\x01" + bytes(fill - 2)),
        ("64 zeros too many", array + b"\x80" + bytes(fill - 1 + 64)),
        ("64 zeros where there must be none", exact + b"\x80" + bytes(64)),
        ("not padded to 64", array + b"\x80"),
        ("63 bytes", array + b"\x80" + bytes(fill - 2)),
        ("65 bytes", array + b"\x80" + bytes(fill)),
        ("not padded at all", array),
        *((why, bad + b"\x80" + bytes(-(len(bad) + 1) % 64)) for why, bad in arrays),
    ]


def refused_texts() -> list[Case]:
    return [
        {"why": why, "padded": padded.hex(), "fails": refused_by(lambda: texts.unpad(padded), why)}
        for why, padded in bad_texts()
    ]


# --- Boxes and sender keys


def refused_keys() -> list[Case]:
    key = first_key()
    fields: list[cbor.Value] = [key.room, key.key_id, 0, key.chain]
    bad = [
        *misshapen(fields, 2),
        ("a key id of 7 bytes", cbor.encode([key.room, key.key_id[:7], 0, key.chain])),
        ("a key id of 9 bytes", cbor.encode([key.room, key.key_id + b"x", 0, key.chain])),
        ("a chain of 31 bytes", cbor.encode([key.room, key.key_id, 0, key.chain[:31]])),
        ("a room without #", cbor.encode(["lobby", key.key_id, 0, key.chain])),
        ("a room with a space", cbor.encode(["#lob by", key.key_id, 0, key.chain])),
        ("padded like a text", key.to_text() + b"\x80" + bytes(-(len(key.to_text()) + 1) % 64)),
    ]
    return [
        {"why": why, "text": t.hex(), "fails": refused_by(lambda: SenderKey.from_text(t), why)}
        for why, t in bad
    ]


def refused_boxes(cast: Cast) -> list[Case]:
    """Boxes the reader of `way` must refuse from the key of its sender."""
    ira, sahnawaz = cast.ira, cast.sahnawaz
    assert ira.x25519 and sahnawaz.x25519
    reader = sahnawaz.x25519
    to = reader.public_key().public_bytes_raw()
    way = Way("whisper", cast.server_fingerprint, ira.session, sahnawaz.session)
    ephemeral = X25519PrivateKey.from_private_bytes(fixed("refused box"))
    text = texts.pad(HI)

    def signed(context: list[cbor.Value], sealed: bytes) -> bytes:
        signature = ira.ed25519.sign(boxes.signed_part(context, sealed))
        return cbor.encode([context[5], context[6], sealed, signature])

    good = boxes.make(way, 1, text, ira.ed25519, to, ephemeral)
    fields = cbor.decode(good)
    context = way.context(1, fields[1])
    cases: list[Case] = []

    def add(why: str, box: bytes, way: Way = way, signer: bytes = public_of(ira)) -> None:
        def read() -> None:
            texts.unpad(boxes.check(way, box, signer).open(reader))

        cases.append(
            {
                "why": why,
                "purpose": way.purpose,
                "server": way.server.hex(),
                "from_session": way.sender.hex(),
                "to_session": way.reader.hex(),
                "from_ed25519": signer.hex(),
                "to_x25519_private": reader.private_bytes_raw().hex(),
                "box": box.hex(),
                "fails": refused_by(read, why),
            }
        )

    for why, box in each_flipped(fields, ("count", "e.public", "sealed", "signature")):
        add(why, box)
    for why, box in misshapen(fields, 0):
        add(why, box)
    add("e.public of 31 bytes", cbor.encode([1, fields[1][:31], *fields[2:]]))
    add("a signature of 63 bytes", cbor.encode([*fields[:3], fields[3][:63]]))
    add("read as another purpose", good, Way("key", way.server, way.sender, way.reader))
    add("read at another server", good, Way("whisper", fixed("server"), way.sender, way.reader))
    add("read as another session's", good, Way("whisper", way.server, THIRD, way.reader))
    add("read as sent to another session", good, Way("whisper", way.server, way.sender, THIRD))
    add("sender and reader swapped", good, Way("whisper", way.server, way.reader, way.sender),
        public_of(sahnawaz))  # fmt: skip
    add("checked with another's key", good, signer=public_of(sahnawaz))
    add("a signature and its key of small order",
        cbor.encode([*fields[:3], OF_SMALL_ORDER + bytes(32)]), signer=OF_SMALL_ORDER)  # fmt: skip
    add(
        "sealed for another, signed well",
        boxes.make(
            way, 1, text, ira.ed25519, ira.x25519.public_key().public_bytes_raw(), ephemeral
        ),
    )
    add(
        "a tag that does not hold, signed well",
        signed(context, flipped(fields[2], len(fields[2]) - 1)),
    )
    add("ciphertext changed, signed well", signed(context, flipped(fields[2], 0)))
    add("sealed is shorter than a tag, signed well", signed(context, fields[2][:31]))
    add("sealed is empty, signed well", signed(context, b""))
    for name, point in (("zeros", bytes(32)), ("one", OF_SMALL_ORDER)):
        weak = way.context(1, point)
        sealed = crypto.seal(crypto.step(boxes.chain_for(weak, bytes(32))), text)
        add(f"e.public of small order ({name}), signed well", signed(weak, sealed))
    add("a bad text, sealed and signed well",
        boxes.make(way, 1, b"Hi", ira.ed25519, to, ephemeral))  # fmt: skip
    return cases


# --- Envelopes


def refused_envelopes(cast: Cast) -> list[Case]:
    """Envelopes that must be refused by a reader who has the first key of Ira, at counter 0."""
    ira, sahnawaz, key = cast.ira, cast.sahnawaz, first_key()
    server, both = cast.server_fingerprint, cast.both()
    text = texts.pad(HI)
    cases: list[Case] = []

    def place(sessions: list[bytes] = both, change: int = 2, room: str = ROOM,
              at: bytes = server, session: bytes = ira.session) -> Place:  # fmt: skip
        return Place(at, room, session, sender_keys.roster(at, room, change, sessions))

    def add(why: str, envelope: bytes, *, at: bytes = server, room: str = ROOM, change: int = 2,
            session: bytes = ira.session, sessions: list[bytes] = both,
            signer: bytes = public_of(ira)) -> None:  # fmt: skip
        def read() -> None:
            here = place(sessions, change, room, at, session)
            checked = sender_keys.check(here, envelope, signer)
            if checked.key_id != key.key_id:
                raise CannotOpen("key", "it is not known")
            texts.unpad(key.at(checked.counter).open(checked.sealed))

        cases.append(
            {
                "why": why,
                "server": at.hex(),
                "room": room,
                "session": session.hex(),
                "change": change,
                "sessions": [member.hex() for member in sessions],
                "from_ed25519": signer.hex(),
                "key_id": key.key_id.hex(),
                "counter": key.counter,
                "chain": key.chain.hex(),
                "envelope": envelope.hex(),
                "fails": refused_by(read, why),
            }
        )

    def made(sealed: bytes, key_id: bytes = key.key_id, counter: int = 0) -> bytes:
        return Envelope(key_id, counter, sealed).signed(place(), ira.ed25519)

    sealed = key.seal(text)
    good = made(sealed)
    fields = cbor.decode(good)
    for why, envelope in each_flipped(fields, ("key id", "counter", "sealed", "signature")):
        add(why, envelope)
    for why, envelope in misshapen(fields, 1):
        add(why, envelope)
    add("a key id of 7 bytes", cbor.encode([fields[0][:7], *fields[1:]]))
    add("a signature of 65 bytes", cbor.encode([*fields[:3], fields[3] + b"\x00"]))
    add("one more in the reader's roster", good, sessions=[*both, THIRD])
    add("one less in the reader's roster", good, sessions=both[:1])
    add("another in the reader's roster", good, sessions=[ira.session, THIRD])
    add("the change after", good, change=3)
    add("the change before", good, change=1)
    add("read in another room", good, room="#lobbx")
    add("read at another server", good, at=fixed("server"))
    add("read as another session's", good, session=sahnawaz.session)
    add("read as another's", good, session=sahnawaz.session, signer=public_of(sahnawaz))
    add("checked with another's key", good, signer=public_of(sahnawaz))
    add("signed by another", Envelope(key.key_id, 0, sealed).signed(place(), sahnawaz.ed25519))
    add("a key that is not known, signed well", made(sealed, fixed("another key id", 8)))
    add("5,000 steps ahead, signed well", made(sealed, counter=5000))
    add("the largest counter, signed well", made(sealed, counter=2**64 - 1))
    add("the next counter, but the step of this", made(sealed, counter=1))
    add("a tag that does not hold, signed well", made(flipped(sealed, len(sealed) - 1)))
    add("ciphertext changed, signed well", made(flipped(sealed, 0)))
    add("sealed is shorter than a tag, signed well", made(sealed[:31]))
    add("a bad text, sealed and signed well", made(key.seal(b"Hi")))
    add("an empty text, sealed and signed well", made(key.seal(texts.pad(Text(AT, 0, "")))))
    return cases


# --- Letters


def _own_salt(key: rsa.RSAPrivateKey, message: bytes, salt: int) -> bytes:
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    return key.sign(message, scheme, hashes.SHA256())


def refused_letters(cast: Cast) -> list[Case]:
    """Letters that sahnawaz must refuse."""
    ira, sahnawaz = cast.ira.identity, cast.sahnawaz.identity
    reader_key = sahnawaz.key.public_key()
    secret = fixed("refused letter")
    cases: list[Case] = []

    def context(**changes: cbor.Value) -> list[cbor.Value]:
        given: dict[str, cbor.Value] = {
            "label": letters.LABEL,
            "server": cast.server_fingerprint,
            "spki": ira.spki,
            "name": name_of(cast.ira),
            "to": sahnawaz.fingerprint,
            "id": fixed("refused letter's id", 16),
            "sent_at": AT,
            "closed": crypto.oaep_encrypt(reader_key, letters.LABEL, secret),
        }
        return list((given | changes).values())

    def made(text: bytes = texts.pad(HI), inside: bytes = secret,
             signer: rsa.RSAPrivateKey = ira.key, **changes: cbor.Value) -> bytes:  # fmt: skip
        return letters.seal(context(**changes), inside, text, signer)

    def add(
        why: str, letter: bytes, *, now: int = AT, server: bytes = cast.server_fingerprint
    ) -> None:
        def read() -> None:
            letters.check(letter, server, sahnawaz.fingerprint, now).open(sahnawaz.key)

        cases.append(
            {
                "why": why,
                "server": server.hex(),
                "reader": name_of(cast.sahnawaz),
                "now": now,
                "letter": letter.hex(),
                "fails": refused_by(read, why),
            }
        )

    good = made()
    outer = cbor.decode(good)
    names = ("label", "server", "SPKI", "name", "to fingerprint", "id", "sent at", "OAEP")
    for why, spoiled in each_flipped(outer[0], names):
        add(f"the context's {why}", cbor.encode([cbor.decode(spoiled), *outer[1:]]))
    add("sealed changed", cbor.encode([outer[0], flipped(outer[1], 0), outer[2]]))
    add("the signature changed", cbor.encode([outer[0], outer[1], flipped(outer[2], 100)]))
    add("an extra field at the end", cbor.encode([*outer, 0]))
    add("a field less", cbor.encode(outer[:2]))
    add("a byte behind the end", good + b"\x00")
    add("nothing", b"")
    add("a long head of the array", b"\x98\x03" + good[1:])
    longer = [*outer[0], 0]
    signature = crypto.pss_sign(ira.key, letters.signed_part(longer, outer[1]))
    add("an extra field in the context, signed well", cbor.encode([longer, outer[1], signature]))
    add("an id of 15 bytes, signed well", made(id=bytes(15)))
    add("another label, signed well", made(label="cfb-chat/1 box"))
    add("signed by another", made(signer=sahnawaz.key))
    short_salt = _own_salt(ira.key, letters.signed_part(outer[0], outer[1]), 20)
    add("a signature with a salt of 20 bytes", cbor.encode([*outer[:2], short_salt]))
    add("for another reader, signed well", made(to=ira.fingerprint))
    add("for another server, signed well", made(server=fixed("server")))
    add("read at another server", good, server=fixed("server"))
    weak = rsa.generate_private_key(3, 2048)
    add("an RSA exponent of 3, signed well",
        made(spki=crypto.spki_of(weak.public_key()), signer=weak))  # fmt: skip
    add("an SPKI with a byte behind it", made(spki=ira.spki + b"\x00"))
    add("an empty name, signed well", made(name=""))
    add("a name with a space, signed well", made(name="I ra"))
    add("a name with a direction character, signed well", made(name="Ira\u202e"))
    add("30 days and 1 s old", good, now=AT + letters.OLDEST + 1000)
    add("1 day and 1 s ahead", good, now=AT - letters.MOST_AHEAD - 1000)
    add("another r, signed well", made(inside=fixed("another r")))
    add("the OAEP label of the handshake, signed well",
        made(closed=crypto.oaep_encrypt(reader_key, "cfb-chat/1 secret", secret)))  # fmt: skip
    add(
        "r of 31 bytes, signed well",
        made(
            inside=secret[:31], closed=crypto.oaep_encrypt(reader_key, letters.LABEL, secret[:31])
        ),
    )
    add("closed for another, signed well",
        made(closed=crypto.oaep_encrypt(ira.key.public_key(), letters.LABEL, secret)))  # fmt: skip
    add("an OAEP ciphertext of 1 byte, signed well", made(closed=b"\x01"))
    add("another time inside", made(texts.pad(Text(AT + 1, texts.TEXT, "Hi"))))
    add("an empty text", made(texts.pad(Text(AT, texts.TEXT, ""))))
    add("a text that is not padded", made(cbor.encode([AT, texts.TEXT, "Hi"])))
    return cases
