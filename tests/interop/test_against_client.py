"""What a server must not do (PROTOCOL.md §6), and what the client then does."""

from __future__ import annotations

import unittest

from cfbchat import cbor, shapes
from cfbchat.conversation import Conversation, Violation
from cfbchat.credential import OwnCredential
from people import user


class AgainstTheClient(unittest.TestCase):
    """A server that breaks a rule of §6 is left."""

    def setUp(self) -> None:
        self.own = user("Ira")
        self.ben = user("Ben")
        self.shown: list[dict] = []
        self.talk = Conversation(self.own, "Ira", "#lobby", self.shown.append)
        self.talk.join()

    def person(self, own: OwnCredential) -> list:
        return [shapes.PERSON, own.identity.spki, own.credential, own.signature]

    def welcome(self, *sessions: bytes, change: int = 2, cursor: int = 5, resumed: int = 0) -> list:
        return [shapes.WELCOME, "#lobby", list(sessions), change, resumed, cursor, 1, "", 4096]

    def let_in(self) -> None:
        self.talk.handle(self.person(self.ben))
        self.talk.handle(self.welcome(self.ben.session, self.own.session))

    def event(self, cursor: int, *event: cbor.Value) -> list:
        return [shapes.EVENT, cursor, 1, list(event)]

    def assert_leaves(self, message: list) -> None:
        with self.assertRaises(Violation):
            self.talk.handle(message)

    def test_before_welcome(self) -> None:
        both = (self.ben.session, self.own.session)
        for message in (
            self.welcome(*both), self.welcome(), self.welcome(self.own.session, self.own.session),
            self.welcome(self.own.session, resumed=1), self.welcome(self.own.session, change=0),
            self.welcome(self.own.session, cursor=0), [shapes.WELCOME, "#lobby"],
            [shapes.PONG], [shapes.ACCEPTED, 1], [shapes.ERROR, "refused", "", 1],
            [shapes.FOUND, "Ben", b""], self.event(1, 4, "#lobby", self.own.session, 1),
        ):  # fmt: skip
            self.setUp()
            self.assert_leaves(message)

    def test_after_welcome(self) -> None:
        stranger = bytes(32)
        for message in (
            self.welcome(self.own.session, cursor=9),
            self.event(5, 6, "the cursor does not grow"),
            self.event(6, 1, "#lobby", stranger, 2, b"x"),
            self.event(6, 4, "#lobby", stranger, 3),
            self.event(6, 2, stranger, b""),
            self.event(6, 4, "#lobby", self.ben.session, 3),
            self.event(6, 5, "#lobby", self.ben.session, 4, "left"),
            self.event(6, 5, "#lobby", self.ben.session, 2, "left"),
            self.event(6, 5, "#lobby", self.own.session, 3, "left"),
            self.event(6, 1, "#lobby"), self.event(6, "1"), self.event(6),
            [shapes.ERROR, "refused", "", 0],
        ):  # fmt: skip
            self.setUp()
            self.let_in()
            with self.subTest(message):
                self.assert_leaves(message)

    def test_what_is_passed_over(self) -> None:
        self.let_in()
        self.talk.handle([99, "unknown"])
        self.talk.handle(self.event(6, 77, "unknown"))
        self.assertEqual(self.talk.cursor, 6)
        said = self.event(7, 1, "#lobby", self.ben.session, 2, b"Hi", "an extra field")
        self.talk.handle(said + ["an extra field"])
        self.assertEqual(self.shown[-1], {"said": {"from": "Ben", "text": "Hi", "at": 1}})
        self.talk.handle(self.event(8, 1, "#lobby", self.ben.session, 2, b"\xff"))
        self.assertIn("unreadable", self.shown[-1])

    def test_a_refused_person_is_shown_as_refused(self) -> None:
        spoiled = self.person(self.ben)
        spoiled[3] = bytes(256)
        self.talk.handle(spoiled)
        self.talk.handle(self.welcome(self.ben.session, self.own.session))
        self.assertTrue(self.shown[-1]["welcome"]["members"][0].startswith("refused "))
        self.talk.handle(self.event(6, 1, "#lobby", self.ben.session, 2, b"Hi"))
        self.assertFalse(any("said" in line for line in self.shown))

    def test_again_and_wait(self) -> None:
        now = [0.0]
        self.talk.clock = lambda: now[0]
        self.let_in()
        for text in ("one", "two"):
            self.talk.say(text)
        self.talk.outgoing.clear()
        again = [shapes.ERROR, "again", "", 1]
        self.talk.handle(again)
        self.assertEqual(self.talk.outgoing, [])
        self.talk.handle(self.event(6, 5, "#lobby", self.ben.session, 3, "left"))
        self.talk.handle(again)
        self.assertEqual([cbor.decode(m)[1:4] for m in self.talk.outgoing],
                         [[1, "#lobby", 3], [2, "#lobby", 3]])  # fmt: skip
        self.talk.outgoing.clear()
        for message in (again, again):
            self.talk.handle(message)
        self.assertEqual(len(self.talk.outgoing), 2)
        self.talk.outgoing.clear()
        for message in (again, again):  # the second for the same n, and nobody came or went
            self.talk.handle(message)
        self.assertEqual(self.talk.outgoing, [])
        now[0] = 0.21
        self.talk.pump()
        self.assertEqual(len(self.talk.outgoing), 2)
        self.assert_leaves([shapes.ERROR, "wait", "", 2])


if __name__ == "__main__":
    unittest.main()
