"""Names for good, passwords, commands and rooms with keepers, on a socket (PROTOCOL.md §6).

Where the text leaves a choice between an Answer and an Error, either will do.
"""

from __future__ import annotations

import unittest
from dataclasses import dataclass, field
from pathlib import Path

from cfbchat import cbor, credential, shapes
from cfbchat.connection import RecordLink, after
from cfbchat.credential import OwnCredential
from cfbchat.crypto import fingerprint_text
from cfbchat.handshake import PeerRefused
from people import identity
from processes import OTHER, other_server
from test_against_server import SECONDS, AtTheServer, openly

PASSWORD = "Correct horse, battery staple"
ANSWERS = (shapes.ANSWER, shapes.ERROR, shapes.WELCOME, shapes.FOUND, shapes.BYE)


@dataclass
class Here:
    """A connection, and what has come on it and was not looked at yet."""

    own: OwnCredential
    records: RecordLink
    came: list[list] = field(default_factory=list)
    number: int = 0  # what names its session, once it is in

    def send(self, *messages: cbor.Value) -> None:
        self.records.write([cbor.encode(message) for message in messages], after(SECONDS))

    def next(self, *kinds: int, event: int | None = None) -> list:
        """The next message of these kinds, or event; what came before it is dropped."""
        deadline = after(SECONDS)
        while True:
            while self.came:
                message = self.came.pop(0)
                if message[0] in kinds and (event is None or message[3][0] == event):
                    return message
            self.came += self.records.read(deadline)

    def ask(self, *message: cbor.Value) -> list:
        """A message, and the answer to it."""
        self.send(list(message))
        return self.next(*ANSWERS)

    def command(self, line: str) -> str:
        """The text of the Answer, or the code of the Error."""
        answer = self.ask(shapes.COMMAND, line)
        return answer[1]


def with_key(name: str, key: str) -> OwnCredential:
    """Somebody of this name, and the key that is called so."""
    return credential.make(identity(key), "user", name)


class Coming(AtTheServer):
    """What the tests of this file have in common."""

    def come(self, name: str, key: str | None = None, room: str = "", secret: str = "") -> Here:
        own = with_key(name, key or name)
        here = Here(own, self.records(own=own))
        here.send([shapes.JOIN, room or "#" + name, secret, 0])
        return here

    def enter(self, name: str, key: str | None = None, room: str = "", secret: str = "") -> Here:
        here = self.come(name, key, room, secret)
        welcome = here.next(*ANSWERS)
        self.assertEqual(welcome[0], shapes.WELCOME)
        here.number = welcome[9]
        return here

    def assert_refused(self, here: Here, code: str, closed: bool = True) -> None:
        answer = here.next(*ANSWERS)
        self.assertEqual([answer[0], answer[1], answer[3:]], [shapes.ERROR, code, [0]], answer)
        self.assertTrue(answer[2], "it says why")
        if closed:
            self.assert_closed(here.records.link)


class Names(Coming):
    def test_a_name_belongs_to_its_key(self) -> None:
        first = self.enter("Zora")
        for name in ("Zora", "zora", "ZORA"):
            self.assert_refused(self.come(name, "another"), "taken")
        self.assertEqual(first.ask(shapes.LOOKUP, "ZORA"),
                         [shapes.FOUND, "ZORA", first.own.identity.spki])  # fmt: skip
        again = self.enter("zora", "Zora")
        self.assertEqual(first.next(shapes.BYE), [shapes.BYE, "replaced"])
        again.send([shapes.PING])
        self.assertEqual(again.next(shapes.PONG), [shapes.PONG])

    def test_a_name_has_no_sign_before_it(self) -> None:
        for name in ("#lobby", "/w", "-x", "192.0.2.1", "2001:db8::1"):
            with self.subTest(name), self.assertRaises(PeerRefused) as told:
                self.records(own=with_key(name, "another"))
            self.assertEqual((told.exception.code, told.exception.bare), ("name", False))

    def test_a_room_has_no_sign_before_its_name(self) -> None:
        here = self.enter("Roomer")
        for room in ("##", "#/w", "#-", "#192.0.2.1"):
            self.assertEqual(here.ask(shapes.JOIN, room, "", 0)[:2], [shapes.ERROR, "malformed"])

    def test_a_password_lets_another_key_in(self) -> None:
        first = self.enter("Pia")
        self.assertEqual(first.ask(shapes.PASSWORD, PASSWORD)[0], shapes.ANSWER)
        second = self.come("Pia", "Pia's other")
        self.assert_refused(second, "password", closed=False)
        second.send([shapes.JOIN, "#Pia", PASSWORD, 0])
        self.assertEqual(second.next(*ANSWERS)[0], shapes.WELCOME)
        self.assertEqual(first.next(shapes.BYE), [shapes.BYE, "replaced"])
        watch = self.enter("Watch")
        self.assertEqual(watch.ask(shapes.LOOKUP, "Pia")[2], second.own.identity.spki)
        letter = openly(watch.own, "Watch", b"to the first key")
        first = self.enter("Pia")
        self.assertEqual(second.next(shapes.BYE), [shapes.BYE, "replaced"])
        self.assertEqual(watch.ask(shapes.LOOKUP, "Pia")[2], first.own.identity.spki)
        watch.send([shapes.LETTER, 1, second.own.identity.fingerprint, letter])
        self.assertEqual(watch.next(shapes.ACCEPTED), [shapes.ACCEPTED, 1])
        second = self.enter("Pia", "Pia's other")
        self.assertEqual(second.next(shapes.EVENT, event=shapes.LETTER_CAME)[3][1], letter)

    def test_devices(self) -> None:
        first = self.enter("Dev")
        first.ask(shapes.PASSWORD, PASSWORD)
        second = self.enter("Dev", "Dev's other", secret=PASSWORD)
        own, other = (fingerprint_text(identity(key).fingerprint) for key in ("Dev", "Dev's other"))
        listed = second.command("DEVICES")
        self.assertIn(own, listed)
        self.assertIn(other, listed)
        self.assertEqual(second.ask(shapes.COMMAND, f"DEVICES {own}")[0], shapes.ANSWER)
        self.assertNotIn(own, second.command("DEVICES"))
        self.assert_refused(self.come("Dev"), "password", closed=False)
        second.send([shapes.PING])
        second.next(shapes.PONG)

    def test_a_password_is_taken_away(self) -> None:
        first = self.enter("Away2")
        first.ask(shapes.PASSWORD, PASSWORD)
        self.assertEqual(first.ask(shapes.PASSWORD, "")[0], shapes.ANSWER)
        self.assert_refused(self.come("Away2", "another", secret=PASSWORD), "taken")

    def test_what_is_no_password(self) -> None:
        here = self.enter("Nopass")
        for password in ("seven77", "x" * 257):
            self.assertIn(here.ask(shapes.PASSWORD, password)[0], (shapes.ANSWER, shapes.ERROR))
            self.assert_refused(self.come("Nopass", "another", secret=password), "taken")
        self.assertEqual(here.ask(shapes.PASSWORD, 7)[:2], [shapes.ERROR, "malformed"])

    def test_no_password_is_looked_at_where_none_is_needed(self) -> None:
        here = self.enter("Unasked", secret="not needed")
        self.assertEqual(here.ask(shapes.JOIN, "#second", "not needed", 0)[0], shapes.WELCOME)
        self.enter("Unasked", secret="nor now")

    def test_five_wrong_ones(self) -> None:
        first = self.enter("Guessed")
        first.ask(shapes.PASSWORD, PASSWORD)
        for _ in range(5):
            guess = self.come("Guessed", "guesser")
            self.assert_refused(guess, "password", closed=False)
            guess.send([shapes.JOIN, "#Guessed", "wrong password", 0])
            self.assert_refused(guess, "password")
        guess = self.come("Guessed", "guesser")
        self.assert_refused(guess, "password", closed=False)
        guess.send([shapes.JOIN, "#Guessed", PASSWORD, 0])
        self.assert_refused(guess, "wait")
        self.enter("Guessed")
        self.assertEqual(first.next(shapes.BYE), [shapes.BYE, "replaced"])


class Limits(Coming):
    """What the other server, told to have no limits, has not either."""

    def test_eight_names_for_a_key(self) -> None:
        for number in range(8):
            self.enter(f"many{number}", "of many names").records.link.sock.close()
        self.assert_refused(self.come("many8", "of many names"), "refused")


class Prepared(Coming):
    """Clients prepare what was typed; this server does so once more, and the other takes their word for it."""

    def test_a_password_is_the_same_however_it_is_typed(self) -> None:
        here = self.enter("Typed")
        here.ask(shapes.PASSWORD, "pa\u0308ssword\u00a0two")
        self.enter("Typed", "another typist", secret="p\u00e4ssword two")

    def test_what_nobody_can_type(self) -> None:
        here = self.enter("Untyped")
        for password in ("with a\ncontrol", "\u200bzero width"):
            self.assertEqual(here.ask(shapes.PASSWORD, password)[1], "refused")
            self.assert_refused(self.come("Untyped", "another", secret=password), "taken")


class Commands(Coming):
    def operator(self) -> Here:
        """Somebody whom the server's console has made one."""
        here = self.enter("Opal")
        self.server.write("OP Opal")
        while here.command("MOTD words of the day")[:7] == "refused":
            here.send([shapes.PING])
            here.next(shapes.PONG)
        return here

    def test_anybody(self) -> None:
        here = self.enter("Any")
        self.assertIn("TOPIC", here.command("HELP"))
        self.assertIn("ROOMS", here.command("HELP ROOMS"))
        self.assertIn("#Any", here.command("ROOMS"))
        self.assertEqual(here.ask(shapes.COMMAND, "TOPIC #Any")[0], shapes.ANSWER)
        for line in ("NONSENSE", "", "TOPIC", "TOPIC nothing", "KICK"):
            self.assertIn(here.ask(shapes.COMMAND, line)[0], (shapes.ANSWER, shapes.ERROR))
        self.assertEqual(here.command("HELP " + "x" * 4092), "large")
        self.assertEqual(here.ask(shapes.COMMAND, 1)[:2], [shapes.ERROR, "malformed"])

    def test_who_is_no_operator(self) -> None:
        here = self.enter("Nobody2", room="#lobby")
        for line in ("SAY hello", "KICK Nobody2", "MUTE Nobody2", "OP Nobody2", "INVITE", "MOTD hello",
                     "TOPIC #lobby mine"):  # fmt: skip
            answer = here.ask(shapes.COMMAND, line)
            self.assertEqual([answer[0], answer[1], answer[3]], [shapes.ERROR, "refused", 0], line)

    def test_a_keeper(self) -> None:
        keeper, other = self.enter("Keeper", room="#kept"), self.enter("Other2")
        self.assertEqual(keeper.ask(shapes.COMMAND, "TOPIC #kept of locks")[0], shapes.ANSWER)
        self.assertIn("of locks", other.command("TOPIC #kept"))
        self.assertIn("of locks", other.command("ROOMS"))
        for line in ("TOPIC #kept mine", "LOCK #kept", "INVITE #kept Other2", "KICK #kept Keeper",
                     "KEEPER #kept Other2", "REGISTER #kept"):  # fmt: skip
            self.assertEqual(other.command(line), "refused", line)
        self.assertEqual(keeper.ask(shapes.COMMAND, "LOCK #kept")[0], shapes.ANSWER)
        self.assertEqual(other.ask(shapes.JOIN, "#kept", "", 0)[:2], [shapes.ERROR, "refused"])
        self.assertEqual(keeper.ask(shapes.COMMAND, "INVITE #kept Other2")[0], shapes.ANSWER)
        welcome = other.ask(shapes.JOIN, "#kept", "", 0)
        self.assertEqual(welcome[0], shapes.WELCOME)
        self.assertIn("of locks", welcome[7])
        self.assertEqual(keeper.ask(shapes.COMMAND, "KICK #kept Other2 too loud")[0], shapes.ANSWER)
        self.assertIn("too loud", other.next(shapes.EVENT, event=shapes.NOTICE)[3][1])
        left = other.next(shapes.EVENT, event=shapes.LEFT)[3]
        self.assertEqual([left[1], left[2], left[4]], ["#kept", other.number, "kicked"])
        self.assertEqual(other.ask(shapes.LEAVE, "#kept")[:2], [shapes.ERROR, "refused"])
        self.assertEqual(keeper.ask(shapes.COMMAND, "UNLOCK #kept")[0], shapes.ANSWER)
        self.assertEqual(other.ask(shapes.JOIN, "#kept", "", 0)[0], shapes.WELCOME)
        self.assertEqual(keeper.ask(shapes.COMMAND, "KEEPER #kept Other2")[0], shapes.ANSWER)
        self.assertEqual(keeper.command("LOCK #kept"), "refused")
        self.assertEqual(other.ask(shapes.COMMAND, "TOPIC #kept -")[0], shapes.ANSWER)
        self.assertNotIn("of locks", keeper.command("TOPIC #kept"))

    def test_a_keeper_who_leaves(self) -> None:
        first, second = self.enter("First2", room="#goes"), self.enter("Second2", room="#goes")
        third = self.enter("Third2", room="#goes")
        first.send([shapes.JOIN, "#elsewhere2", "", 0], [shapes.LEAVE, "#goes"])
        second.next(shapes.EVENT, event=shapes.LEFT)
        self.assertEqual(third.command("LOCK #goes"), "refused")
        self.assertEqual(second.ask(shapes.COMMAND, "LOCK #goes")[0], shapes.ANSWER)

    def test_a_room_that_is_registered_stays(self) -> None:
        keeper, other = self.enter("Stays"), self.enter("Visitor")
        for line in ("REGISTER #Stays", "TOPIC #Stays for good", "LOCK #Stays"):
            self.assertEqual(keeper.ask(shapes.COMMAND, line)[0], shapes.ANSWER, line)
        keeper.send([shapes.LEAVE, "#Stays"])
        self.assertEqual(keeper.next(shapes.BYE), [shapes.BYE, "left"])
        self.assertEqual(other.ask(shapes.JOIN, "#Stays", "", 0)[:2], [shapes.ERROR, "refused"])
        back = self.come("Stays")
        welcome = back.next(shapes.WELCOME)
        self.assertEqual(welcome[3], 1)
        self.assertIn("for good", welcome[7])
        self.assertEqual(back.ask(shapes.COMMAND, "UNREGISTER #Stays")[0], shapes.ANSWER)
        back.send([shapes.LEAVE, "#Stays"])
        self.assertEqual(back.next(shapes.BYE), [shapes.BYE, "left"])
        welcome = other.ask(shapes.JOIN, "#Stays", "", 0)
        self.assertEqual(welcome[0], shapes.WELCOME)
        self.assertNotIn("for good", welcome[7])

    def test_muted(self) -> None:
        """After membership, before size; a key may still be shared."""
        operator, here = self.operator(), self.enter("Loud", room="#loud")
        other = self.enter("Listener", room="#loud")
        self.assertEqual(operator.ask(shapes.COMMAND, "MUTE Loud 1h")[0], shapes.ANSWER)
        to, letter = other.number, openly(here.own, "Loud", b"letter")
        here.send(
            [shapes.SAY, 1, "#nowhere", 2, b"x"], [shapes.SAY, 2, "#loud", 2, bytes(9000)],
            [shapes.SAY, 3, "#loud", 77, b"x"], [shapes.WHISPER, 4, to, bytes(9000)],
            [shapes.SHARE, 5, [[to, b"box"]]], [shapes.LETTER, 6, bytes(32), letter],
        )  # fmt: skip
        answers = [here.next(shapes.ERROR, shapes.ACCEPTED) for _ in range(6)]
        self.assertEqual(
            [(a[1], a[3]) if a[0] == shapes.ERROR else a[1] for a in answers],
            [("refused", 1), ("muted", 2), ("muted", 3), ("muted", 4), 5, ("muted", 6)],
        )
        self.assertEqual(other.next(shapes.EVENT, event=shapes.SHARED)[3][2], b"box")
        self.assertEqual(operator.ask(shapes.COMMAND, "UNMUTE Loud")[0], shapes.ANSWER)
        here.send([shapes.SAY, 7, "#loud", 2, b"x"])
        self.assertEqual(here.next(shapes.ERROR, shapes.ACCEPTED), [shapes.ACCEPTED, 7])

    def test_an_operator(self) -> None:
        operator, here = self.operator(), self.enter("Subject")
        self.assertEqual(operator.ask(shapes.COMMAND, "SAY at noon")[0], shapes.ANSWER)
        self.assertIn("at noon", here.next(shapes.EVENT, event=shapes.NOTICE)[3][1])
        self.assertEqual(operator.ask(shapes.COMMAND, "TOPIC #Subject ruled")[0], shapes.ANSWER)
        self.assertIn("ruled", here.command("TOPIC #Subject"))
        self.assertEqual(operator.ask(shapes.COMMAND, "KICK Subject enough")[0], shapes.ANSWER)
        self.assertIn("enough", here.next(shapes.EVENT, event=shapes.NOTICE)[3][1])
        self.assertEqual(here.next(shapes.BYE), [shapes.BYE, "kicked"])
        welcome = self.come("Subject").next(shapes.WELCOME)
        self.assertIn("Opal", welcome[7])
        self.assertIn("words of the day", welcome[7])


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class NamesAtTheOther(Names):
    """The same at the other implementation's server."""

    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = other_server(keys, "--limits", "off")
        cls.port = cls.server.await_port()


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class CommandsAtTheOther(Commands):
    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = other_server(keys, "--limits", "off")
        cls.port = cls.server.await_port()


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class LimitsAtTheOther(Limits):
    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = other_server(keys)
        cls.port = cls.server.await_port()


if __name__ == "__main__":
    unittest.main()
