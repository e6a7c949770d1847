"""What PROTOCOL.md settled once two implementers had read it in two ways, rule by rule, at either server."""

from __future__ import annotations

import socket
import time
import unittest
from pathlib import Path

from cfbchat import cbor, credential, crypto, shapes
from cfbchat.connection import RecordLink, after
from cfbchat.credential import OwnCredential
from cfbchat.handshake import ClientHandshake
from people import identity, user
from processes import OTHER, other_server, python_server
from test_against_server import SECONDS, AtTheServer, openly

PASSWORD = "correct horse, battery staple"
SMALL_ORDER = bytes([1]) + bytes(31)  # the point (0, 1) of Ed25519


class Settled(AtTheServer):
    """A client on a socket that does one odd thing."""

    def until(self, records: RecordLink, kind: int) -> list[list]:
        """All messages up to the first of this type."""
        got: list[list] = []
        while not any(message[0] == kind for message in got):
            got += records.read(after(SECONDS))
        return got

    def in_room(self, name: str, room: str, own: OwnCredential | None = None) -> tuple[RecordLink, list]:
        """A joined session, and its Welcome."""
        records = self.records(name, own)
        self.say(records, [shapes.JOIN, room, "", 0])
        return records, self.until(records, shapes.WELCOME)[-1]

    def other_key(self, name: str, key: str) -> OwnCredential:
        return credential.make(identity(key), "user", name)

    # --- Joining

    def test_a_later_join_with_a_cursor(self) -> None:
        """PROTOCOL.md 8.4-9: "refused", n 0, and the connection goes on."""
        records = self.joined("Later")
        self.say(records, [shapes.JOIN, "#other", "", 1], [shapes.JOIN, "#Later", "", 7], [shapes.PING])
        self.assert_answers(records, [shapes.ERROR, "refused", 0], [shapes.ERROR, "refused", 0], [shapes.PONG])

    def test_a_resume_of_what_never_began(self) -> None:
        """PROTOCOL.md 8.4-7: without a first Welcome there is no session to resume."""
        records = self.records("Early")
        self.say(records, [shapes.JOIN, "#early", "", 1])
        self.assert_answers(records, [shapes.ERROR, "refused", 0])
        self.assert_closed(records.link)

    def with_password(self, name: str) -> RecordLink:
        owner = self.joined(name)
        self.say(owner, [shapes.PASSWORD, PASSWORD])
        self.until(owner, shapes.ANSWER)
        return owner

    def asked_for_password(self, name: str) -> RecordLink:
        records = self.records(own=self.other_key(name, name + " on another device"))
        self.say(records, [shapes.JOIN, "#" + name, "", 0])
        self.assert_answers(records, [shapes.ERROR, "password", 0])
        return records

    def test_between_the_two_joins(self) -> None:
        """PROTOCOL.md 6.6-10: Ping is answered, all else closes without an Error."""
        self.with_password("Guarded")
        for message in (
            [shapes.LOOKUP, "Guarded"], [shapes.SAY, 1, "#Guarded", 1, b"x"], [shapes.COMMAND, "HELP"],
            [shapes.LEAVE, "#Guarded"], [shapes.SEEN, 1], [shapes.JOIN, "#Guarded", ""], [99],
        ):  # fmt: skip
            records = self.asked_for_password("Guarded")
            self.say(records, [shapes.PING], message)
            self.assert_answers(records, [shapes.PONG])
            self.assert_closed(records.link)
        records = self.asked_for_password("Guarded")
        self.say(records, [shapes.PING], [shapes.PING], [shapes.JOIN, "#Guarded", PASSWORD, 0])
        self.assertEqual([m[0] for m in self.until(records, shapes.PONG)][0], shapes.PONG)
        self.until(records, shapes.WELCOME)

    def test_the_second_join_is_the_last(self) -> None:
        """PROTOCOL.md 6.6, 11 and 13."""
        self.with_password("Twice")
        for password in ("", "the wrong horse"):
            records = self.asked_for_password("Twice")
            self.say(records, [shapes.JOIN, "#Twice", password, 0])
            self.assert_answers(records, [shapes.ERROR, "password", 0])
            self.assert_closed(records.link)

    def test_a_refused_join_takes_no_name(self) -> None:
        """PROTOCOL.md 6.6-1 and 6.7-7."""
        self.joined("Owner")
        records = self.records(own=self.other_key("Owner", "somebody else"))
        self.say(records, [shapes.JOIN, "#Owner", "", 0])
        self.assert_answers(records, [shapes.ERROR, "taken", 0])
        self.assert_closed(records.link)

    # --- Leaving and losing

    def test_leave_behind_an_unanswered_join(self) -> None:
        """PROTOCOL.md 6.12-3: the session goes on in the room that it has just joined."""
        records = self.joined("Goer")
        self.say(records, [shapes.JOIN, "#second", "", 0], [shapes.LEAVE, "#Goer"], [shapes.PING])
        got = self.until(records, shapes.PONG)
        self.assertEqual([message[0] for message in got], [shapes.WELCOME, shapes.EVENT, shapes.PONG])
        self.assertEqual((got[1][3][0], got[1][3][1]), (shapes.LEFT, "#Goer"))
        self.say(records, [shapes.LEAVE, "#second"])
        self.assertEqual(self.until(records, shapes.BYE)[-1], [shapes.BYE, "left"])
        self.assert_closed(records.link)

    def test_a_half_closed_connection(self) -> None:
        """PROTOCOL.md 5-5: the end of one direction is a loss of the connection."""
        watch, _ = self.in_room("Watch", "#half")
        half, welcome = self.in_room("Half", "#half")
        half.link.sock.shutdown(socket.SHUT_WR)
        self.assert_closed(half.link)
        while True:
            event = self.until(watch, shapes.EVENT)[-1][3]
            if event[0] == shapes.ABSENCE:
                break
        self.assertEqual(event, [shapes.ABSENCE, welcome[9], 1])

    def test_persons_come_again(self) -> None:
        """PROTOCOL.md 6.1-6: a client may forget a session that shares no room with it."""
        watch, _ = self.in_room("Keeper", "#first")
        comer, welcome = self.in_room("Comer", "#first")
        self.say(comer, [shapes.JOIN, "#apart", "", 0], [shapes.LEAVE, "#first"], [shapes.JOIN, "#first", "", 0])
        got: list[list] = []
        while [m[3][0] for m in got if m[0] == shapes.EVENT] != [shapes.JOINED, shapes.LEFT, shapes.JOINED]:
            got += watch.read(after(SECONDS))
        kinds = [message[0] for message in got]
        self.assertEqual(kinds, [shapes.PERSON, shapes.EVENT, shapes.EVENT, shapes.PERSON, shapes.EVENT])
        self.assertEqual({m[1] for m in got if m[0] == shapes.PERSON}, {welcome[9]})

    # --- Seen

    def test_seen_of_a_cursor_to_come(self) -> None:
        """PROTOCOL.md 8.2-3: it counts as one of the last event, so the session can be resumed."""
        own = user("Prophet")
        records, welcome = self.in_room("Prophet", "#later", own)
        self.say(records, [shapes.SEEN, 2**40], [shapes.SEEN, 0], [shapes.PING])
        self.until(records, shapes.PONG)
        records.link.hang_up()
        again = self.records(own=own)
        self.say(again, [shapes.JOIN, "#later", "", welcome[5]])
        resumed = self.until(again, shapes.WELCOME)[0]
        self.assertEqual(resumed[:6], [shapes.WELCOME, "#later", [], 0, 1, welcome[5]])
        self.assertEqual(resumed[8:], [4096, welcome[9]])

    # --- Answers

    def test_errors_without_a_number(self) -> None:
        """PROTOCOL.md 6.2-2 and 6.2-5: n is 0 for all but 17 to 20, and the connection goes on."""
        records = self.joined("Wrong")
        malformed = ([16, "#x", ""], [16, "x", "", 0], [21], [21, "no name"], [22, "1"], [22], [23, "x"], [23],
                     [25, b"HELP"], [25], [26, 7], [26])  # fmt: skip
        for message in malformed:
            self.say(records, message)
            self.assert_answers(records, [shapes.ERROR, "malformed", 0])
        for kind in (0, 1, 15, 27, 32, 40, 41, 2**40):
            self.say(records, [kind])
            self.assert_answers(records, [shapes.ERROR, "unsupported", 0])
        self.say(records, [shapes.PING, "more"], [17, 1, 2, 3, 4], [18, 2], [19, 3, [[1]]], [20, 4, b"short", b""])
        self.assert_answers(records, [shapes.PONG], *([shapes.ERROR, "malformed", n] for n in (1, 2, 3, 4)))

    def test_an_empty_share(self) -> None:
        """PROTOCOL.md 6.5-2."""
        records = self.joined("Giver")
        self.say(records, [shapes.SHARE, 1, []])
        self.assert_answers(records, [shapes.ACCEPTED, 1])

    def test_a_letter_to_its_own_author(self) -> None:
        """PROTOCOL.md 6.5-5: it is taken, and handed back."""
        own = user("Diarist")
        records = self.joined("Diarist", own)
        letter = openly(own, "Diarist", b"dear diary")
        self.say(records, [shapes.LETTER, 1, own.identity.fingerprint, letter])
        got: list[list] = []
        while len(got) < 2:
            got += records.read(after(SECONDS))
        self.assertIn([shapes.ACCEPTED, 1], got)
        self.assertIn([shapes.LETTER_CAME, letter], [m[3] for m in got if m[0] == shapes.EVENT])

    def test_the_order_of_a_letters_checks(self) -> None:
        """PROTOCOL.md 6.15: large, absent, author, mailbox."""
        own, reader = user("Author"), user("Reader")
        self.joined("Reader", reader)
        records = self.joined("Author", own)
        absent, false, large = bytes(32), openly(reader, "Reader", b"not mine"), bytes(7000)
        here, letter = reader.identity.fingerprint, openly(own, "Author", b"mine")
        self.say(records, [20, 1, absent, large], [20, 2, absent, false], [20, 3, here, false])
        error = shapes.ERROR
        self.assert_answers(records, [error, "large", 1], [error, "absent", 2], [error, "refused", 3])
        self.say(records, *([20, 4 + number, here, letter] for number in range(11)), [20, 15, here, false])
        self.assert_answers(
            records, *([shapes.ACCEPTED, 4 + number] for number in range(10)),
            [error, "refused", 14], [error, "refused", 15],
        )  # fmt: skip

    def test_commands(self) -> None:
        """PROTOCOL.md 6.11-2 and 9.2."""
        records = self.joined("Commander")
        for line, code in (("x" * 4097, "large"), ("", "malformed"), ("  ", "malformed"), ("NOSUCH", "malformed"),
                           ("HELP\x07HELP", "malformed"), ("HELP\nHELP", "malformed"), ("SAY hear me", "refused"),
                           ("TOPIC #nowhere", "absent")):  # fmt: skip
            self.say(records, [shapes.COMMAND, line])
            self.assert_answers(records, [shapes.ERROR, code, 0])
        for line in ("HELP", "  help \n", "HELP NOSUCH"):
            self.say(records, [shapes.COMMAND, line])
            self.assertTrue(self.until(records, shapes.ANSWER)[-1][1])

    # --- Credentials and names

    def refused_with(self, own: OwnCredential, code: str) -> None:
        link, client = self.connect(), ClientHandshake(own)
        link.write(client.start(), after(SECONDS))
        client.receive(link.read(4096, after(SECONDS)))
        (record,) = client.receive(link.read(4096, after(SECONDS)))
        link.write(record, after(SECONDS))
        self.assert_refused_sealed(link, client, code)

    def weak(self, name: str, expires: int) -> OwnCredential:
        """A credential whose signature holds, for a key of small order."""
        own = user("Weak")
        fields = cbor.decode(own.credential)
        fields[2], fields[4], fields[6] = name, SMALL_ORDER, expires
        made = cbor.encode(fields)
        return OwnCredential(own.identity, own.ed25519, made, crypto.pss_sign(own.identity.key, made), own.x25519)

    def test_a_key_of_small_order(self) -> None:
        """PROTOCOL.md 2.1-6: looked at behind the clock and the name."""
        now = int(time.time())
        self.refused_with(self.weak("Weak", now - 3 * 86400), "clock")
        self.refused_with(self.weak("no name", now + 86400), "name")
        self.refused_with(self.weak("Weak", now + 86400), "credential")

    def test_addresses_are_no_names(self) -> None:
        """PROTOCOL.md 6.7-2."""
        records = self.joined("Namer")
        for name in ("127.0.0.1", "127.0.0.01", "2130706433", "0x7f.1", "fe80::1%eth0", "127.1."):
            self.refused_with(user(name), "name")
            self.say(records, [shapes.JOIN, "#" + name, "", 0], [shapes.LOOKUP, name])
            self.assert_answers(records, *([shapes.ERROR, "malformed", 0],) * 2)


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class SettledAtTheOther(Settled):
    """The same at the other implementation's server."""

    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = other_server(keys, "--limits", "off")
        cls.port = cls.server.await_port()

    def test_a_name_like_two(self) -> None:
        """PROTOCOL.md 6.7-6: Ira is ira by its lower case, and lra as it stands."""
        one = self.other_key("ira", "one key")
        self.in_room("ira", "#two", one)
        self.in_room("lra", "#two", self.other_key("lra", "another key"))
        stranger = self.records(own=self.other_key("Ira", "a third key"))
        self.say(stranger, [shapes.JOIN, "#two", "", 0])
        self.assert_answers(stranger, [shapes.ERROR, "taken", 0])
        of_one = self.records(own=self.other_key("Ira", "one key"))
        self.say(of_one, [shapes.JOIN, "#two", "", 0])
        self.assert_answers(of_one, [shapes.ERROR, "taken", 0])

    def test_a_name_like_two_of_ones_own(self) -> None:
        """PROTOCOL.md 6.7-6: "refused" if both are the key's own."""
        for name in ("ida", "lda"):
            records, _ = self.in_room(name, "#both", self.other_key(name, "both"))
            self.say(records, [shapes.LEAVE, "#both"])
            self.assert_closed_after_bye(records)
        third = self.records(own=self.other_key("Ida", "both"))
        self.say(third, [shapes.JOIN, "#both", "", 0])
        self.assert_answers(third, [shapes.ERROR, "refused", 0])
        self.assert_closed(third.link)


class ByInvitation(AtTheServer):
    """PROTOCOL.md 6.9-1: a key that has a name needs no token, for any name; another key needs one."""

    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = python_server(keys, access="invite")
        cls.port = cls.server.await_json(listening=None)["listening"]

    def token(self) -> str:
        self.server.write("INVITE 1 1")
        return self.server.await_json(answer=None)["answer"].rpartition("/")[2]

    def asks(self, name: str, key: str, *tokens: str) -> tuple[RecordLink, list[list]]:
        """Joins, with each of these tokens after the other; the first answer to each."""
        records = self.records(own=credential.make(identity(key), "user", name))
        answers = []
        for token in tokens:
            self.say(records, [shapes.JOIN, "#in", token, 0])
            got = records.read(after(SECONDS))
            while got[-1][0] not in (shapes.WELCOME, shapes.ERROR):
                got += records.read(after(SECONDS))
            answers.append(got[-1][:2])
        return records, answers

    def test_a_key_and_not_a_name(self) -> None:
        records, answers = self.asks("First", "invited", "", self.token())
        self.assertEqual(answers, [[shapes.ERROR, "invitation"], [shapes.WELCOME, "#in"]])
        self.say(records, [shapes.LEAVE, "#in"])
        self.assert_closed_after_bye(records)
        self.assertEqual(self.asks("Second", "invited", "")[1], [[shapes.WELCOME, "#in"]])
        records, answers = self.asks("Third", "stranger", "", "")
        self.assertEqual(answers, [[shapes.ERROR, "invitation"]] * 2)
        self.assert_closed(records.link)
        records, answers = self.asks("Third", "stranger", "A" * 22)
        self.assertEqual(answers, [[shapes.ERROR, "invitation"]])
        self.assert_closed(records.link)


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class ByInvitationAtTheOther(ByInvitation):
    """The same at the other implementation's server."""

    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.keys = keys
        cls.server = other_server(keys, "--limits", "off", "--access", "invite")
        cls.port = cls.server.await_port()

    def token(self) -> str:
        self.server.write("INVITE 1 1")
        return self.server.await_line(lambda line: "cfb-chat://" in line, "an invitation").rpartition("/")[2]

    def test_closed(self) -> None:
        """PROTOCOL.md 6.9-2: a closed server lets in names, and no new name of a key that it knows."""
        records, _ = self.asks("Here", "known", self.token())
        self.say(records, [shapes.LEAVE, "#in"])
        self.assert_closed_after_bye(records)
        type(self).server.end()
        type(self).server = other_server(self.keys, "--limits", "off", "--access", "closed")
        type(self).port = self.server.await_port()
        self.addClassCleanup(self.server.end)
        self.assertEqual(self.asks("Here", "known", "")[1], [[shapes.WELCOME, "#in"]])
        self.assertEqual(self.asks("Elsewhere", "known", "")[1], [[shapes.ERROR, "refused"]])


if __name__ == "__main__":
    unittest.main()
