"""What PROTOCOL.md §8 promises, between this implementation's clients and its server.

No sockets here: a connection is cut at every message that passes, one after the other.
"""

from __future__ import annotations

import random
import unittest
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from cfbchat import cbor, journal, shapes
from cfbchat.guests import Guest
from table import ROOM, Seat, Table, events

WRONG = ("missing", "unreadable", "message_refused", "letter_refused", "error", "person_refused")


class Cut(Exception):
    """The connection of the seat under test is lost at this message."""


class CuttingTable(Table):
    """Cuts one seat's connection once, before or after the message of a number has passed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cuts: Seat | None = None
        self.left: int | None = None
        self.away: Callable[[], None] = lambda: None
        self.more_cuts: Iterator[int] = iter(())  # after how many more messages the next ones come
        self.passed = 0

    def _passes(self, seat: Seat) -> None:
        if seat is self.cuts:
            self.passed += 1
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    self.left = None
                    raise Cut

    def send(self, seat: Seat) -> None:
        messages = seat.hold()
        seat.held = []
        try:
            for message in messages:
                self._passes(seat)
                self.chat.handle(seat.guest, message)
                self._passes(seat)
        except Cut:
            self._lose(seat)

    def fetch(self, seat: Seat, but: int | None = None) -> None:
        try:
            while seat.guest.outbox.has_some():
                for encoded in seat.guest.outbox.take() or []:
                    self._passes(seat)
                    seat.came.append(cbor.decode(encoded))
                    seat.talk.handle(seat.came[-1])
        except Cut:
            self._lose(seat)

    def _lose(self, seat: Seat) -> None:
        self.cut(seat)
        self.away()
        self.back(seat)
        self.left = next(self.more_cuts, None)

    def run(self, but: Seat | None = None) -> None:
        super().run(but)
        while any(seat.talk.outgoing for seat in self.seats if seat is not but):
            super().run(but)


class AtATable(unittest.TestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.table = CuttingTable(self.folder)

    def say(self, seat: Seat, *texts: str) -> None:
        for text in texts:
            seat.talk.say(text)
        self.table.run()

    def assert_nothing_wrong(self, *seats: Seat) -> None:
        for seat in seats:
            for key in WRONG:
                self.assertEqual(seat.lines(key), [], (seat.talk.name, seat.shown))

    def two(self) -> tuple[Seat, Seat]:
        return self.table.sit("Ira"), self.table.sit("Ben")

    def resume(self, seat: Seat, room: str = ROOM, cursor: int | None = None) -> list[list]:
        """What the server answers a Join on another connection of this session."""
        seat.guest = Guest(seat.guest.person)
        at = seat.talk.cursor if cursor is None else cursor
        self.table.chat.handle(seat.guest, [shapes.JOIN, room, "", at])
        came = []
        while seat.guest.outbox.has_some():
            came += [cbor.decode(message) for message in seat.guest.outbox.take() or []]
        return came


class EveryMoment(AtATable):
    """The same conversation, cut once at every moment of it: nobody must hear anything else."""

    def conversation(
        self, name: str, cut: int | None, away: bool, more_cuts: Iterable[int] = ()
    ) -> tuple[dict, int]:
        """What all heard, and how many moments there are; `name` is cut at one of them."""
        with TemporaryDirectory() as folder:
            table = self.table = CuttingTable(Path(folder))
            seats = {who: table.sit(who) for who in ("Ira", "Ben", "Eva")}
            ira, ben, eva = seats.values()
            table.cuts, table.left, table.more_cuts = seats[name], cut, iter(more_cuts)
            if away:
                table.away = lambda: self.others_go_on(seats, name)
            self.say(ira, "one", "two")
            ben.talk.whisper("Ira", "psst")
            self.say(ben, "three")
            ira.talk.whisper("Ben", "yes?")
            ira.talk.write_letter("Ben", "a letter")
            table.run()
            eva.talk.write_letter("Ira", "another")
            self.say(eva, "four")
            self.say(ira, "five")
            for seat in seats.values():
                table.pass_time(0.6)
                table.run()
            self.assertIsNone(table.left)
            table.cuts = None
            self.assert_nothing_wrong(*seats.values())
            self.assertTrue(all(seat.talk.is_idle() for seat in seats.values()))
            self.assertEqual(table.chat.mailbox.letters, [])
            heard = {
                who: (seat.heard(), seat.whispers(), seat.letters()) for who, seat in seats.items()
            }
            return heard, table.passed

    def others_go_on(self, seats: dict[str, Seat], name: str) -> None:
        """While somebody is away the others speak, and a newcomer joins and leaves again."""
        self.table.pass_time(2.1)
        tom = self.table.sit("Tom")
        tom.talk.say("from Tom")
        self.table.run()
        tom.talk.leave()
        self.table.run()

    def test_every_moment(self) -> None:
        for name in ("Ira", "Ben"):
            expected, moments = self.conversation(name, None, False)
            self.assertGreater(moments, 20)
            for cut in range(moments):
                with self.subTest(name=name, cut=cut):
                    self.assertEqual(self.conversation(name, cut, False)[0], expected)

    def test_many_cuts(self) -> None:
        """One after the other, most of them while what the last one cost is still made up for."""
        for name in ("Ira", "Ben"):
            expected, _ = self.conversation(name, None, False)
            for seed in range(40):
                dice = random.Random(seed)
                cuts = [dice.randrange(8) for _ in range(dice.randrange(2, 6))]
                with self.subTest(name=name, cuts=cuts):
                    self.assertEqual(self.conversation(name, cuts[0], False, cuts[1:])[0], expected)

    def test_every_moment_while_others_come_and_go(self) -> None:
        for name in ("Ira", "Ben"):
            expected, moments = self.conversation(name, None, False)
            for cut in range(moments):
                with self.subTest(name=name, cut=cut):
                    heard, _ = self.conversation(name, cut, True)
                    self.assertEqual(sum(("Tom", "from Tom") == said for said in heard[name][0]), 1)
                    for who, (said, *one_to_one) in heard.items():
                        said = [line for line in said if line[0] != "Tom"]
                        self.assertEqual(sorted(said), sorted(expected[who][0]))
                        self.assertEqual(one_to_one, [*expected[who][1:]])


class WhileAway(AtATable):
    def test_all_that_happened_comes_once_and_in_order(self) -> None:
        ira, ben = self.two()
        self.say(ira, "one")
        self.table.cut(ben)
        self.say(ira, "two")
        eva = self.table.sit("Eva")
        self.say(eva, "three")
        ira.talk.whisper("Ben", "psst")
        ira.talk.write_letter("Ben", "a letter")
        self.table.run()
        eva.talk.leave()
        self.table.run()
        self.assertEqual(ben.heard(), [("Ira", "one")])
        self.table.back(ben)
        self.table.run()
        self.assertEqual(ben.heard(), [("Ira", "one"), ("Ira", "two"), ("Eva", "three")])
        self.assertEqual((ben.whispers(), ben.letters()), ([("Ira", "psst")], [("Ira", "a letter")]))
        self.assertEqual((ben.lines("joined"), ben.lines("left")), (["Eva"], ["Eva"]))
        self.say(ben, "back")
        self.assertEqual(ira.heard()[-1], ("Ben", "back"))
        self.assert_nothing_wrong(ira, ben, eva)

    def test_a_person_comes_before_who_joined_meanwhile(self) -> None:
        ira, ben = self.two()
        self.table.cut(ben)
        eva = self.table.sit("Eva")
        came = self.resume(ben)
        self.assertEqual([m[0] for m in came], [shapes.WELCOME, shapes.PERSON, shapes.EVENT])
        self.assertEqual(came[0][1:6], [ROOM, [], 0, 1, ben.talk.cursor])
        self.assertEqual(came[1][3], eva.own.credential)
        self.assertEqual(came[2][3][:3], [shapes.JOINED, ROOM, came[1][1]])

    def test_cursors_and_times_stay(self) -> None:
        ira, ben = self.two()
        self.table.cut(ben)
        self.say(ira, "one", "two")
        cursor = ben.talk.cursor
        first = [m for m in self.resume(ben) if m[0] == shapes.EVENT]
        with mock.patch.object(journal, "milliseconds", lambda: 1):
            second = [m for m in self.resume(ben, cursor=cursor) if m[0] == shapes.EVENT]
        self.assertEqual((first, len(first)), (second, 3))

    def test_lost_and_back_are_told(self) -> None:
        ira, ben = self.two()
        self.table.cut(ben)
        self.table.pass_time(1.9)
        self.table.run()
        self.assertEqual(ira.lines("absent"), [])
        self.table.pass_time(0.2)
        self.table.pass_time(5)
        self.table.run()
        self.assertEqual(ira.lines("absent"), ["Ben"])
        self.table.back(ben)
        self.table.run()
        self.assertEqual((ira.lines("back"), ben.lines("back")), (["Ben"], []))
        self.table.cut(ben)
        self.table.pass_time(1)
        self.table.back(ben)
        self.table.run()
        self.assertEqual((ira.lines("absent"), ira.lines("back")), (["Ben"], ["Ben"]))

    def test_two_who_are_away_hear_of_one_another(self) -> None:
        ira, ben = self.two()
        for seat in (ira, ben):
            self.table.cut(seat)
        self.table.pass_time(3)
        for seat in (ira, ben):
            self.table.back(seat)
            self.table.run()
        self.assertEqual((ira.lines("absent"), ira.lines("back")), (["Ben"], ["Ben"]))
        self.assertEqual((ben.lines("absent"), ben.lines("back")), (["Ira"], ["Ira"]))

    def test_after_the_window_it_has_left(self) -> None:
        ira, ben = self.two()
        self.say(ira, "one")
        self.table.cut(ben)
        self.table.pass_time(119)
        self.table.run()
        self.assertEqual(ira.lines("left"), [])
        self.table.pass_time(1.1)
        self.table.run()
        self.assertEqual([line["reason"] for line in ira.shown if "left" in line], ["lost"])
        self.assertEqual(list(ben.guest.member.kept), [])
        self.table.back(ben)
        self.table.run()
        self.assertEqual((ben.talk.refused, ben.talk.begins_anew()), ("refused", True))
        self.assertTrue(ben.guest.gone)

    def test_a_letter_whose_seen_was_lost(self) -> None:
        """It has been had, so it does not come again; the Seen after resuming is what it waits for."""
        ira, ben = self.two()
        ira.talk.write_letter("Ben", "Hi")
        self.table.run(but=ben)
        self.table.cut(ben)
        self.assertEqual(len(self.table.chat.mailbox.letters), 1)
        self.table.back(ben)
        self.table.run()
        self.assertEqual((ben.letters(), self.table.chat.mailbox.letters), ([("Ira", "Hi")], []))
        self.assertEqual(len(events(ben, shapes.LETTER_CAME)), 1)

    def test_a_letter_that_was_handed_out_and_not_had_comes_under_its_first_cursor(self) -> None:
        ira, ben = self.two()
        ira.talk.write_letter("Ben", "Hi")
        self.table.send(ira)
        self.table.fetch(ira)
        self.table.send(ira)
        (letter,) = self.table.chat.mailbox.letters
        (cursor,) = letter.cursors.values()
        self.table.cut(ben)
        came = self.resume(ben)
        self.assertEqual([(m[1], m[3][0]) for m in came if m[0] == shapes.EVENT],
                         [(cursor, shapes.LETTER_CAME)])  # fmt: skip

    def test_a_letter_of_a_session_that_has_ended_comes_at_the_next(self) -> None:
        ira, ben = self.two()
        self.table.cut(ben)
        ira.talk.write_letter("Ben", "Hi")
        self.table.run()
        self.table.seats.remove(ben)
        ben = self.table.sit("Ben")
        self.assertEqual(ben.letters(), [("Ira", "Hi")])
        self.assertEqual([line["reason"] for line in ira.shown if "left" in line], ["replaced"])


class Answers(AtATable):
    def test_what_was_sent_is_sent_again_byte_for_byte(self) -> None:
        ira, ben = self.two()
        for text in ("one", "two"):
            ira.talk.say(text)
        sent = list(ira.talk.outgoing)
        self.table.cut(ira)
        ira.talk.say("three")
        self.table.back(ira)
        self.table.send(ira)
        self.table.fetch(ira)
        self.assertEqual(ira.talk.outgoing[: len(sent)], sent)
        kinds = [cbor.decode(message)[0] for message in ira.talk.outgoing[len(sent) :]]
        self.assertEqual(kinds, [shapes.SEEN, shapes.SAY])
        self.table.run()
        self.assertEqual(ben.heard(), [("Ira", text) for text in ("one", "two", "three")])

    def test_refusals_are_answered_as_the_first_time(self) -> None:
        ira, ben = self.two()
        chat = self.table.chat
        for message in (
            [shapes.SAY, 1, "#elsewhere", 1, b"x"], [shapes.SAY, 2, ROOM, 2, b"x"],
            [shapes.SAY, 3, ROOM, "malformed", b"x"], [shapes.SAY, 4, ROOM, 9, b"stale"],
        ):  # fmt: skip
            chat.handle(ira.guest, message)
        first = [cbor.decode(m) for m in ira.guest.outbox.take() or []]
        self.resume(ira)
        for n in (1, 2, 3):
            chat.handle(ira.guest, [shapes.SAY, n, ROOM, 2, b"y"])
        second = [cbor.decode(m) for m in ira.guest.outbox.take() or []]
        self.assertEqual(second, first[:3])
        chat.handle(ira.guest, [shapes.SAY, 6, ROOM, 2, b"y"])
        chat.handle(ira.guest, [shapes.SAY, 4, ROOM, 2, b"y"])
        third = [cbor.decode(m) for m in ira.guest.outbox.take() or []]
        self.assertEqual([m[0] for m in third], [shapes.ERROR, shapes.ACCEPTED])
        self.assertEqual((third[0][1], third[0][3], third[1][1]), ("again", 4, 4))

    def test_wait_goes_on_over_a_cut(self) -> None:
        """Told "wait" for the first of three, cut before the other two answers."""
        ira, ben = self.two()
        self.say(ira, "zero")
        ira.guest.member.messages.left = 0.0
        for text in ("one", "two", "three"):
            ira.talk.say(text)
        self.table.send(ira)
        came = [cbor.decode(m) for m in ira.guest.outbox.take() or []]
        self.assertEqual([m[1] for m in came], ["wait", "again", "again"])
        ira.talk.handle(came[0])
        self.table.cut(ira)
        ira.guest.member.messages.left = 20.0
        self.table.back(ira)
        self.table.run()
        self.assertEqual(ben.heard(), [("Ira", "zero")])
        self.assertEqual([code for code in ira.lines("told")], ["wait", "again", "again"])
        self.table.pass_time(0.3)
        self.table.run()
        self.assertEqual([text for _, text in ben.heard()], ["zero", "one", "two", "three"])
        self.assert_nothing_wrong(ira, ben)

    def test_the_pace_is_the_sessions(self) -> None:
        ira, _ = self.two()
        ira.guest.member.messages.left = 0.0
        self.resume(ira)
        self.table.chat.handle(ira.guest, [shapes.SAY, 1, ROOM, 2, b"x"])
        (answer,) = [cbor.decode(m) for m in ira.guest.outbox.take() or []]
        self.assertEqual(answer[1::2], ["wait", 1])

    def test_a_leave_whose_answer_was_lost(self) -> None:
        ira, ben = self.two()
        ira.talk.leave()
        self.table.send(ira)
        self.table.cut(ira)
        self.table.back(ira)
        self.table.run()
        self.assertTrue(ira.talk.has_left())
        self.assertFalse(ira.talk.begins_anew())

    def test_a_leave_that_was_not_heard(self) -> None:
        ira, ben = self.two()
        ira.talk.leave()
        self.table.cut(ira)
        self.table.back(ira)
        self.table.run()
        self.assertTrue(ira.talk.has_left())
        self.assertEqual(ira.talk.bye, "left")
        self.assertEqual([line["reason"] for line in ben.shown if "left" in line], ["left"])


class Refused(AtATable):
    def assert_refused(self, seat: Seat, **join: object) -> None:
        came = self.resume(seat, **join)  # type: ignore[arg-type]
        self.assertEqual([(m[0], m[1], m[3]) for m in came], [(shapes.ERROR, "refused", 0)])
        self.assertTrue(seat.guest.gone)

    def test_what_cannot_be_gone_on_from_is_unheard(self) -> None:
        ira, ben = self.two()
        self.say(ira, "one")
        self.table.pass_time(0.6)
        self.table.run()
        chat, own = self.table.chat, ben.guest
        before = (chat.journal.cursor, chat.moves[ben.own.identity.fingerprint].left)
        self.assertGreater(own.member.seen, 0)
        stranger = self.table.sit("Tom")
        self.table.go(stranger)
        for cursor in (0, 1, own.member.seen - 1, chat.journal.cursor + 1, 2**64 - 1):
            self.assert_refused(ben, cursor=cursor)
        self.assert_refused(ben, room="#elsewhere")
        self.assert_refused(stranger)
        self.assert_refused(stranger, cursor=0)
        self.assertIs(chat.present["Ben"].guest, own)
        self.assertFalse(own.gone)
        self.assertEqual(chat.journal.cursor, before[0] + 2)  # Tom, who came and went
        self.assertLessEqual(before[1] - chat.moves[ben.own.identity.fingerprint].left, 0)
        self.assertNotIn("left", "".join(key for line in ira.shown[-6:] for key in line
                                         if line.get("left") == "Ben"))  # fmt: skip

    def test_an_unknown_credential_with_a_cursor(self) -> None:
        """It registers no name, and its session can still begin with a cursor of 0."""
        with mock.patch.object(CuttingTable, "run"):
            ira = self.table.sit("Ira")
        self.assert_refused(ira, cursor=7)
        self.assertEqual((self.table.chat.registry.names, self.table.chat.ended), ({}, {}))
        self.assertEqual(self.resume(ira, cursor=0)[0][0], shapes.WELCOME)

    def test_an_old_connection_is_closed_without_a_word(self) -> None:
        ira, ben = self.two()
        old, hung_up = ben.guest, []
        old.hang_up = lambda: hung_up.append(True)
        ira.talk.say("one")
        self.table.send(ira)
        self.assertTrue(old.outbox.has_some())
        came = self.resume(ben)
        self.assertEqual([m[3][0] for m in came[1:]], [shapes.SHARED, shapes.SAID])
        self.assertEqual((old.outbox.take(), hung_up), (None, [True]))
        self.table.chat.handle(old, [shapes.SAY, 1, ROOM, 2, b"too late"])
        self.table.chat.lost(old)
        self.assertEqual(ben.guest.member.last_n, 0)
        self.assertIsNone(ben.guest.member.away_since)

    def test_the_journal_is_bounded(self) -> None:
        ira, ben = self.two()
        self.table.cut(ben)
        with mock.patch.object(journal, "MOST_BYTES", 3000):
            self.say(ira, *"abcdefgh")
            self.assertLessEqual(self.table.chat.journal.size, 3000)
        self.assert_refused(ben)
        self.assertIn("Ben", self.table.chat.present)

    def test_who_is_away_makes_way_when_the_server_is_full(self) -> None:
        ira, ben = self.two()
        with mock.patch("cfbchat.chat_state.SESSIONS", 2):
            self.assertEqual(self.table.sit("Eva").talk.refused, "refused")
            self.table.cut(ben)
            self.assertIsNone(self.table.sit("Eva").talk.refused)
        self.assertEqual([line["reason"] for line in ira.shown if "left" in line], ["lost"])
        self.assert_refused(ben)

    def test_what_all_have_seen_is_forgotten(self) -> None:
        ira, ben = self.two()
        self.say(ira, "one", "two")
        self.assertNotEqual(self.table.chat.journal.entries, {})
        self.table.pass_time(0.6)
        self.table.run()
        self.assertEqual(self.table.chat.journal.entries, {})
        self.assertEqual(self.table.chat.journal.size, 0)

    def test_seen_of_what_was_not_handed_out_yet_forgets_nothing(self) -> None:
        ira, ben = self.two()
        ira.talk.say("one")
        self.table.send(ira)
        self.table.chat.handle(ben.guest, [shapes.SEEN, 2**64 - 1])
        self.table.cut(ben)
        self.table.back(ben)
        self.table.run()
        self.assertEqual(ben.heard(), [("Ira", "one")])

    def test_a_slow_reader_is_told_so_only_if_the_journal_has_forgotten(self) -> None:
        ira, ben = self.two()
        self.table.seats.remove(ben)
        with mock.patch.object(journal, "MOST_BYTES", 3000):
            self.say(ira, "a")
            self.assertFalse(ben.guest.gone)
            self.say(ira, *"bcdefgh")
        self.assertTrue(ben.guest.gone)
        self.assertEqual([cbor.decode(m) for m in ben.guest.outbox.take() or []],
                         [[shapes.BYE, "slow"]])  # fmt: skip
        self.assertEqual([line["reason"] for line in ira.shown if "left" in line], ["slow"])


class Anew(AtATable):
    """A session that cannot be resumed, and the one that comes after it."""

    def begin_anew(self, seat: Seat) -> Seat:
        self.assertTrue(seat.talk.begins_anew(), seat.shown)
        self.table.seats.remove(seat)
        return self.table.sit(seat.talk.name, previous_session=seat.talk.hand_over())

    def expired(self, seat: Seat) -> None:
        self.table.cut(seat)
        self.table.chat.expire(seat.guest.member)

    def test_what_was_not_answered_is_shown_and_what_was_not_sent_is_sent(self) -> None:
        ira, ben = self.two()
        self.say(ira, "one")
        ira.talk.say("in doubt")
        ira.talk.whisper("Ben", "in doubt too")
        ira.hold()
        self.expired(ira)
        ira.talk.say("later")
        ira.talk.whisper("Ben", "psst")
        ira.talk.write_letter("Ben", "a letter")
        self.table.back(ira)
        self.table.run()
        again = self.begin_anew(ira)
        self.assertEqual(ira.lines("in_doubt"), ["in doubt", "in doubt too"])
        self.assertEqual(ben.heard(), [("Ira", "one"), ("Ira", "later")])
        self.assertEqual((ben.whispers(), ben.letters()), ([("Ira", "psst")], [("Ira", "a letter")]))
        self.assert_nothing_wrong(again, ben)

    def test_told_wait_is_not_in_doubt(self) -> None:
        ira, ben = self.two()
        self.say(ira, "zero")
        ira.guest.member.messages.left = 0.0
        self.say(ira, "one")
        self.assertEqual(ira.lines("told"), ["wait"])
        self.expired(ira)
        self.table.back(ira)
        self.table.run()
        again = self.begin_anew(ira)
        self.assertEqual((ira.lines("in_doubt"), ben.heard()[1:]), ([], [("Ira", "one")]))
        self.assert_nothing_wrong(again, ben)

    def test_a_whisper_to_somebody_who_has_gone_becomes_a_letter(self) -> None:
        ira, ben = self.two()
        self.expired(ira)
        ira.talk.whisper("Ben", "psst")
        self.table.go(ben)
        self.table.back(ira)
        self.table.run()
        again = self.begin_anew(ira)
        self.assertEqual(again.lines("wrote_to"), ["Ben"])

    def test_what_was_missed_shows_and_what_was_read_does_not_come_twice(self) -> None:
        ira, ben = self.two()
        self.say(ira, "one")
        old = events(ben, shapes.SAID)[0][3]
        self.expired(ben)
        self.say(ira, "two", "three")
        self.table.back(ben)
        self.table.run()
        ben = self.begin_anew(ben)
        self.assertEqual(ben.lines("missing"), [])
        self.say(ira, "four")
        self.assertEqual(ben.heard(), [("Ira", "four")])
        self.assertEqual([line for line in ben.shown if "missing" in line],
                         [{"missing": 2, "from": "Ira", "of": "said"}])  # fmt: skip
        ben.talk.handle([shapes.EVENT, 10_000, 1, old])
        self.assertEqual(ben.heard(), [("Ira", "four")])

    def test_under_way_when_it_began_anew(self) -> None:
        """A newcomer passes over what was not for them, even from one it had heard before."""
        ira, ben = self.two()
        self.say(ira, "one")
        ira.talk.say("two")
        ira.hold()
        self.expired(ben)
        run = self.table.run
        with mock.patch.object(self.table, "run", lambda: run(but=ira)):
            self.table.back(ben)
            self.table.run()
            ben = self.begin_anew(ben)
        self.table.run()
        self.assertEqual((ben.lines("passed_over"), ben.heard()), (["Ira"], []))
        self.say(ira, "three")
        self.assertEqual(ben.heard(), [("Ira", "three")])
        self.assertEqual(ben.lines("missing"), [1])

    def test_cut_before_the_first_welcome(self) -> None:
        with mock.patch.object(CuttingTable, "run"):
            ira = self.table.sit("Ira")
        ira.talk.say("Hi")
        self.table.send(ira)
        self.table.cut(ira)
        self.assertFalse(ira.talk.resumes())
        ben = self.table.sit("Ben")
        self.assertEqual(ben.lines("welcome")[0]["members"], ["Ira", "Ben"])
        again = self.begin_anew(ira)
        self.table.run()
        self.assertEqual(ben.heard(), [("Ira", "Hi")])
        self.assert_nothing_wrong(again, ben)

    def test_told_slow(self) -> None:
        ira, ben = self.two()
        with mock.patch.object(journal, "MOST_BYTES", 1000):
            self.table.seats.remove(ben)
            self.say(ira, *"abcde")
            self.table.seats.append(ben)
            self.table.run()
        self.assertEqual(ben.talk.bye, "slow")
        ben = self.begin_anew(ben)
        self.say(ira, "f")
        self.assertEqual(ben.heard(), [("Ira", "f")])


if __name__ == "__main__":
    unittest.main()
