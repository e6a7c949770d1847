"""Connections that are cut and made again, message by message on a socket (PROTOCOL.md §8)."""

from __future__ import annotations

import time
import unittest
from dataclasses import dataclass, field
from pathlib import Path

from cfbchat import cbor, shapes
from cfbchat.connection import RecordLink, after
from cfbchat.credential import OwnCredential
from people import user
from processes import OTHER, other_server, python_server
from test_against_server import NOBODY, SECONDS, AtTheServer, openly

WINDOW = 5.0


@dataclass
class Raw:
    """A session whose messages the test writes by hand."""

    own: OwnCredential
    records: RecordLink
    room: str
    cursor: int = 0
    change: int = 0
    number: int = 0
    came: list[list] = field(default_factory=list)

    def events(self, kind: int) -> list[list]:
        return [m for m in self.came if m[0] == shapes.EVENT and m[3][0] == kind]


class Resuming(AtTheServer):
    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = python_server(keys, WINDOW)
        cls.port = cls.server.await_json(listening=None)["listening"]

    def enter(self, name: str, room: str, own: OwnCredential | None = None) -> Raw:
        own = own or user(name)
        raw = Raw(own, self.records(own=own), room)
        self.say(raw.records, [shapes.JOIN, room, "", 0])
        welcome = self.read_to(raw, shapes.WELCOME)
        self.assertEqual(welcome[4], 0)
        raw.change, raw.number = welcome[3], welcome[9]
        # What waits for its reader may have come in the same record.
        raw.cursor = max([welcome[5], *(m[1] for m in raw.came if m[0] == shapes.EVENT)])
        return raw

    def read_to(self, raw: Raw, kind: int, event: int | None = None) -> list:
        """The next message of this kind, or event; what comes with it is kept, and all before."""
        deadline = after(SECONDS)
        while True:
            found = None
            for message in raw.records.read(deadline):
                raw.came.append(message)
                if message[0] == shapes.EVENT and raw.cursor:
                    self.assertGreater(message[1], raw.cursor)
                    raw.cursor = message[1]
                if message[0] == kind and (event is None or message[3][0] == event):
                    found = found or message
            if found:
                return found

    def settle(self, raw: Raw) -> None:
        """Until all that was sent is taken in; what is counted may be answered later."""
        self.say(raw.records, [shapes.PING])
        self.read_to(raw, shapes.PONG)

    def cut(self, raw: Raw) -> None:
        raw.records.link.sock.close()

    def ask(self, raw: Raw, cursor: int | None = None, room: str | None = None) -> RecordLink:
        records = self.records(own=raw.own)
        self.say(records, [shapes.JOIN, room or raw.room, "", raw.cursor if cursor is None else cursor])
        return records

    def resume(self, raw: Raw) -> list:
        """The Welcome of another connection; it must be the first that comes."""
        raw.records, raw.came = self.ask(raw), []
        asked = int(time.time() * 1000)
        self.read_to(raw, shapes.WELCOME)
        welcome = raw.came[0]
        self.assertEqual(welcome[:5], [shapes.WELCOME, raw.room, [], 0, 1])
        self.assertLess(abs(welcome[6] - asked), 5000)
        return welcome

    def assert_refused(self, raw: Raw, cursor: int | None = None, room: str | None = None) -> None:
        records = self.ask(raw, cursor, room)
        self.assert_answers(records, [shapes.ERROR, "refused", 0])
        self.assert_closed(records.link)

    def two(self, room: str) -> tuple[Raw, Raw]:
        ira, ben = self.enter("Ira" + room[1:], room), self.enter("Ben" + room[1:], room)
        self.read_to(ira, shapes.EVENT, shapes.JOINED)
        ira.change = ben.change
        return ira, ben

    def test_what_was_missed_comes_as_it_came_to_others(self) -> None:
        ira, ben = self.two("#missed")
        eva = self.enter("Eva", "#missed")
        self.read_to(ben, shapes.EVENT, shapes.JOINED)
        cursor = ben.cursor
        self.cut(ben)
        self.say(ira.records, [shapes.SAY, 1, "#missed", 3, b"one"], [shapes.SAY, 2, "#missed", 3, b"two"],
                 [shapes.WHISPER, 3, ben.number, b"psst"])  # fmt: skip
        self.settle(ira)
        tom = self.enter("Tom", "#missed")
        self.say(tom.records, [shapes.LEAVE, "#missed"])
        self.read_to(tom, shapes.BYE)
        self.settle(eva)
        self.assertEqual(self.resume(ben)[5], cursor)
        self.settle(ben)
        self.assertEqual([m[0] for m in ben.came[1:-1] if m[0] != shapes.PERSON], [shapes.EVENT] * 5)
        kinds = [m[3][0] for m in ben.came if m[0] == shapes.EVENT]
        self.assertEqual(kinds, [shapes.SAID, shapes.SAID, shapes.WHISPERED, shapes.JOINED, shapes.LEFT])
        for kind in (shapes.SAID, shapes.JOINED, shapes.LEFT):
            self.assertEqual(ben.events(kind), eva.events(kind)[-len(ben.events(kind)) :])
        joined = ben.came.index(ben.events(shapes.JOINED)[0])
        self.assertIn(tom.own.credential, [m[3] for m in ben.came[:joined] if m[0] == shapes.PERSON])
        self.cut(ben)
        ben.cursor, again = cursor, [m for m in ben.came if m[0] == shapes.EVENT]
        self.resume(ben)
        self.settle(ben)
        self.assertEqual([m for m in ben.came if m[0] == shapes.EVENT], again)

    def test_in_a_room_it_was_in_at_that_cursor(self) -> None:
        """The last room its client knows of may be one it has left since; not one it left before."""
        ira, ben = self.two("#was")
        self.say(ben.records, [shapes.JOIN, "#is", "", 0])
        ben.cursor = self.read_to(ben, shapes.WELCOME)[5]
        before = ben.cursor
        self.say(ben.records, [shapes.LEAVE, "#was"])
        self.read_to(ira, shapes.EVENT, shapes.LEFT)
        self.cut(ben)
        self.assert_refused(ben, before, "#never")
        ben.room, ben.cursor = "#was", before
        self.resume(ben)
        self.settle(ben)
        (left,) = ben.events(shapes.LEFT)
        self.assertEqual(left[3][1:3] + left[3][4:], ["#was", ben.number, "left"])
        self.cut(ben)
        self.assert_refused(ben, None, "#was")
        ben.room = "#is"
        self.resume(ben)

    def test_answers_are_those_of_the_first_time(self) -> None:
        ira, ben = self.two("#answers")
        error, room = shapes.ERROR, "#answers"
        first: list[cbor.Value] = [
            [shapes.SAY, 1, room, 2, b"one"], [shapes.WHISPER, 2, NOBODY, b"nobody"],
            [shapes.SAY, 3, "#no", 2, b"x"], [shapes.SAY, 4, room, 2, bytes(9000)],
            [shapes.SAY, 5, room, "2", b"x"], [shapes.SAY, 6, room, 2, b"six"],
        ]  # fmt: skip
        answers: list[list] = [[shapes.ACCEPTED, 1], [error, "absent", 2], [error, "refused", 3],
                   [error, "large", 4], [error, "malformed", 5], [shapes.ACCEPTED, 6]]  # fmt: skip
        self.say(ira.records, *first)
        self.assert_answers(ira.records, *answers)
        self.cut(ira)
        self.resume(ira)
        self.say(ira.records, *first, [shapes.SAY, 7, room, 2, b"seven"])
        self.assert_answers(ira.records, *answers, [shapes.ACCEPTED, 7])
        self.settle(ben)
        said = [m[3][4] for m in ben.events(shapes.SAID)]
        self.assertEqual(said, [b"one", b"six", b"seven"])

    def test_sent_but_not_read(self) -> None:
        """Cut while what was sent is under way: heard or not, sent again it is there once."""
        ira, ben = self.two("#underway")
        for n in range(1, 9):
            self.say(ira.records, [shapes.SAY, n, "#underway", 2, b"%d" % n])
            if n % 2:
                time.sleep(0.05)
            self.cut(ira)
            self.resume(ira)
            self.say(ira.records, [shapes.SAY, n, "#underway", 2, b"%d" % n])
            self.assert_answers(ira.records, [shapes.ACCEPTED, n])
        self.settle(ben)
        self.assertEqual([m[3][4] for m in ben.events(shapes.SAID)], [b"%d" % n for n in range(1, 9)])

    def test_half_a_record(self) -> None:
        ira, ben = self.two("#half")
        text = cbor.encode([shapes.SAY, 1, "#half", 2, b"one"])
        record = ira.records._send.seal(text)
        self.raw(ira.records.link, (len(record).to_bytes(2, "big") + record)[:-5])
        self.cut(ira)
        self.resume(ira)
        self.say(ira.records, [shapes.SAY, 1, "#half", 2, b"one"])
        self.assert_answers(ira.records, [shapes.ACCEPTED, 1])
        self.settle(ben)
        self.assertEqual(len(ben.events(shapes.SAID)), 1)

    def test_again_and_wait_go_on(self) -> None:
        ira, _ = self.two("#again")
        error, room = shapes.ERROR, "#again"
        sent: list[cbor.Value] = [[shapes.SAY, 1, room, 9, b"stale"], [shapes.SAY, 2, room, 2, b"two"]]
        self.say(ira.records, *sent)
        self.assert_answers(ira.records, [error, "again", 1], [error, "again", 1])
        self.cut(ira)
        self.resume(ira)
        self.say(ira.records, *sent, [shapes.SAY, 1, room, 2, b"one"], sent[1])
        self.assert_answers(ira.records, [error, "again", 1], [error, "again", 1],
                            [shapes.ACCEPTED, 1], [shapes.ACCEPTED, 2])  # fmt: skip

    def test_refusals_are_unheard(self) -> None:
        ira, ben = self.two("#refused")
        self.say(ira.records, [shapes.SAY, 1, "#refused", 2, b"one"])
        self.read_to(ira, shapes.ACCEPTED)
        self.read_to(ben, shapes.EVENT, shapes.SAID)
        self.say(ben.records, [shapes.SEEN, ben.cursor])
        for raw in (ira, ben):
            self.settle(raw)
        stranger = Raw(user("Stranger"), ben.records, "#refused")
        for raw, cursor, room in (
            (ben, 0, None), (ben, ben.cursor - 1, None), (ben, 2**63, None), (ben, None, "#other"),
            (stranger, 1, None), (stranger, ben.cursor, None),
        ):  # fmt: skip
            with self.subTest(cursor=cursor, room=room):
                self.assert_refused(raw, cursor, room)
        for raw in (ira, ben):
            raw.came.clear()
            self.settle(raw)
            self.assertEqual([m[0] for m in raw.came], [shapes.PONG])
        self.say(ben.records, [shapes.LOOKUP, "Stranger"])
        self.assert_answers(ben.records, [shapes.ERROR, "absent", 0])
        self.enter("Stranger", "#stranger", stranger.own)

    def test_the_old_connection_is_closed_without_a_word(self) -> None:
        ira, ben = self.two("#old")
        old = ben.records
        self.resume(ben)
        self.assert_closed(old.link)
        self.say(ira.records, [shapes.SAY, 1, "#old", 2, b"one"])
        self.read_to(ben, shapes.EVENT, shapes.SAID)
        self.settle(ira)
        self.assertEqual((ira.events(shapes.LEFT), ira.events(shapes.ABSENCE)), ([], []))

    def test_lost_and_back(self) -> None:
        ira, ben = self.two("#absence")
        self.cut(ben)
        began = time.monotonic()
        event = self.read_to(ira, shapes.EVENT, shapes.ABSENCE)
        self.assertEqual(event[3][:3], [shapes.ABSENCE, ben.number, 1])
        self.assertGreater(time.monotonic() - began, 1.5)
        self.resume(ben)
        event = self.read_to(ira, shapes.EVENT, shapes.ABSENCE)
        self.assertEqual(event[3][:3], [shapes.ABSENCE, ben.number, 0])
        self.settle(ben)
        self.assertEqual(ben.events(shapes.ABSENCE), [])
        self.cut(ben)
        self.resume(ben)
        time.sleep(2.5)
        self.settle(ira)
        self.assertEqual(len(ira.events(shapes.ABSENCE)), 2)

    def test_after_the_window(self) -> None:
        ira, ben = self.two("#window")
        self.cut(ben)
        began = time.monotonic()
        event = self.read_to(ira, shapes.EVENT, shapes.LEFT)
        self.assertEqual(event[3][2:5], [ben.number, 3, "lost"])
        self.assertGreater(time.monotonic() - began, WINDOW - 1)
        self.assert_refused(ben)
        self.assert_refused(ben, cursor=0)

    def test_who_has_left_or_was_replaced_does_not_resume(self) -> None:
        ira, ben = self.two("#gone")
        self.cut(ben)
        again = self.enter("Bengone", "#gone")
        event = self.read_to(ira, shapes.EVENT, shapes.LEFT)
        self.assertEqual((event[3][2], event[3][4]), (ben.number, "replaced"))
        self.assert_refused(ben)
        self.say(again.records, [shapes.LEAVE, "#gone"])
        self.read_to(again, shapes.BYE)
        self.assert_refused(again)

    def test_letters(self) -> None:
        """Handed out and not Seen: again under its cursor, or as a new event to the next session."""
        ira, ben = self.two("#letters")
        letter = openly(ira.own, "Iraletters", b"a letter")
        ben_is = ben.own.identity.fingerprint
        self.say(ira.records, [shapes.LETTER, 1, ben_is, letter])
        before = ben.cursor
        first = self.read_to(ben, shapes.EVENT, shapes.LETTER_CAME)
        self.cut(ben)
        ben.cursor = before
        self.resume(ben)
        self.settle(ben)
        self.assertEqual(ben.events(shapes.LETTER_CAME), [first])
        self.cut(ben)
        self.say(ira.records, [shapes.LETTER, 2, ben_is, letter])
        self.settle(ira)
        self.resume(ben)
        self.settle(ben)
        (second,) = ben.events(shapes.LETTER_CAME)
        self.cut(ben)
        ben = self.enter("Benletters", "#letters")
        self.settle(ben)
        third, fourth = ben.events(shapes.LETTER_CAME)
        self.assertGreater(third[1], second[1])
        self.say(ben.records, [shapes.SEEN, third[1]], [shapes.LEAVE, "#letters"])
        self.read_to(ben, shapes.BYE)
        ben = self.enter("Benletters", "#letters")
        self.settle(ben)
        self.assertEqual([m[3] for m in ben.events(shapes.LETTER_CAME)], [fourth[3]])
        self.say(ben.records, [shapes.SEEN, ben.cursor])
        self.settle(ben)
        self.cut(ben)
        ben = self.enter("Benletters", "#letters")
        self.settle(ben)
        self.assertEqual(ben.events(shapes.LETTER_CAME), [])

    def test_cut_before_the_welcome_was_read(self) -> None:
        """Its credential is known by then: a cursor of 0 is refused, a new credential is not."""
        ira = self.enter("Iraearly", "#early")
        own = user("Benearly")
        ben = Raw(own, self.records(own=own), "#early")
        self.say(ben.records, [shapes.JOIN, "#early", "", 0])
        self.cut(ben)
        self.read_to(ira, shapes.EVENT, shapes.JOINED)
        self.assert_refused(ben, cursor=0)
        self.enter("Benearly", "#early")
        self.assertEqual(self.read_to(ira, shapes.EVENT, shapes.LEFT)[3][4], "replaced")


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class ResumingAtTheOtherServer(Resuming):
    @classmethod
    def start_server(cls, keys: Path) -> None:
        cls.server = other_server(keys, "--limits", "off", window=WINDOW)
        cls.port = cls.server.await_port()


if __name__ == "__main__":
    unittest.main()
