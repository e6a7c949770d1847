"""tests/vectors/frozen.json against this implementation."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cfbchat import cbor, credential, crypto, handshake, shapes
from cfbchat.credential import Identity, OwnCredential
from vector_datagrams import datagrams_section
from vector_names import names_section
from vector_people import frozen_credential

FROZEN = Path(__file__).resolve().parent.parent / "vectors" / "frozen.json"


def value_of(shown: object) -> cbor.Value:
    """A value of the encoding from its JSON form."""
    if isinstance(shown, dict):
        return bytes.fromhex(shown["hex"])
    if isinstance(shown, list):
        return [value_of(item) for item in shown]
    assert isinstance(shown, (int, str))
    return shown


class Frozen(unittest.TestCase):
    vectors: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        cls.vectors = json.loads(FROZEN.read_text())

    def own(self, who: str) -> OwnCredential:
        return frozen_credential(self.vectors, who)


class FrozenValues(Frozen):
    def test_encodings(self) -> None:
        for case in self.vectors["encodings"]:
            value, encoding = value_of(case["value"]), bytes.fromhex(case["encoding"])
            self.assertEqual(cbor.encode(value), encoding)
            self.assertEqual(cbor.decode(encoding), value)
            with self.assertRaises(cbor.EncodingError):
                cbor.decode(encoding + b"\x00")
            with self.assertRaises(cbor.EncodingError):
                cbor.decode(encoding[:-1])

    def test_invalid_encodings(self) -> None:
        for case in self.vectors["invalid_encodings"]:
            with self.subTest(case), self.assertRaises(cbor.EncodingError):
                cbor.decode(bytes.fromhex(case["encoding"]))

    def test_datagrams(self) -> None:
        made = datagrams_section(self.vectors["handshake"])
        self.assertEqual(made, self.vectors["datagrams"])

    def test_derive(self) -> None:
        for case in self.vectors["derive"]:
            secret, context = bytes.fromhex(case["secret"]), bytes.fromhex(case["context"])
            output = crypto.derive(secret, case["label"], context, case["n"])
            self.assertEqual(output.hex(), case["output"])

    def test_sealing(self) -> None:
        sealing = self.vectors["sealing"]
        successive = sealing["three successive records of one chain"]
        for case in sealing["single"] + successive:
            keys = crypto.step(bytes.fromhex(case["chain"]))
            parts = [part.hex() for part in (keys.enc, keys.mac, keys.iv, keys.next_chain)]
            self.assertEqual(parts, [case[name] for name in ("enc", "mac", "iv", "next")])
            text, sealed = bytes.fromhex(case["text"]), bytes.fromhex(case["sealed"])
            self.assertEqual(crypto.seal(keys, text), sealed)
            self.assertEqual(crypto.open_sealed(keys, sealed), text)
        chain = crypto.Chain(bytes.fromhex(successive[0]["chain"]))
        for case in successive:
            self.assertEqual(chain.open(bytes.fromhex(case["sealed"])).hex(), case["text"])

    def test_identities(self) -> None:
        for given in self.vectors["identities"].values():
            identity = Identity.from_pem(given["pem"].encode())
            self.assertEqual(identity.spki.hex(), given["spki"])
            self.assertEqual(identity.fingerprint.hex(), given["fingerprint"])
            shown = crypto.fingerprint_text(identity.fingerprint)
            self.assertEqual(shown, given["fingerprint_text"])

    def test_credentials(self) -> None:
        for who, given in self.vectors["credentials"].items():
            own = self.own(who)
            made = credential.make(
                own.identity,
                given["role"],
                given["name"],
                ed25519=own.ed25519,
                x25519=own.x25519,
                expires=given["expires"],
            )
            self.assertEqual(made.credential, own.credential)
            person = credential.check(
                given["role"], own.identity.spki, own.credential, own.signature,
                self.vectors["now"],
            )  # fmt: skip
            self.assertEqual(person.session.hex(), given["session"])
            self.assertEqual(person.ed25519.hex(), given["ed25519_public"])
            self.assertEqual(person.x25519.hex(), given["x25519_public"])

    def test_refused_credentials(self) -> None:
        for case in self.vectors["refused_user_credentials"]:
            with self.subTest(case["why"]):
                spki, made, signature = (
                    bytes.fromhex(case[part]) for part in ("spki", "credential", "signature")
                )
                with self.assertRaises(credential.CredentialRefused) as caught:
                    credential.check("user", spki, made, signature, self.vectors["now"])
                self.assertEqual(caught.exception.code, case["code"])

    def test_refused_ed25519(self) -> None:
        for case in self.vectors["refused_ed25519"]:
            parts = [bytes.fromhex(case[part]) for part in ("public", "signature", "text")]
            with self.subTest(case["why"]), self.assertRaises(crypto.BadSignature):
                crypto.ed25519_verify(*parts)

    def test_messages_and_events(self) -> None:
        known = {**shapes.CLIENT_MESSAGES, **shapes.SERVER_MESSAGES}
        for group, table in (("messages", known), ("events", shapes.EVENTS)):
            self.assertEqual([case["type"] for case in self.vectors[group]], list(table))
            for case in self.vectors[group]:
                name, fields = table[case["type"]]
                value = [case["type"]] + [value_of(given["value"]) for given in case["fields"]]
                self.assertEqual(case["name"], name)
                self.assertEqual([given["name"] for given in case["fields"]], [f for f, _ in fields])
                self.assertTrue(cbor.has_fields(value, shapes.shape(fields)))
                self.assertEqual(cbor.encode(value).hex(), case["encoding"])

    def test_names(self) -> None:
        self.assertEqual(self.vectors["names"], names_section())

    def test_refusals(self) -> None:
        codes = [case["code"] for case in self.vectors["refusals"]]
        self.assertEqual(codes, list(shapes.REFUSALS))
        for case in self.vectors["refusals"]:
            self.assertEqual(cbor.encode([15, case["code"]]).hex(), case["encoding"])


class FrozenHandshake(Frozen):
    """The handshake again, from the private keys and what is random in the frozen one."""

    def test_handshake_as_client(self) -> None:
        frozen = self.vectors["handshake"]
        client = handshake.ClientHandshake(
            self.own("Ira"),
            bytes.fromhex(self.vectors["identities"]["server"]["fingerprint"]),
            kem=MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(frozen["client_ml_kem_seed"])),
            ephemeral=X25519PrivateKey.from_private_bytes(
                bytes.fromhex(frozen["client_x25519_private"])
            ),
            now=self.vectors["now"],
        )
        self.assertEqual(client.start().hex(), frozen["messages"]["m1"])
        self.assertEqual(client.receive(bytes.fromhex(frozen["messages"]["m2"])), [])
        (record,) = client.receive(bytes.fromhex(frozen["sealed_records"]["3"]))
        self.assertEqual(record.hex(), frozen["sealed_records"]["4"])
        client.receive(bytes.fromhex(frozen["sealed_records"]["5"]))
        assert client.done
        self.check_schedule(client.schedule)
        texts = frozen["first_application_records"]
        join, welcome = (bytes.fromhex(texts[side]["text"]) for side in ("client", "server"))
        self.assertEqual(client.done.send.seal(join).hex(), texts["client"]["sealed"])
        opened = client.done.receive.open(bytes.fromhex(texts["server"]["sealed"]))
        self.assertEqual(opened, welcome)

    def check_schedule(self, schedule: handshake.Schedule) -> None:
        frozen = self.vectors["handshake"]
        for number, message in enumerate(schedule.messages, 1):
            self.assertEqual(message.hex(), frozen["messages"][f"m{number}"])
            self.assertEqual(schedule.th(number).hex(), frozen["th"][str(number)])
        self.assertEqual(schedule.handshake_secret.hex(), frozen["handshake_secret"])
        self.assertEqual(schedule.master.hex(), frozen["master"])
        for side in ("client", "server"):
            chain = schedule.handshake_chain(side).hex()
            self.assertEqual(chain, frozen["handshake_chains"][side])
            self.assertEqual(schedule.chain(side).hex(), frozen["application_chains"][side])

    def test_handshake_as_server(self) -> None:
        frozen = self.vectors["handshake"]
        schedule = handshake.Schedule()
        for number in range(1, 6):
            schedule.add(bytes.fromhex(frozen["messages"][f"m{number}"]))
        messages = [cbor.decode(message) for message in schedule.messages]
        ephemeral = X25519PrivateKey.from_private_bytes(
            bytes.fromhex(frozen["server_x25519_private"])
        )
        curve = crypto.x25519(ephemeral, messages[0][1][0][1][handshake.KEM_KEY_BYTES :])
        self.assertEqual(curve.hex(), frozen["x25519_secret"])
        agreed = bytes.fromhex(frozen["ml_kem_secret"]) + curve
        self.assertEqual(agreed.hex(), frozen["agreed"])
        schedule.agree(agreed)
        schedule.issue(bytes.fromhex(frozen["s"]))
        self.check_schedule(schedule)
        chains = {side: crypto.Chain(schedule.handshake_chain(side)) for side in ("client", "server")}
        for number, side in ((3, "server"), (4, "client"), (5, "server")):
            record = bytes.fromhex(frozen["sealed_records"][str(number)])
            self.assertEqual(chains[side].open(record), schedule.messages[number - 1])
        for number, side, who in ((3, "server", "server"), (4, "client", "Ira")):
            signed = handshake.proof_input(side, schedule.th(number - 1), *messages[number - 1][1:4])
            self.assertEqual(signed.hex(), frozen[f"{side}_proof_input"])
            proof = self.own(who).ed25519.sign(signed)
            self.assertEqual(proof.hex(), frozen[f"{side}_proof"])
        ciphertext = bytes.fromhex(frozen["oaep_ciphertext"])
        self.assertEqual(messages[4][1], ciphertext)
        key = self.own("Ira").identity.key
        secret = crypto.oaep_decrypt(key, handshake.SECRET_LABEL, ciphertext)
        self.assertEqual(secret.hex(), frozen["s"])
        for number, frame in frozen["frames_on_the_wire"].items():
            record = frozen["sealed_records"].get(number) or frozen["messages"][f"m{number}"]
            self.assertEqual(frame, (len(record) // 2).to_bytes(2, "big").hex() + record)


if __name__ == "__main__":
    unittest.main()
