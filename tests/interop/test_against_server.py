"""What is broken on a socket, in every way PROTOCOL.md §3 to §6 name, and how it must end."""

from __future__ import annotations

import socket
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cfbchat import cbor, credential, handshake, letters, shapes
from cfbchat.connection import Ended, Link, RecordLink, after, shake_hands_as_client
from cfbchat.credential import OwnCredential
from cfbchat.handshake import ClientHandshake, PeerRefused
from people import flipped, identity, user
from processes import OTHER, Child, other_server, python_server

SECONDS = 20.0
NOBODY = 2**40  # a number that no session has


def openly(own: OwnCredential, name: str, text: bytes) -> bytes:
    """What looks like a letter by somebody to whoever relays it."""
    return cbor.encode([[letters.LABEL, b"", own.identity.spki, name], text])


class AtTheServer(unittest.TestCase):
    """A server, and what to send to it and expect of it on a socket."""

    folder: TemporaryDirectory
    server: Child
    port: int

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.start_server(Path(cls.folder.name))
        cls.addClassCleanup(cls.server.end)

    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = python_server(keys)
        cls.port = cls.server.await_json(listening=None)["listening"]

    def connect(self) -> Link:
        sock = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        self.addCleanup(sock.close)
        return Link(sock)

    def raw(self, link: Link, data: bytes) -> None:
        link.sock.setblocking(True)
        link.sock.sendall(data)
        link.sock.setblocking(False)

    def assert_closed(self, link: Link) -> None:
        """Nothing more comes, and the connection ends well before its deadline."""
        began = time.monotonic()
        with self.assertRaises(Ended):
            payload = link.read(65535, after(SECONDS))
            self.fail(f"{payload!r} came")
        self.assertLess(time.monotonic() - began, 8)

    def assert_refused_bare(self, link: Link, code: str) -> None:
        self.assertEqual(cbor.decode(link.read(4096, after(SECONDS))), [15, code])
        self.assert_closed(link)

    def after_3(self) -> tuple[Link, ClientHandshake, bytes]:
        """A link and a client that has taken message 3, and its record 4, not sent."""
        link, client = self.connect(), ClientHandshake(user())
        link.write(client.start(), after(SECONDS))
        client.receive(link.read(4096, after(SECONDS)))
        (record,) = client.receive(link.read(4096, after(SECONDS)))
        return link, client, record

    def assert_refused_sealed(self, link: Link, client: ClientHandshake, code: str) -> None:
        with self.assertRaises(PeerRefused) as told:
            client.receive(link.read(4096, after(SECONDS)))
        self.assertEqual((told.exception.code, told.exception.bare), (code, False))
        self.assert_closed(link)

    def records(self, name: str = "Ira", own: OwnCredential | None = None) -> RecordLink:
        link = self.connect()
        return shake_hands_as_client(link, ClientHandshake(own or user(name)), after(SECONDS))

    def joined(self, name: str, own: OwnCredential | None = None) -> RecordLink:
        records = self.records(name, own)
        self.say(records, [shapes.JOIN, "#" + name, "", 0])
        self.assertEqual(records.read(after(SECONDS))[0][0], shapes.WELCOME)
        return records

    def say(self, records: RecordLink, *messages: cbor.Value) -> None:
        records.write([cbor.encode(message) for message in messages], after(SECONDS))

    def assert_answers(self, records: RecordLink, *expected: list) -> None:
        got: list[list] = []
        while len(got) < len(expected):
            got += [[m[0], m[1], m[3]] if m[0] == shapes.ERROR else m
                    for m in records.read(after(SECONDS))]  # fmt: skip
        self.assertEqual(got, list(expected))

    def assert_closed_after_bye(self, records: RecordLink) -> None:
        while records.read(after(SECONDS))[-1][0] != shapes.BYE:
            pass
        self.assert_closed(records.link)


class AgainstTheServer(AtTheServer):
    """A hostile client on a socket."""

    def test_strays_before_2(self) -> None:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x00\x00",
                     b"\x10\x01", b"\xff\xff", b"\x00\x01\x80", b"\x00\x02\x81\x01"):  # fmt: skip
            link = self.connect()
            self.raw(link, data)
            self.assert_refused_bare(link, "malformed")

    def test_message_1(self) -> None:
        client = ClientHandshake(user())
        share = cbor.decode(client.start())[1][0][1]
        kem, curve = share[: handshake.KEM_KEY_BYTES], share[handshake.KEM_KEY_BYTES :]
        cases: list[tuple[cbor.Value, str]] = [
            ([1, []], "version"),
            ([1, [[2, share]]], "version"),
            ([1, [[1, share], [1, share]]], "malformed"),
            ([1, [[2, 0], [2, 1]]], "malformed"),
            ([1, [[1, share, 0]]], "malformed"),
            ([1, [["1", share]]], "malformed"),
            ([1, [[1, share]], 0], "malformed"),
            ([2, [[1, share]]], "malformed"),
            ([1, [[1, share[:-1]]]], "malformed"),
            ([1, [[1, b"\xff" * len(kem) + curve]]], "malformed"),
            ([1, [[1, kem + bytes(32)]]], "malformed"),
        ]
        for message, code in cases:
            link = self.connect()
            link.write(cbor.encode(message), after(SECONDS))
            self.assert_refused_bare(link, code)

    def test_an_unknown_version_beside(self) -> None:
        client = ClientHandshake(user())
        share = cbor.decode(client.start())[1][0][1]
        link = self.connect()
        link.write(cbor.encode([1, [[7, [["?"], 0]], [1, share]]]), after(SECONDS))
        self.assertEqual(cbor.decode(link.read(4096, after(SECONDS)))[:2], [2, 1])

    def test_lengths_before_5(self) -> None:
        for length in (b"\x00\x00", b"\x10\x01", b"\xff\xff"):
            link, client, _ = self.after_3()
            self.raw(link, length)
            self.assert_refused_sealed(link, client, "malformed")

    def test_record_4_flipped(self) -> None:
        link, _, record = self.after_3()
        link.write(flipped(record, 0), after(SECONDS))
        self.assert_closed(link)

    def test_message_4(self) -> None:
        now = int(time.time())
        wrong_proof = user()
        wrong_proof = OwnCredential(
            wrong_proof.identity, Ed25519PrivateKey.generate(),
            wrong_proof.credential, wrong_proof.signature,
        )  # fmt: skip
        other = identity("Other")
        cases = [
            (user(expires=now - 86400 - 60), "clock"),
            (user(expires=now + 8 * 86400 + 60), "clock"),
            (credential.make(identity("Ira"), "user", "no spaces"), "name"),
            (credential.make(identity("Ira"), "server"), "credential"),
            (OwnCredential(other, user().ed25519, user().credential, user().signature),
             "credential"),
            (wrong_proof, "credential"),
        ]  # fmt: skip
        for own, code in cases:
            link, client = self.connect(), ClientHandshake(own)
            link.write(client.start(), after(SECONDS))
            client.receive(link.read(4096, after(SECONDS)))
            (record,) = client.receive(link.read(4096, after(SECONDS)))
            link.write(record, after(SECONDS))
            self.assert_refused_sealed(link, client, code)
        link, client, _ = self.after_3()
        client.to_server.key = client.schedule.handshake_chain("client")
        link.write(client.to_server.seal(cbor.encode([4, b"", b"", b""])), after(SECONDS))
        self.assert_refused_sealed(link, client, "malformed")

    def test_after_the_handshake(self) -> None:
        def length_0(records: RecordLink) -> None:
            self.raw(records.link, b"\x00\x00")

        def flip(records: RecordLink) -> None:
            sealed = records._send.seal(cbor.encode([shapes.PING]))
            records.link.write(flipped(sealed, 0), after(SECONDS))

        def text(content: bytes) -> Callable[[RecordLink], None]:
            return lambda records: records.write([content], after(SECONDS))

        for spoil in (
            length_0, flip, text(b"\x80"), text(b"\x01"), text(b"\x81\x61x"), text(b"\x81"),
            text(cbor.encode([shapes.SAY])), text(cbor.encode([shapes.SAY, "1", "#x", 1, b"x"])),
            text(cbor.encode([shapes.SAY, 0, "#x", 1, b"x"])),
        ):  # fmt: skip
            records = self.joined("Spoiler")
            spoil(records)
            self.assert_closed(records.link)
        records = self.joined("Spoiler")
        records.link.write(records._send.seal(b""), after(SECONDS))
        self.assert_closed(records.link)

    def test_the_first_message_is_join(self) -> None:
        first: list[cbor.Value] = [
            [shapes.PING], [shapes.SAY, 1, "#x", 1, b"x"], [99],
            [shapes.JOIN, "no room", "", 0], [shapes.JOIN, "#x", "", "0"],
        ]  # fmt: skip
        for message in first:
            records = self.records("First")
            self.say(records, message)
            self.assert_closed(records.link)

    def test_numbers(self) -> None:
        records = self.joined("Counter")
        room, error = "#Counter", shapes.ERROR
        box = bytes(40)
        self.say(
            records,
            [shapes.SAY, 2, room, 1, b"too early"],
            [shapes.SAY, 1, room, 1, b"one", "an extra field"],
            [shapes.SAY, 1, room, 1, b"one"],
            [shapes.SAY, 2, room, 9, b"stale"],
            [shapes.SAY, 2, room, 0, b"stale"],
            [shapes.SAY, 2, "#elsewhere", 1, b"x"],
            [shapes.SAY, 3, room, "1", b"x"],
            [shapes.SAY, 4, room, 1, bytes(5000)],
            [shapes.WHISPER, 5, NOBODY, box],
            [shapes.SHARE, 6, [[NOBODY, box]]],
            [shapes.LETTER, 7, bytes(32), box],
            [shapes.SAY, 2, room, 1, b"again"],
            [shapes.SAY, 9, "wrong"],
            [shapes.SAY, 8, room, 1, b"eight"],
        )
        self.assert_answers(
            records,
            [error, "again", 1], [shapes.ACCEPTED, 1], [shapes.ACCEPTED, 1],
            [error, "again", 2], [error, "again", 2], [error, "refused", 2],
            [error, "malformed", 3], [error, "large", 4], [error, "absent", 5],
            [shapes.ACCEPTED, 6], [error, "absent", 7], [error, "refused", 2],
            [error, "again", 8], [shapes.ACCEPTED, 8],
        )  # fmt: skip

    def test_the_rest(self) -> None:
        records = self.joined("Rest")
        error = shapes.ERROR
        self.say(records, [shapes.PING], [shapes.LOOKUP, "Nobody"], [shapes.COMMAND, "HELP"],
                 [shapes.SEEN, 1], [shapes.SEEN, "1"], [shapes.LOOKUP, 1], [99, 1], [15, "busy"],
                 [shapes.JOIN, 1], [shapes.LEAVE, "#no"],
                 [shapes.JOIN, "#Rest", "", 0], [shapes.JOIN, "no room", "", 0],
                 [shapes.PING], [shapes.LEAVE, "#Rest"])  # fmt: skip
        got: list[list] = []
        while not got or got[-1][0] != shapes.BYE:
            got += records.read(after(SECONDS))
        short = [m[:1] if m[0] == shapes.ANSWER else m[:2] for m in got]
        self.assertEqual(short[:-2], [
            [shapes.PONG], [error, "absent"], [shapes.ANSWER], [error, "malformed"],
            [error, "malformed"], [error, "unsupported"], [error, "unsupported"],
            [error, "malformed"], [error, "refused"], [error, "refused"], [error, "malformed"],
            [shapes.PONG],
        ])  # fmt: skip
        self.assertTrue(all(m[3] == 0 for m in got if m[0] == error))
        self.assertEqual((got[-2][3][0], got[-2][3][4], got[-1][1]), (shapes.LEFT, "left", "left"))
        self.assert_closed(records.link)

    def test_to_one(self) -> None:
        """The answers to Whisper, Share and Letter, in the order of §6."""
        elsewhere, away = user("Other"), user("Away")
        one = self.joined("One")
        other = self.records(own=elsewhere)
        self.say(other, [shapes.JOIN, "#Other", "", 0])
        number = other.read(after(SECONDS))[0][9]
        gone = self.records(own=away)
        self.say(gone, [shapes.JOIN, "#away", "", 0], [shapes.LEAVE, "#away"])
        self.assert_closed_after_bye(gone)
        here, there = user("One").identity.fingerprint, away.identity.fingerprint
        large, error = bytes(7000), shapes.ERROR
        letter, to_one = openly(user("One"), "One", b"letter"), openly(elsewhere, "Other", b"to one")
        self.say(
            one,
            [shapes.WHISPER, 1, number, b"box"],
            [shapes.WHISPER, 2, 0, b"box"],
            [shapes.WHISPER, 3, NOBODY, large],
            [shapes.SHARE, 4, [[NOBODY, large]]],
            [shapes.SHARE, 5, [[NOBODY, b""]] * 129],
            [shapes.SHARE, 6, [[NOBODY, b""]] * 128],
            [shapes.SHARE, 7, [[0, b"box"]]],
            [shapes.LETTER, 8, bytes(32), large],
            [shapes.LETTER, 9, bytes(32), b"letter"],
            [shapes.LETTER, 10, there, letter],
            [shapes.LETTER, 10, there, letter],
            [shapes.LETTER, 12, there, letter],
            [shapes.LETTER, 11, there, to_one],
        )
        self.assert_answers(
            one,
            [error, "absent", 1], [error, "malformed", 2], [error, "large", 3],
            [error, "large", 4], [error, "large", 5], [shapes.ACCEPTED, 6],
            [error, "malformed", 7], [error, "large", 8], [error, "absent", 9],
            [shapes.ACCEPTED, 10], [shapes.ACCEPTED, 10], [error, "again", 11], [error, "refused", 11],
        )  # fmt: skip
        self.say(one, [shapes.LOOKUP, "Away"])
        self.assert_answers(one, [shapes.FOUND, "Away", away.identity.spki])
        self.say(other, [shapes.LETTER, 1, here, to_one], [shapes.SEEN, 10_000])
        event = one.read(after(SECONDS))[0]
        self.assertEqual((event[0], event[3]), (shapes.EVENT, [shapes.LETTER_CAME, to_one]))
        back = self.records("Away")
        self.say(back, [shapes.JOIN, "#away", "", 0])
        came = back.read(after(SECONDS))
        while len(came) < 2:
            came += back.read(after(SECONDS))
        self.assertEqual([message[0] for message in came], [shapes.WELCOME, shapes.EVENT])
        self.assertGreater(came[1][1], came[0][5])
        self.assertEqual(came[1][3], [shapes.LETTER_CAME, letter])
        self.say(back, [shapes.JOIN, "#second", "", 0], [shapes.PING])
        while came[-1][0] != shapes.PONG:
            came += back.read(after(SECONDS))
        self.assertEqual([message[0] for message in came[2:]], [shapes.WELCOME, shapes.PONG])

    def test_a_session_comes_once(self) -> None:
        own = user("Once")
        first = self.records(own=own)
        self.say(first, [shapes.JOIN, "#once", "", 0], [shapes.LEAVE, "#once"])
        self.assert_closed_after_bye(first)
        second = self.records(own=own)
        self.say(second, [shapes.JOIN, "#once", "", 0])
        self.assert_answers(second, [shapes.ERROR, "refused", 0])
        self.assert_closed(second.link)


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class AgainstTheOtherServer(AgainstTheServer):
    """The same against the other implementation's; without limits, for one address does it all."""

    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = other_server(keys, "--limits", "off")
        cls.port = cls.server.await_port()


if __name__ == "__main__":
    unittest.main()
