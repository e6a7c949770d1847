"""What a server must not do (PROTOCOL.md §6 and §7), and what the client then does."""

from __future__ import annotations

import time
import unittest
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from cfbchat import cbor, credential, shapes, texts
from cfbchat.conversation import Conversation
from cfbchat.credential import OwnCredential
from cfbchat.guests import Member
from cfbchat.numbered import Say
from cfbchat.rooms import Room
from cfbchat.sender_keys import SenderKey
from cfbchat.speaker import Speaker
from cfbchat.texts import Text
from cfbchat.violation import Violation
from mischief import MischievousServer
from people import flipped, user
from processes import OTHER, WAIT_SECONDS, Child, other_client, python_client
from table import SERVER

IRA, BEN, EVA, STRANGER = 7, 3, 300, 99  # the numbers by which the server names them


class FromTheServer(unittest.TestCase):
    """What a server, and Ben behind it, say to Ira."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.own = user("Ira")
        self.ben = user("Ben")
        self.shown: list[dict] = []
        self.talk = Conversation(
            self.own, "Ira", "#lobby", SERVER, Path(folder.name), self.shown.append
        )
        self.talk.join()

    def person(self, own: OwnCredential, number: int) -> list:
        return [shapes.PERSON, number, own.identity.spki, own.credential, own.signature]

    def welcome(
        self, *numbers: int, change: int = 2, cursor: int = 5, resumed: int = 0, own: int = IRA
    ) -> list:
        return [shapes.WELCOME, "#lobby", list(numbers), change, resumed, cursor, 1, "", 4096, own]

    def let_in(self) -> None:
        self.talk.handle(self.person(self.ben, BEN))
        self.talk.handle(self.welcome(BEN, IRA))

    def event(self, cursor: int, *event: cbor.Value) -> list:
        return [shapes.EVENT, cursor, 1, list(event)]

    def assert_leaves(self, message: list) -> None:
        with self.assertRaises(Violation):
            self.talk.handle(message)


class AgainstTheClient(FromTheServer):
    """A server that breaks a rule of §6 is left."""

    def test_before_welcome(self) -> None:
        both = (BEN, IRA)
        for message in (
            self.welcome(*both), self.welcome(), self.welcome(IRA, IRA),
            self.welcome(IRA, resumed=1), self.welcome(IRA, change=0),
            self.welcome(IRA, cursor=0), [shapes.WELCOME, "#lobby"],
            [shapes.PONG], [shapes.ACCEPTED, 1], [shapes.ERROR, "refused", "", 1],
            [shapes.FOUND, "Ben", b""], self.event(1, 4, "#lobby", IRA, 1),
        ):  # fmt: skip
            self.setUp()
            self.assert_leaves(message)

    def test_after_welcome(self) -> None:
        for message in (
            self.welcome(IRA, cursor=9),
            self.event(5, 6, "the cursor does not grow"),
            self.event(6, 1, "#lobby", STRANGER, 2, b"x"),
            self.event(6, 4, "#lobby", STRANGER, 3),
            self.event(6, 2, STRANGER, b""),
            self.event(6, 4, "#lobby", BEN, 3),
            self.event(6, 5, "#lobby", BEN, 4, "left"),
            self.event(6, 5, "#lobby", BEN, 2, "left"),
            self.event(6, 5, "#lobby", IRA, 3, "left"),
            self.event(6, 1, "#lobby"), self.event(6, "1"), self.event(6),
            [shapes.ERROR, "refused", "", 0],
        ):  # fmt: skip
            self.setUp()
            self.let_in()
            with self.subTest(message):
                self.assert_leaves(message)

    def test_numbers_before_welcome(self) -> None:
        """A number is one session's, and a session has one; nobody has 0; oneself has one, too."""
        eva = user("Eva")
        cases: list[Callable[[], tuple[list, ...]]] = [
            lambda: (self.person(self.ben, 0),),
            lambda: (self.person(eva, BEN),),
            lambda: (self.person(eva, EVA), self.welcome(BEN, 0, IRA, change=3)),
            lambda: (self.person(eva, EVA), self.welcome(BEN, STRANGER, IRA, change=3)),
            lambda: (self.person(eva, EVA), self.welcome(BEN, BEN, IRA, change=3)),
            lambda: (self.welcome(BEN, IRA, own=BEN),),
            lambda: (self.welcome(BEN, IRA, own=STRANGER),),
            lambda: (self.welcome(BEN, IRA, own=0),),
            lambda: (self.person(self.own, STRANGER), self.welcome(BEN, IRA)),
            lambda: (self.person(self.ben, EVA), self.welcome(BEN, IRA)),  # the later one counts
        ]
        for number, case in enumerate(cases):
            self.setUp()
            self.talk.handle(self.person(self.ben, BEN))
            with self.subTest(number):
                *before, last = case()
                for message in before:
                    self.talk.handle(message)
                self.assert_leaves(last)

    def test_numbers_after_welcome(self) -> None:
        eva = user("Eva")
        cases: list[Callable[[], list]] = [
            lambda: self.person(eva, BEN), lambda: self.person(eva, IRA), lambda: self.person(eva, 0),
            lambda: self.person(self.ben, EVA), lambda: self.person(self.own, EVA),
            lambda: self.event(6, 2, 0, b""),
        ]  # fmt: skip
        for number, case in enumerate(cases):
            self.setUp()
            self.let_in()
            with self.subTest(number):
                self.assert_leaves(case())

    def test_numbers_that_may_come(self) -> None:
        self.let_in()
        eva = user("Eva")
        for message in (
            self.person(self.ben, BEN), self.person(self.own, IRA), self.person(eva, EVA),
            self.event(6, 4, "#lobby", EVA, 3), self.event(7, 5, "#lobby", EVA, 4, "left"),
            self.person(eva, STRANGER), self.event(8, 4, "#lobby", STRANGER, 5),
        ):  # fmt: skip
            self.talk.handle(message)
        self.assertEqual([line["joined"] for line in self.shown if "joined" in line], ["Eva", "Eva"])
        self.assert_leaves(self.event(9, 5, "#lobby", EVA, 6, "left"))

    def test_numbers_that_were_told_for_nothing(self) -> None:
        """After a power cut a server may give them to others: they are forgotten with the connection."""
        eva, tom = user("Eva"), user("Tom")
        for came in (False, True):
            with self.subTest(came=came):
                self.setUp()
                self.let_in()
                self.talk.handle(self.person(eva, EVA))
                if came:
                    self.talk.handle(self.event(6, 4, "#lobby", EVA, 3))
                self.talk.lost()
                self.talk.join()
                cursor = self.talk.cursor
                self.talk.handle([shapes.WELCOME, "#lobby", [], 0, 1, cursor, 9, "", 4096, IRA])
                if came:
                    self.assert_leaves(self.person(tom, EVA))
                    continue
                self.talk.handle(self.person(tom, EVA))
                self.talk.handle(self.event(cursor + 1, 4, "#lobby", EVA, 3))
                self.assertEqual(self.shown[-1]["joined"], "Tom")

    def test_what_is_passed_over(self) -> None:
        self.let_in()
        self.talk.handle([99, "unknown"])
        self.talk.handle(self.event(6, 77, "unknown"))
        self.assertEqual(self.talk.cursor, 6)
        notice = self.event(7, 6, "Hi", "an extra field")
        self.talk.handle(notice + ["an extra field"])
        self.assertEqual(self.shown[-1], {"notice": "Hi"})
        self.talk.handle(self.event(8, 1, "#lobby", BEN, 2, b"\xff"))
        self.assertIn("message_refused", self.shown[-1])

    def test_a_refused_person_is_shown_as_refused(self) -> None:
        spoiled = self.person(self.ben, BEN)
        spoiled[4] = bytes(256)
        self.talk.handle(spoiled)
        self.talk.handle(self.welcome(BEN, IRA))
        self.assertTrue(self.shown[-1]["welcome"]["members"][0].startswith("refused "))
        self.talk.handle(self.event(6, 1, "#lobby", BEN, 2, b"Hi"))
        self.assertFalse(any("said" in line for line in self.shown))

    def test_again_and_wait(self) -> None:
        now = [0.0]
        self.talk.clock = lambda: now[0]
        self.let_in()
        for text in ("one", "two"):
            self.talk.say(text)
        self.assertEqual([cbor.decode(m)[:2] for m in self.talk.outgoing[1:]],
                         [[shapes.SHARE, 1], [shapes.SAY, 2], [shapes.SAY, 3]])  # fmt: skip
        self.talk.outgoing.clear()
        self.talk.handle([shapes.ACCEPTED, 1])
        again = [shapes.ERROR, "again", "", 2]
        self.talk.handle(again)
        self.assertEqual(self.talk.outgoing, [])
        self.talk.handle(self.event(6, 5, "#lobby", BEN, 3, "left"))
        self.talk.handle(again)
        self.assertEqual([cbor.decode(m)[1:4] for m in self.talk.outgoing],
                         [[2, "#lobby", 3], [3, "#lobby", 3]])  # fmt: skip
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
        self.assert_leaves([shapes.ERROR, "wait", "", 3])


class AgainstTheResuming(FromTheServer):
    """What a server must not answer to a client that comes back (§8)."""

    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        self.talk.clock = lambda: self.now
        self.let_in()
        self.talk.handle(self.event(7, 6, "a notice"))
        self.talk.say("Hi")
        self.sent = self.talk.outgoing[1:]
        self.come_back()

    def come_back(self, *more: list[cbor.Value]) -> None:
        self.talk.join()
        self.assertEqual([cbor.decode(message) for message in self.talk.outgoing],
                         [[shapes.JOIN, "#lobby", "", self.talk.cursor], *more])  # fmt: skip
        self.talk.outgoing.clear()

    def resumed(self, **other: cbor.Value) -> list:
        fields = {"room": "#lobby", "numbers": [], "change": 0, "resumed": 1, "cursor": 7, "at": 9,
                  "notice": "", "longest": 4096, "own": IRA}  # fmt: skip
        return [shapes.WELCOME, *{**fields, **other}.values()]

    def test_resumed_as_asked(self) -> None:
        self.talk.handle(self.resumed())
        self.assertEqual(self.talk.outgoing[:2], self.sent)
        self.assertEqual(cbor.decode(self.talk.outgoing[2]), [shapes.SEEN, 7])
        self.talk.handle(self.event(8, 4, "#lobby", BEN, 3)[:3] + [[6, "next"]])
        self.assertEqual(self.shown[-1], {"notice": "next"})

    def test_other_fields(self) -> None:
        for other in (
            {"room": "#other"}, {"numbers": [IRA]}, {"own": BEN}, {"own": EVA}, {"change": 2}, {"cursor": 6},
            {"cursor": 8}, {"resumed": 2}, {"resumed": 0},
        ):  # fmt: skip
            with self.subTest(other):
                self.setUp()
                self.assert_leaves(self.resumed(**other))
        self.setUp()
        self.assert_leaves(self.welcome(BEN, IRA, cursor=8))

    def test_before_the_welcome(self) -> None:
        for message in (
            self.event(8, 6, "early"), [shapes.ACCEPTED, 1], [shapes.ERROR, "refused", "", 1],
            [shapes.ERROR, "again", "", 1], [shapes.PONG],
        ):  # fmt: skip
            with self.subTest(message):
                self.setUp()
                self.assert_leaves(message)

    def test_twice(self) -> None:
        self.talk.handle(self.resumed())
        self.assert_leaves(self.resumed())

    def test_after_the_welcome(self) -> None:
        for message in (
            self.event(7, 6, "had before"), [shapes.ACCEPTED, 2],
            self.event(8, 1, "#lobby", STRANGER, 2, b"x"),
        ):  # fmt: skip
            with self.subTest(message):
                self.setUp()
                self.talk.handle(self.resumed())
                self.assert_leaves(message)

    def test_refused(self) -> None:
        self.talk.handle([shapes.ERROR, "refused", "", 0])
        self.assertTrue(self.talk.begins_anew())

    def test_the_time_of_the_welcome_is_no_events(self) -> None:
        self.talk.handle(self.resumed(at=10**15))
        self.talk.handle([shapes.EVENT, 8, 5, [6, "later"]])
        self.assertEqual(self.talk.last_at, 5)
        self.talk.handle([shapes.EVENT, 9, 4, [6, "goes back"]])
        self.assertEqual(self.talk.last_at, 5)

    def test_a_leave_that_is_sent_again(self) -> None:
        """Behind all that was missed, unless the left event is in that; refused is no fault."""
        refused: list[cbor.Value] = [shapes.ERROR, "refused", "", 0]
        for comes in ("before", "again", "refused"):
            with self.subTest(comes):
                self.setUp()
                self.talk.handle(self.resumed())
                for n in (1, 2):
                    self.talk.handle([shapes.ACCEPTED, n])
                self.talk.leave()
                self.come_back([shapes.PING])
                self.talk.handle(self.resumed())
                left = self.event(8, 5, "#lobby", IRA, 3, "left")
                if comes == "before":
                    self.talk.handle(left)
                self.talk.handle([shapes.PONG])
                sent = [cbor.decode(m) for m in self.talk.outgoing]
                again = [shapes.LEAVE, "#lobby"]
                self.assertEqual(sent, [[shapes.SEEN, 7]] + [again] * (comes != "before"))
                if comes != "before":
                    self.talk.handle(left if comes == "again" else refused)
                self.talk.pump()
                self.assertEqual(len(self.talk.outgoing), len(sent))
                self.assert_leaves(refused)

    def test_lost_and_back(self) -> None:
        self.talk.handle(self.resumed())
        for cursor, lost, key in ((8, 1, "absent"), (9, 0, "back")):
            self.talk.handle(self.event(cursor, 8, BEN, lost))
            self.assertEqual(self.shown[-1], {key: "Ben"})
        self.assert_leaves(self.event(10, 8, STRANGER, 1))

    def test_seen(self) -> None:
        """At the latest 20 s after an event; at once after a letter; after each loss."""
        self.talk.handle(self.resumed())
        self.talk.outgoing.clear()
        self.talk.handle(self.event(8, 77, "unknown"))
        self.assertEqual(self.talk.outgoing, [])
        self.assertLess(self.talk.patience(), 1)
        self.now += 0.9
        self.talk.pump()
        self.assertEqual([cbor.decode(m) for m in self.talk.outgoing], [[shapes.SEEN, 8]])
        self.talk.outgoing.clear()
        self.talk.handle(self.event(9, 7, b"no letter"))
        self.assertEqual([cbor.decode(m) for m in self.talk.outgoing], [[shapes.SEEN, 9]])

    def test_a_letter_that_cannot_be_noted_is_not_seen(self) -> None:
        self.talk.handle(self.resumed())
        self.talk.outgoing.clear()
        letter = Speaker(self.ben, "Ben", SERVER).letter(
            self.own.identity.spki, Text(self.talk.now(), texts.TEXT, "Hi")
        )
        with mock.patch("cfbchat.durable.append_line", side_effect=OSError("full")):
            self.talk.handle(self.event(8, 7, letter))
        self.talk.handle(self.event(9, 6, "later"))
        self.now += 2
        self.talk.pump()
        self.assertEqual(self.talk.outgoing, [])
        self.assertFalse(any("letter" in line for line in self.shown))


class AgainstTheReader(FromTheServer):
    """A server, or another member, that breaks a rule of §7; nothing of it is shown as said."""

    def setUp(self) -> None:
        super().setUp()
        self.let_in()
        self.eva = user("Eva")
        self.speaker = Speaker(self.ben, "Ben", SERVER)
        self.room = Room.entered("#lobby", [self.ben.session, self.own.session], 2, 1)
        self.me = credential.check(
            "user", self.own.identity.spki, self.own.credential, self.own.signature
        )
        self.cursor = 10

    def give(self, *event: cbor.Value, at: int = 1) -> None:
        self.cursor += 1
        self.talk.handle([shapes.EVENT, self.cursor, at, list(event)])

    def share(self) -> None:
        """Ben's key comes."""
        shares = self.speaker.shares_before(self.room, [self.me], 0)
        assert shares
        self.give(shapes.SHARED, BEN, shares[0].boxes[0][1])

    def envelope(self, text: str, change: int | None = None) -> bytes:
        """The next that Ben says, in the roster as it is or was."""
        say = Say("#lobby", Text(1, texts.TEXT, text))
        room = self.room if change is None else replace(self.room, change=change)
        envelope = self.speaker.envelope(say, room, 0)
        self.speaker.answered("#lobby", accepted=True)
        return envelope

    def said(self, envelope: bytes, change: int = 2, at: int = 1) -> None:
        self.give(shapes.SAID, "#lobby", BEN, change, envelope, at=at)

    def heard(self) -> list[str]:
        return [line["said"]["text"] for line in self.shown if "said" in line]

    def assert_refused(self, how: str = "message_refused") -> None:
        self.assertIn(how, self.shown[-1])

    def test_a_message_repeated(self) -> None:
        self.share()
        envelope = self.envelope("Hi")
        for _ in range(3):
            self.said(envelope)
        self.assertEqual(self.heard(), ["Hi"])
        self.assert_refused("passed_over")

    def test_messages_in_another_order(self) -> None:
        self.share()
        one, two = self.envelope("one"), self.envelope("two")
        self.said(two)
        self.said(one)
        self.assertEqual(self.heard(), ["two"])
        self.assertEqual([line["missing"] for line in self.shown if "missing" in line], [1])

    def test_a_message_for_other_members(self) -> None:
        """Ben was shown somebody who is hidden from this client."""
        self.share()
        self.room.members.append(bytes(32))
        self.said(self.envelope("Hi"))
        self.assertEqual(self.heard(), [])
        self.assert_refused()

    def test_a_message_of_another_change(self) -> None:
        self.share()
        self.said(self.envelope("Hi", change=3), change=3)
        self.assert_refused()
        self.said(self.envelope("Hi", change=1), change=2)
        self.assert_refused()
        self.assertEqual(self.heard(), [])

    def test_a_message_kept_back(self) -> None:
        self.share()
        in_time, late = self.envelope("in time"), self.envelope("late")
        self.talk.handle(self.person(self.eva, EVA))
        self.give(shapes.JOINED, "#lobby", EVA, 3, at=1000)
        self.said(in_time, at=66_000)
        self.said(late, at=66_001)
        self.assertEqual(self.heard(), ["in time"])
        self.assert_refused()

    def test_from_before_this_client_came(self) -> None:
        """Passed over for a minute, as long as its sender has not shared a key."""
        early = self.envelope_of_stranger(change=1)
        self.said(early, change=1, at=60_001)
        self.assert_refused("passed_over")
        self.said(early, change=1, at=60_002)
        self.assert_refused()
        self.share()
        self.said(early, change=1, at=1)
        self.assert_refused()

    def test_a_key_that_was_never_shared(self) -> None:
        self.said(self.envelope_of_stranger(change=2))
        self.assert_refused("unreadable")

    def envelope_of_stranger(self, change: int) -> bytes:
        """Ben's, with a key nobody has."""
        other = Speaker(self.ben, "Ben", SERVER)
        other.shares_before(self.room, [], 0)
        say = Say("#lobby", Text(1, texts.TEXT, "Hi"))
        return other.envelope(say, replace(self.room, change=change), 0)

    def test_too_many_steps(self) -> None:
        self.share()
        for _ in range(1001):
            self.speaker.answered("#lobby", accepted=True)
        self.said(self.envelope("too far"))
        self.assert_refused()
        self.speaker.entered("#lobby")
        self.share()
        self.said(self.envelope("with a new key"))
        self.assertEqual(self.heard(), ["with a new key"])
        self.assertIn({"missing": 1002, "from": "Ben", "of": "said"}, self.shown)

    def test_an_older_key_again(self) -> None:
        """A key box comes once; a new box with the older key is of no use."""
        self.share()
        self.said(self.envelope("one"))
        key = self.speaker.keys["#lobby"].key
        assert key
        older = replace(key, counter=0)
        box = self.speaker.box("key", self.me, older.to_text())
        self.give(shapes.SHARED, BEN, box)
        self.assert_refused("passed_over")
        self.said(self.envelope("two"))
        self.assertEqual(self.heard(), ["one", "two"])

    def test_keys_for_what_is_no_room_of_ours(self) -> None:
        for text in (SenderKey.fresh("#elsewhere", 0).to_text(), b"", b"\x80"):
            box = self.speaker.box("key", self.me, text)
            self.give(shapes.SHARED, BEN, box)
            self.assert_refused()

    def test_a_key_from_somebody_who_has_left(self) -> None:
        box = self.speaker.box("key", self.me, SenderKey.fresh("#lobby", 0).to_text())
        self.give(shapes.LEFT, "#lobby", BEN, 3, "left")
        self.give(shapes.SHARED, BEN, box)
        self.assert_refused()

    def test_the_own_person(self) -> None:
        """It does not come; if it does, nothing is shared with oneself."""
        self.talk.handle(self.person(self.own, IRA))
        self.talk.say("Hi")
        share = cbor.decode(self.talk.outgoing[-2])
        self.assertEqual([number for number, _ in share[2]], [BEN])

    def test_a_key_is_no_whisper(self) -> None:
        padded = texts.pad(Text(1, texts.TEXT, "Hi"))
        for purpose, kind in (("whisper", shapes.SHARED), ("key", shapes.WHISPERED)):
            self.give(kind, BEN, self.speaker.box(purpose, self.me, padded))
            self.assert_refused()
        self.give(shapes.WHISPERED, BEN, self.speaker.box("whisper", self.me, b"Hi"))
        self.assert_refused("unreadable")

    def test_a_whisper_in_anothers_name(self) -> None:
        self.talk.handle(self.person(self.eva, EVA))
        padded = texts.pad(Text(1, texts.TEXT, "Hi"))
        box = self.speaker.box("whisper", self.me, padded)
        self.give(shapes.WHISPERED, EVA, box)
        self.assert_refused()
        self.give(shapes.WHISPERED, BEN, box)
        self.assertEqual(self.shown[-1]["whispered"]["from"], "Ben")

    def test_answers_to_lookups(self) -> None:
        for message in ([shapes.FOUND, "Ben", self.ben.identity.spki], [shapes.ACCEPTED, 1]):
            with self.subTest(message):
                self.setUp()
                self.talk.write_letter("Eva", "Hi")
                self.assert_leaves(message)
        self.setUp()
        self.talk.write_letter("Eva", "Hi")
        self.talk.handle([shapes.FOUND, "Eva", b"no key"])
        self.assertIn("error", self.shown[-1])
        self.talk.write_letter("Ben", "Hi")
        self.talk.handle([shapes.FOUND, "Ben", self.eva.identity.spki])
        self.assertIn("another fingerprint", self.shown[-1]["error"])

    def test_a_clock_that_is_wrong(self) -> None:
        self.share()
        self.said(self.envelope("Hi"), at=5 * 60 * 1000 + 2)
        self.assertTrue(self.shown[-1]["said"]["clocks_apart"])


class WronglyResumed(unittest.TestCase):
    """Our client's program, whose server answers a resuming Join with something else (§8)."""

    broke_the_protocol = 1

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.server = MischievousServer()
        self.addCleanup(self.server.end)

    def start(self, name: str) -> Child:
        child = python_client(self.server.port, name, self.folder / name)
        self.addCleanup(child.end)
        child.await_json(welcome=None)
        return child

    def test_it_ends(self) -> None:
        """And begins nothing anew: nobody sees it come back."""
        changes: list[tuple[int, cbor.Value]] = [
            (1, "#other"), (2, [1]), (3, 1), (4, 0), (5, 10_000), (5, 0), (9, 1000), (9, 0)
        ]  # fmt: skip
        for number, (changed, value) in enumerate(changes):
            with self.subTest(changed=changed, value=value):
                name = f"Ben{number}"
                ben = self.start(name)
                own = self.server.chat.present[name].session
                self.server.chat.alter_welcome = lambda message: [
                    *message[:changed], value, *message[changed + 1 :]
                ]  # fmt: skip
                self.server.cut(name)
                self.assertEqual(ben.await_exit(), self.broke_the_protocol, ben.story())
                self.assertEqual(self.server.chat.present[name].session, own)

    def test_it_is_resumed_as_asked(self) -> None:
        """The same without mischief."""
        ben = self.start("Ben")
        own = self.server.chat.present["Ben"].session
        for _ in range(3):
            guest = self.server.chat.present["Ben"].guest
            self.server.cut("Ben")
            deadline = time.monotonic() + WAIT_SECONDS
            while self.server.chat.present["Ben"].guest in (None, guest):
                self.assertLess(time.monotonic(), deadline, ben.story())
                time.sleep(0.02)
        self.assertEqual(self.server.chat.present["Ben"].session, own)


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class WronglyResumedOther(WronglyResumed):
    broke_the_protocol = 8

    def start(self, name: str) -> Child:
        child = other_client(self.server.port, name, self.folder / name, "--bits", "2048")
        self.addCleanup(child.end)
        child.await_line(lambda line: "start to exchange" in line, "that it is in")
        return child


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class AgainstTheOtherClient(unittest.TestCase):
    """The other implementation's clients, and between them a server that cheats."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.server = MischievousServer()
        self.addCleanup(self.server.end)
        self.ira, self.ben = self.start("Ira"), self.start("Ben")
        self.await_shown(self.ira, "[+] Ben joined the room.")

    def start(self, name: str) -> Child:
        child = other_client(self.server.port, name, self.folder / name, "--bits", "2048")
        self.addCleanup(child.end)
        child.await_line(lambda line: "start to exchange" in line, "that it is in")
        return child

    def await_shown(self, child: Child, line: str) -> None:
        child.await_line(lambda shown: shown.endswith(line), line)

    @contextmanager
    def warned(self, child: Child, words: str) -> Iterator[None]:
        """Meanwhile, or soon after, `child` says this on stderr."""
        before = len("".join(child.errors))
        yield
        child.await_error(lambda told: words in told[before:], words)

    def shown(self, child: Child) -> list[str]:
        """What people have said, whispered and written, without the time."""
        return [line[20:] for line in child.seen if line[:2] == "20"]

    def alter(self, kind: int, instead: Callable[[list], list[list]]) -> None:
        """From now on, for Ben, events of this kind are replaced by what `instead` gives."""

        def alter(member: Member, event: list) -> list[list]:
            altered = member.person.name == "Ben" and event[0] == kind
            return instead(event) if altered else [event]

        self.server.chat.alter = alter

    def be_honest(self) -> None:
        self.server.chat.alter = lambda member, event: [event]

    def test_repeated_messages_are_shown_once(self) -> None:
        for kind, write, come in (
            (shapes.SAID, "{}", "Ira: {}"),
            (shapes.WHISPERED, "/whisper Ben {}", "[whisper from Ira] {}"),
        ):
            self.alter(kind, lambda event: [event, event])
            for text in ("one", "two"):
                self.ira.write(write.format(text))
                self.await_shown(self.ben, come.format(text))
        said = ["Ira: one", "Ira: two", "[whisper from Ira] one", "[whisper from Ira] two"]
        self.be_honest()
        self.ira.write("end")
        self.await_shown(self.ben, "Ira: end")
        self.assertEqual(self.shown(self.ben), [*said, "Ira: end"])

    def test_dropped_messages_show(self) -> None:
        for text in ("one", "/whisper Ben one"):
            self.ira.write(text)
        self.await_shown(self.ben, "[whisper from Ira] one")
        self.alter(shapes.SAID, lambda event: [])
        for text in ("two", "three", "/whisper Ben two"):
            self.ira.write(text)
        self.await_shown(self.ben, "[whisper from Ira] two")
        self.alter(shapes.WHISPERED, lambda event: [])
        with self.warned(self.ben, "2 messages from Ira are missing"):
            for text in ("/whisper Ben three", "four"):
                self.ira.write(text)
            self.await_shown(self.ben, "Ira: four")
        self.be_honest()
        with self.warned(self.ben, "missing"):
            self.ira.write("/whisper Ben four")
            self.await_shown(self.ben, "[whisper from Ira] four")

    def test_boxes_behind_a_message_that_is_sent_again(self) -> None:
        """The new key for Ben must not overtake a whisper to him that was sent before."""
        tom = self.start("Tom")
        for child in (self.ira, self.ben):
            self.await_shown(child, "[+] Tom joined the room.")
        self.ira.write("one")
        for child in (self.ben, tom):
            self.await_shown(child, "Ira: one")
        self.server.chat.deaf_to = "Ira"
        self.ira.write("two")
        self.ira.write("/whisper Ben psst")
        self.await_unheard(2)
        tom.write("EXIT")
        self.await_shown(self.ira, "[+] Tom left the room.")
        self.server.chat.hear_again()
        self.ira.write("three")
        self.await_shown(self.ben, "Ira: three")
        self.assertEqual(
            sorted(self.shown(self.ben)),
            ["Ira: one", "Ira: three", "Ira: two", "[whisper from Ira] psst"],
        )
        self.assertNotIn("missing", "".join(self.ben.errors))

    def await_unheard(self, count: int) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.server.chat.unheard) < count:
            self.assertLess(time.monotonic(), deadline, self.ira.story())
            time.sleep(0.02)

    def test_changed_messages_are_not_shown(self) -> None:
        self.ira.write("one")
        self.await_shown(self.ben, "Ira: one")
        for kind, write in ((shapes.SAID, "changed"), (shapes.WHISPERED, "/whisper Ben changed")):
            self.alter(kind, lambda event: [[*event[:-1], flipped(event[-1], 60)]])
            with self.warned(self.ben, "Ira"):
                self.ira.write(write)
        self.be_honest()
        self.ira.write("two")
        self.await_shown(self.ben, "Ira: two")
        self.assertEqual(self.shown(self.ben), ["Ira: one", "Ira: two"])

    def test_messages_in_anothers_name(self) -> None:
        eva = self.start("Eva")
        for child in (self.ira, self.ben):
            self.await_shown(child, "[+] Eva joined the room.")
        number = self.server.chat.present["Eva"].number
        eva.write("Hi")
        self.await_shown(self.ben, "Eva: Hi")
        self.alter(shapes.SAID, lambda event: [[*event[:2], number, *event[3:]]])
        with self.warned(self.ben, "Eva"):
            self.ira.write("I am Eva")
        self.alter(shapes.WHISPERED, lambda event: [[event[0], number, event[2]]])
        with self.warned(self.ben, "Eva"):
            self.ira.write("/whisper Ben I am Eva")
        self.be_honest()
        eva.write("I am not")
        self.await_shown(self.ben, "Eva: I am not")
        self.assertNotIn("I am Eva", " ".join(self.shown(self.ben)))

    def test_a_hidden_member(self) -> None:
        """Whose coming is hidden is not shared with, or the next change tells."""
        self.alter(shapes.JOINED, lambda event: [])
        self.start("Eva")
        self.await_shown(self.ira, "[+] Eva joined the room.")
        self.ira.write("Hi")
        self.be_honest()
        self.start("Tom")
        self.assertEqual(self.ben.await_exit(), 8)
        self.assertNotIn("Ira: Hi", self.shown(self.ben))

    def test_a_letter_comes_twice(self) -> None:
        self.server.chat.mailbox.seen = lambda member, cursor: None  # type: ignore[method-assign]
        self.ben.write("EXIT")
        self.assertEqual(self.ben.await_exit(), 0)
        self.ira.write("/whisper Ben come back")
        self.await_shown(self.ira, "[letter to Ben, without forward secrecy] come back")
        self.ben = self.start("Ben")
        self.await_shown(self.ben, "[letter from Ira, without forward secrecy] come back")
        self.ben.write("EXIT")
        self.assertEqual(self.ben.await_exit(), 0)
        self.ben = self.start("Ben")
        for _ in range(2):  # what she says before she has seen him come is not for him
            self.await_shown(self.ira, "[+] Ben joined the room.")
        self.ira.write("Hi")
        self.await_shown(self.ben, "Ira: Hi")
        self.assertEqual(self.shown(self.ben), ["Ira: Hi"])

    def test_a_false_key_for_a_letter(self) -> None:
        """Ben is known to Ira: the server's other key for him is not written to."""
        self.ben.write("EXIT")
        self.assertEqual(self.ben.await_exit(), 0)
        self.await_shown(self.ira, "[+] Ben left the room.")
        known = self.server.chat.registry.find("Ben")
        assert known
        known.spkis = OrderedDict({b"": user("Eva").identity.spki})
        with self.warned(self.ira, "Ben"):
            self.ira.write("/whisper Ben for your eyes only")
        self.assertEqual(self.server.chat.mailbox.letters, [])


if __name__ == "__main__":
    unittest.main()
