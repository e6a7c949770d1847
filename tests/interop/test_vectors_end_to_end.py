"""What tests/vectors/frozen.json has for PROTOCOL.md §7 against this implementation."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cfbchat import boxes, cbor, crypto, letters, sender_keys, texts
from cfbchat.boxes import Way
from cfbchat.opening import CannotOpen
from cfbchat.rooms import Voice
from cfbchat.safety_number import safety_number
from cfbchat.sender_keys import Envelope, Place, SenderKey
from cfbchat.texts import Text
from test_vectors import Frozen
from vector_rsa import oaep_seed, pss_salt


def unhex(case: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


class FrozenEndToEnd(Frozen):
    def assert_refused(self, case: dict[str, Any], read: Callable[[], object]) -> None:
        with self.subTest(case["why"]), self.assertRaises(CannotOpen) as caught:
            read()
        self.assertEqual(caught.exception.check, case["fails"])

    def check_sealing(self, case: dict[str, Any]) -> None:
        """The step of a chain, and what it seals."""
        chain, text, sealed = unhex(case, "chain", "text", "sealed")
        keys = crypto.step(chain)
        parts = [part.hex() for part in (keys.enc, keys.mac, keys.iv, keys.next_chain)]
        self.assertEqual(parts, [case[name] for name in ("enc", "mac", "iv", "next")])
        self.assertEqual(crypto.seal(keys, text), sealed)

    # --- Texts and rosters

    def test_texts(self) -> None:
        longest = self.vectors["text"]["longest"]
        for case in self.vectors["text"]["cases"]:
            text, padded = Text(case["sent_at"], case["kind"], case["text"]), case["padded"]
            array = cbor.encode([text.sent_at, text.kind, text.text])
            self.assertEqual((array.hex(), len(array) + 1), (case["array"], case["marked_bytes"]))
            self.assertEqual(texts.pad(text).hex(), padded)
            self.assertEqual(texts.unpad(bytes.fromhex(padded), longest), text)
        for case in self.vectors["text"]["refused"]:
            padded = bytes.fromhex(case["padded"])
            self.assert_refused(case, lambda: texts.unpad(padded, longest))

    def test_rosters(self) -> None:
        for case in self.vectors["roster"]:
            sessions = [bytes.fromhex(session) for session in case["sessions"]]
            given = (bytes.fromhex(case["server"]), case["room"], case["change"], sessions)
            self.assertEqual(sender_keys.roster_encoding(*given).hex(), case["encoding"])
            self.assertEqual(sender_keys.roster(*given).hex(), case["roster"])

    def test_safety_numbers(self) -> None:
        for case in self.vectors["safety_number"]:
            one, other = (bytes.fromhex(fingerprint) for fingerprint in case["fingerprints"])
            self.assertEqual(safety_number(one, other), case["groups"])
            self.assertEqual(safety_number(other, one), case["groups"])

    # --- Boxes

    def way(self, case: dict[str, Any]) -> Way:
        return Way(case["purpose"], *unhex(case, "server", "from_session", "to_session"))

    def test_boxes(self) -> None:
        for case in self.vectors["box"]["cases"]:
            sender, reader = self.own(case["from"]), self.own(case["to"])
            way, (text, box) = self.way(case), unhex(case, "text", "box")
            self.assertEqual((way.sender, way.reader), (sender.session, reader.session))
            assert reader.x25519
            to = reader.x25519.public_key().public_bytes_raw()
            private, public = unhex(case, "e_private", "e_public")
            ephemeral = X25519PrivateKey.from_private_bytes(private)
            made = boxes.make(way, case["count"], text, sender.ed25519, to, ephemeral)
            self.assertEqual(made, box)
            signed = boxes.check(way, box, sender.ed25519.public_key().public_bytes_raw())
            self.assertEqual((signed.count, signed.public), (case["count"], public))
            self.assertEqual(signed.open(reader.x25519), text)
            context = cbor.encode(signed.context)
            self.assertEqual(context.hex(), case["context"])
            self.assertEqual(crypto.sha256(context).hex(), case["context_hash"])
            secret = crypto.x25519(reader.x25519, public)
            self.assertEqual(secret.hex(), case["ikm"])
            self.assertEqual(boxes.chain_for(signed.context, secret).hex(), case["chain"])
            self.assertEqual(signed.sealed.hex(), case["sealed"])
            signed_part = boxes.signed_part(signed.context, signed.sealed)
            self.assertEqual(signed_part.hex(), case["signed"])
            self.check_sealing(case)

    def test_refused_boxes(self) -> None:
        for case in self.vectors["box"]["refused"]:
            signer, private, box = unhex(case, "from_ed25519", "to_x25519_private", "box")
            own, way = X25519PrivateKey.from_private_bytes(private), self.way(case)
            self.assert_refused(case, lambda: texts.unpad(boxes.check(way, box, signer).open(own)))

    # --- Sender keys and envelopes

    def test_sender_keys(self) -> None:
        for case in self.vectors["sender_key"]["cases"]:
            key_id, chain, text = unhex(case, "key_id", "chain", "text")
            key = SenderKey(case["room"], key_id, case["counter"], chain)
            self.assertEqual(key.to_text(), text)
            self.assertEqual(SenderKey.from_text(text), key)
            self.assertEqual(key.after().chain.hex(), case["step"]["next"])
        for case in self.vectors["sender_key"]["refused"]:
            (text,) = unhex(case, "text")
            self.assert_refused(case, lambda: SenderKey.from_text(text))

    def place(self, case: dict[str, Any]) -> Place:
        server, session = unhex(case, "server", "session")
        sessions = [bytes.fromhex(member) for member in case["sessions"]]
        roster = sender_keys.roster(server, case["room"], case["change"], sessions)
        return Place(server, case["room"], session, roster)

    def test_envelopes(self) -> None:
        cases = self.vectors["envelope"]["cases"]
        for case in cases:
            sender, place = self.own(case["from"]), self.place(case)
            self.assertEqual(place.roster.hex(), case["roster"])
            key_id, chain, envelope = unhex(case, "key_id", "chain", "envelope")
            key = SenderKey(case["room"], key_id, case["counter"], chain)
            text = Text(case["sent_at"], case["kind"], case["said"])
            made = Envelope(key_id, key.counter, key.seal(texts.pad(text)))
            self.assertEqual(made.signed(place, sender.ed25519), envelope)
            signed_part = place.signed_part(key_id, key.counter, made.sealed)
            self.assertEqual(signed_part.hex(), case["signed"])
            public = sender.ed25519.public_key().public_bytes_raw()
            checked = sender_keys.check(place, envelope, public)
            self.assertEqual(texts.unpad(key.open(checked.sealed)), text)
            self.check_sealing(case)
        first, second, again = cases[:3]
        self.assertEqual(second["chain"], first["next"])
        self.assertEqual(again["sealed"], second["sealed"])
        self.assertNotEqual(again["signature"], second["signature"])

    def test_a_reader_of_the_envelopes(self) -> None:
        """From the first key and the later one; what is missing is counted."""
        cases = self.vectors["envelope"]["cases"]
        keys = [SenderKey.from_text(bytes.fromhex(case["text"]))
                for case in self.vectors["sender_key"]["cases"]]  # fmt: skip
        voice = Voice(expected=0)
        self.assertEqual(voice.take(keys[0]), 0)
        signer = self.own("Ira").ed25519.public_key().public_bytes_raw()
        missing = []
        for case in (cases[0], cases[1], cases[3], cases[4]):
            if case["key_id"] != keys[0].key_id.hex():
                self.assertEqual(voice.take(keys[2]), 0)
            checked = sender_keys.check(self.place(case), bytes.fromhex(case["envelope"]), signer)
            padded, count = voice.open(checked)
            self.assertEqual(texts.unpad(padded).text, case["said"])
            missing.append(count)
        self.assertEqual(missing, [0, 0, 298, 0])

    def test_refused_envelopes(self) -> None:
        for case in self.vectors["envelope"]["refused"]:
            signer, key_id, chain, envelope = unhex(
                case, "from_ed25519", "key_id", "chain", "envelope"
            )
            place = self.place(case)
            key = SenderKey(case["room"], key_id, case["counter"], chain)

            def read() -> None:
                voice = Voice(expected=key.counter, key=key)
                texts.unpad(voice.open(sender_keys.check(place, envelope, signer))[0])

            self.assert_refused(case, read)

    # --- Letters

    def test_letters(self) -> None:
        for case in self.vectors["letter"]["cases"]:
            sender, reader = self.own(case["from"]).identity, self.own(case["to"]).identity
            server, letter, secret, oaep = unhex(case, "server", "letter", "r", "oaep")
            text = Text(case["sent_at"], case["kind"], case["said"])
            for now in case["opens_at"]:
                signed = letters.check(letter, server, reader.fingerprint, now)
                self.assertEqual(signed.open(reader.key), text)
            self.assertEqual((signed.spki, signed.name), (sender.spki, case["from"]))
            self.assertEqual(signed.letter_id.hex(), case["id"])
            self.assertEqual(signed.closed, oaep)
            self.assertEqual(crypto.oaep_decrypt(reader.key, letters.LABEL, oaep), secret)
            self.assertEqual(oaep_seed(reader.key, oaep).hex(), case["oaep_seed"])
            context = cbor.encode(signed.context)
            self.assertEqual(context.hex(), case["context"])
            self.assertEqual(crypto.sha256(context).hex(), case["context_hash"])
            self.assertEqual(letters.chain_for(signed.context, secret).hex(), case["chain"])
            self.assertEqual(texts.pad(text).hex(), case["text"])
            self.check_sealing(case)
            signed_part = letters.signed_part(signed.context, signed.sealed)
            self.assertEqual(signed_part.hex(), case["signed"])
            (signature,) = unhex(case, "signature")
            self.assertEqual(cbor.decode(letter)[1:], [signed.sealed, signature])
            self.assertEqual(pss_salt(sender.key.public_key(), signature).hex(), case["pss_salt"])

    def test_refused_letters(self) -> None:
        for case in self.vectors["letter"]["refused"]:
            reader = self.own(case["reader"]).identity
            server, letter = unhex(case, "server", "letter")
            now = case["now"]
            self.assert_refused(
                case,
                lambda: letters.check(letter, server, reader.fingerprint, now).open(reader.key),
            )

    def test_the_salt_of_the_second_credential(self) -> None:
        given = self.vectors["credentials"]["sahnawaz"]
        own = self.own("sahnawaz")
        salt = pss_salt(own.identity.key.public_key(), own.signature)
        self.assertEqual(salt.hex(), given["pss_salt"])


if __name__ == "__main__":
    unittest.main()
