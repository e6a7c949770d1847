"""Writes tests/vectors/frozen.json: the values two implementations of PROTOCOL.md must agree on.

PSS, OAEP and ML-KEM encapsulation are random, so nothing in the file is ever made again: run once
more, this only adds the sections that are not there yet. In the file, bytes are hex; the
values of the encoding (§2) are numbers, strings, arrays, and `{"hex": …}` for byte strings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cfbchat import cbor, credential, crypto, handshake, shapes, texts
from cfbchat.credential import Identity, OwnCredential
from vector_basics import NOW, derivations, encodings, fixed, invalid_encodings, sealings, shown
from vector_datagrams import datagrams_section
from vector_end_to_end import (
    box_section,
    envelope_section,
    letter_section,
    roster_section,
    safety_number_section,
    sender_key_section,
    text_section,
)
from vector_people import AT, SECOND, Cast, frozen_credential
from vector_names import names_section
from vector_refusals import credential_for_tests, refused_credentials, refused_ed25519
from vector_rsa import pss_salt
from vector_unopened import (
    refused_boxes,
    refused_envelopes,
    refused_keys,
    refused_letters,
    refused_texts,
)

FROZEN = Path(__file__).resolve().parent.parent / "vectors" / "frozen.json"


def identity_vector(identity: Identity) -> dict[str, object]:
    return {
        "pem": identity.to_pem().decode(),
        "spki": identity.spki.hex(),
        "fingerprint": identity.fingerprint.hex(),
        "fingerprint_text": crypto.fingerprint_text(identity.fingerprint),
    }


def credential_vector(own: OwnCredential, seeds: str = "") -> dict[str, object]:
    """A credential with its private halves, which the seeds of that name gave."""
    fields = cbor.decode(own.credential)
    role = fields[1]
    seeds = seeds or role
    return {
        "role": role,
        "name": fields[2],
        "ed25519_seed": fixed(f"{seeds} ed25519").hex(),
        "ed25519_public": fields[4].hex(),
        "x25519_private": fixed(f"{seeds} x25519").hex() if fields[5] else "",
        "x25519_public": fields[5].hex(),
        "expires": fields[6],
        "credential": own.credential.hex(),
        "signature": own.signature.hex(),
        "session": own.session.hex(),
    }


def handshake_vector(server_own: OwnCredential, client_own: OwnCredential) -> dict[str, object]:
    seed = fixed("ML-KEM seed", 64)
    secret = fixed("session secret")
    private = {side: fixed(f"{side} ephemeral") for side in ("client", "server")}
    client = handshake.ClientHandshake(
        client_own,
        server_own.identity.fingerprint,
        kem=MLKEM768PrivateKey.from_seed_bytes(seed),
        ephemeral=X25519PrivateKey.from_private_bytes(private["client"]),
        now=NOW,
    )
    server = handshake.ServerHandshake(
        server_own,
        ephemeral=X25519PrivateKey.from_private_bytes(private["server"]),
        secret=secret,
        now=NOW,
    )
    first, record_3 = server.receive(client.start())
    client.receive(first)
    (record_4,) = client.receive(record_3)
    (record_5,) = server.receive(record_4)
    client.receive(record_5)
    assert client.done and server.done
    schedule = server.schedule
    assert schedule.messages == client.schedule.messages
    messages = [cbor.decode(message) for message in schedule.messages]
    kem_secret = client.kem.decapsulate(messages[1][2][: handshake.KEM_CIPHERTEXT_BYTES])
    curve_secret = crypto.x25519(client.ephemeral, messages[1][2][handshake.KEM_CIPHERTEXT_BYTES :])
    inputs = {
        side: handshake.proof_input(side, schedule.th(number - 1), *messages[number - 1][1:4])
        for side, number in (("server", 3), ("client", 4))
    }
    join = cbor.encode([shapes.JOIN, "#lobby", "", 0])
    welcome = cbor.encode([shapes.WELCOME, "#lobby", [1], 1, 0, 1, AT, "", 4096, 1])
    chains = {
        "client": (client.done.send.key, join, client.done.send.seal(join)),
        "server": (server.done.send.key, welcome, server.done.send.seal(welcome)),
    }
    assert server.done.receive.open(chains["client"][2]) == join
    assert client.done.receive.open(chains["server"][2]) == welcome
    return {
        "client_ml_kem_seed": seed.hex(),
        "client_x25519_private": private["client"].hex(),
        "server_x25519_private": private["server"].hex(),
        "messages": {f"m{i}": m.hex() for i, m in enumerate(schedule.messages, 1)},
        "frames_on_the_wire": {
            str(number): (len(payload).to_bytes(2, "big") + payload).hex()
            for number, payload in enumerate(
                (schedule.messages[0], schedule.messages[1], record_3, record_4, record_5), 1
            )
        },
        "sealed_records": {"3": record_3.hex(), "4": record_4.hex(), "5": record_5.hex()},
        "th": {str(count): schedule.th(count).hex() for count in range(1, 6)},
        "ml_kem_secret": kem_secret.hex(),
        "x25519_secret": curve_secret.hex(),
        "agreed": (kem_secret + curve_secret).hex(),
        "handshake_secret": schedule.handshake_secret.hex(),
        "handshake_chains": {s: schedule.handshake_chain(s).hex() for s in ("client", "server")},
        "server_proof_input": inputs["server"].hex(),
        "server_proof": messages[2][4].hex(),
        "client_proof_input": inputs["client"].hex(),
        "client_proof": messages[3][4].hex(),
        "s": secret.hex(),
        "oaep_ciphertext": messages[4][1].hex(),
        "master_salt": crypto.derive(
            schedule.handshake_secret, "master", schedule.th(4), 32
        ).hex(),
        "master": schedule.master.hex(),
        "application_chains": {side: chain.hex() for side, (chain, _, _) in chains.items()},
        "first_application_records": {
            side: {
                "text": text.hex(),
                "sealed": record.hex(),
                "frame": (len(record).to_bytes(2, "big") + record).hex(),
            }
            for side, (_, text, record) in chains.items()
        },
    }


def examples(client_own: OwnCredential) -> dict[str, Any]:
    """Every message and event once; `box` and `letter` are opaque bytes."""
    other, own, spki = 65_536, 23, client_own.identity.spki  # heads of 5 bytes, and of 1
    event_fields: dict[int, list[cbor.Value]] = {
        1: ["#lobby", other, 2, "Hello, wörld".encode()],
        2: [other, fixed("whispered box", 100)],
        3: [other, fixed("shared box", 100)],
        4: ["#lobby", other, 2],
        5: ["#lobby", other, 3, "lost"],
        6: ["the server stops at noon"],
        7: [fixed("letter that came", 120)],
        8: [other, 1],
    }
    message_fields: dict[int, list[cbor.Value]] = {
        16: ["#lobby", "", 0],
        17: [1, "#lobby", 2, "Hello, wörld".encode()],
        18: [2, other, fixed("whisper box", 100)],
        19: [3, [[other, fixed("box one", 100)], [own, fixed("box two", 100)]]],
        20: [4, client_own.identity.fingerprint, fixed("letter", 120)],
        21: ["Ira"],
        22: [7],
        23: ["#lobby"],
        24: [],
        25: ["kick Ira"],
        26: ["Correct horse, battery staple"],
        32: ["#lobby", [other, own], 2, 0, 5, AT, "welcome", 4096, own],
        33: [1],
        34: [6, AT + 1, [shapes.SAID, *event_fields[1]]],
        35: [other, spki, client_own.credential, client_own.signature],
        36: ["again", "the roster has changed", 5],
        37: ["Ira", spki],
        38: [],
        39: ["terminated"],
        40: ["Ira is out.\nShe may come back."],
    }

    def vector(kind: int, name: str, fields: shapes.Fields, given: list[cbor.Value]) -> object:
        value: cbor.Value = [kind, *given]
        assert cbor.has_fields(value, shapes.shape(fields)), name
        return {
            "name": name,
            "type": kind,
            "fields": [{"name": n, "value": shown(v)} for (n, _), v in zip(fields, given)],
            "encoding": cbor.encode(value).hex(),
        }

    known = {**shapes.CLIENT_MESSAGES, **shapes.SERVER_MESSAGES}
    return {
        "messages": [vector(kind, *known[kind], message_fields[kind]) for kind in known],
        "events": [vector(k, *shapes.EVENTS[k], event_fields[k]) for k in shapes.EVENTS],
        "refusals": [
            {"code": code, "encoding": cbor.encode([15, code]).hex()} for code in shapes.REFUSALS
        ],
    }


def first_sections() -> dict[str, Any]:
    """All but what §7 describes."""
    server, user = (Identity.of(rsa.generate_private_key(65537, 2048)) for _ in range(2))
    server_own = credential_for_tests(server, "server", "")
    user_own = credential_for_tests(user, "user", "Ira")
    return {
        "about": "Values for PROTOCOL.md, version 1. Bytes are hex; in values of the encoding a "
        'byte string is {"hex": ...}. These keys are for tests only.',
        "now": NOW,
        "encodings": encodings(),
        "invalid_encodings": invalid_encodings(),
        "derive": derivations(),
        "sealing": sealings(),
        "identities": {"server": identity_vector(server), "Ira": identity_vector(user)},
        "credentials": {"server": credential_vector(server_own), "Ira": credential_vector(user_own)},
        "refused_user_credentials": refused_credentials(user, server),
        "refused_ed25519": refused_ed25519(),
        "handshake": handshake_vector(server_own, user_own),
        **examples(user_own),
    }


def add_second_user(vectors: dict[str, Any]) -> None:
    """Somebody for Ira to whisper to; made later than the first two, so under seeds of their own."""
    own = credential.make(
        Identity.of(rsa.generate_private_key(65537, 2048)),
        "user",
        SECOND,
        ed25519=Ed25519PrivateKey.from_private_bytes(fixed(f"{SECOND} ed25519")),
        x25519=X25519PrivateKey.from_private_bytes(fixed(f"{SECOND} x25519")),
        expires=NOW + credential.LIFETIME,
    )
    vectors["identities"][SECOND] = identity_vector(own.identity)
    vectors["credentials"][SECOND] = credential_vector(own, seeds=SECOND) | {
        "pss_salt": pss_salt(own.identity.key.public_key(), own.signature).hex()
    }


def end_to_end_sections(cast: Cast) -> dict[str, object]:
    """What §7 describes: for each part what opens, and what nobody may use."""
    return {
        "roster": roster_section(cast),
        "text": {"longest": texts.LONGEST, "cases": text_section(), "refused": refused_texts()},
        "box": {"cases": box_section(cast), "refused": refused_boxes(cast)},
        "sender_key": {"cases": sender_key_section(), "refused": refused_keys()},
        "envelope": {"cases": envelope_section(cast), "refused": refused_envelopes(cast)},
        "letter": {"cases": letter_section(cast), "refused": refused_letters(cast)},
        "safety_number": safety_number_section(cast),
    }


def add_messages(vectors: dict[str, Any], made: list[Any]) -> None:
    """Adds the messages of types that are not there yet."""
    known = {case["type"] for case in vectors["messages"]}
    vectors["messages"] += [case for case in made if case["type"] not in known]
    vectors["messages"].sort(key=lambda case: case["type"])


def main() -> None:
    """Adds what is not in the file yet; what is there stays as it is."""
    vectors = json.loads(FROZEN.read_text()) if FROZEN.exists() else first_sections()
    if SECOND not in vectors["identities"]:
        add_second_user(vectors)
    cast = Cast(*(frozen_credential(vectors, who) for who in ("server", "Ira", SECOND)))
    for name, section in end_to_end_sections(cast).items():
        vectors.setdefault(name, section)
    add_messages(vectors, examples(cast.ira)["messages"])
    vectors.setdefault("names", names_section())
    vectors.setdefault("datagrams", datagrams_section(vectors["handshake"]))
    FROZEN.parent.mkdir(parents=True, exist_ok=True)
    FROZEN.write_text(json.dumps(vectors, indent=2, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
