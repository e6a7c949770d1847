"""What PROTOCOL.md §7 promises, between this implementation's clients and its server."""

from __future__ import annotations

import time
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from cfbchat import crypto, relay, shapes
from cfbchat.mailbox import Mailbox
from cfbchat.opening import CannotOpen, PassedOver, fields_of
from cfbchat.rooms import Room, Voice
from cfbchat.sender_keys import Envelope, SenderKey
from cfbchat.who_is_who import LettersSeen
from people import identity
from table import ROOM, SERVER, Seat, Table, events


class AtATable(unittest.TestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.table = Table(self.folder)

    def say(self, seat: Seat, *texts: str) -> None:
        for text in texts:
            seat.talk.say(text)
        self.table.run()

    def key_of(self, speaker: Seat, at: Seat) -> SenderKey:
        """The key of `speaker` as `at` has it."""
        key = at.talk.peers.rooms[ROOM].voices[speaker.own.session].key
        assert key
        return key

    def envelopes(self, at: Seat) -> list[Envelope]:
        """Those that came to `at`, their signatures not looked at."""
        shape: list[object] = [bytes, int, bytes, bytes]
        return [
            Envelope(*fields_of(message[3][4], shape, "the envelope")[:3])
            for message in events(at, shapes.SAID)
        ]

    def assert_nothing_wrong(self, *seats: Seat) -> None:
        for seat in seats:
            for key in ("missing", "unreadable", "message_refused", "letter_refused", "error"):
                self.assertEqual(seat.lines(key), [], (seat.talk.name, seat.shown))


class InARoom(AtATable):
    def test_all_hear_one_another(self) -> None:
        ira, ben, eva = (self.table.sit(name) for name in ("Ira", "Ben", "Eva"))
        self.say(ira, "Hi", "grüße 水 😀", "x" * 4096)
        self.say(ben, "Hello")
        expected = [("Ira", "Hi"), ("Ira", "grüße 水 😀"), ("Ira", "x" * 4096), ("Ben", "Hello")]
        self.assertEqual(eva.heard(), expected)
        self.assertEqual(ben.heard(), expected[:3])
        self.assertEqual(ira.heard(), expected[3:])
        self.assert_nothing_wrong(ira, ben, eva)

    def test_who_does_not_speak_shares_nothing(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "one", "two")
        self.assertEqual(ira.lines("shared_with"), [["Ben"]])
        self.assertEqual(ben.lines("shared_with"), [])
        self.assertEqual(len(events(ben, shapes.SHARED)), 1)

    def test_the_server_sees_no_text(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "a secret")
        self.assertNotIn("a secret", str(self.table.reports) + str(ben.came))

    def test_a_newcomer_cannot_open_what_was_said_before(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "before")
        eva = self.table.sit("Eva")
        self.say(ira, "after")
        self.assertEqual(eva.heard(), [("Ira", "after")])
        self.assert_nothing_wrong(ira, ben, eva)
        before = self.envelopes(ben)[0]
        key = self.key_of(ira, eva)
        self.assertEqual((key.key_id, key.counter), (before.key_id, before.counter + 2))
        with self.assertRaises(CannotOpen):
            key.at(before.counter)
        eva.talk.handle([shapes.EVENT, 10_000, 1, events(ben, shapes.SAID)[0][3]])
        self.assertEqual(eva.lines("message_refused"), ["Ira"])

    def test_who_has_left_cannot_open_what_is_said_later(self) -> None:
        ira, ben, eva = (self.table.sit(name) for name in ("Ira", "Ben", "Eva"))
        self.say(ira, "for Eva too")
        key = self.key_of(ira, eva)
        eva.talk.leave()
        self.table.run()
        self.say(ira, "for Ben alone")
        self.assertEqual(ben.heard(), [("Ira", "for Eva too"), ("Ira", "for Ben alone")])
        self.assertEqual(ira.lines("shared_with"), [["Ben", "Eva"], ["Ben"]])
        later = self.envelopes(ben)[-1]
        self.assertNotEqual(later.key_id, key.key_id)
        self.assertEqual(later.counter, key.counter)
        with self.assertRaises(CannotOpen):
            key.open(later.sealed)
        self.assert_nothing_wrong(ira, ben)

    def test_a_key_the_leaver_never_had_stays(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "one")
        eva = self.table.sit("Eva")
        self.table.go(eva)
        self.say(ira, "two")
        self.assertEqual(len({envelope.key_id for envelope in self.envelopes(ben)}), 1)
        self.assertEqual(ira.lines("shared_with"), [["Ben"]])

    def test_somebody_comes_while_a_message_is_under_way(self) -> None:
        """The server still takes the change before; the newcomer passes the message over."""
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "one")
        ira.talk.say("two")
        ira.hold()
        eva = self.sit_while_held(ira, "Eva")
        self.table.run()
        self.assertEqual(ben.heard(), [("Ira", "one"), ("Ira", "two")])
        self.assertEqual(eva.lines("passed_over"), ["Ira"])
        self.say(ira, "three")
        self.assertEqual(eva.heard(), [("Ira", "three")])
        self.assert_nothing_wrong(ira, ben, eva)

    def test_the_key_is_not_shared_before_all_is_answered(self) -> None:
        """Else a newcomer could open what is under way, and was not for them."""
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "one")
        ira.talk.say("two")
        ira.hold()
        eva = self.sit_while_held(ira, "Eva")
        ira.talk.say("three")
        self.assertEqual([message[0] for message in ira.hold()], [shapes.SAY])
        self.table.run()
        self.assertEqual(eva.lines("passed_over"), ["Ira"])
        self.assertEqual(eva.heard(), [("Ira", "three")])
        kinds = [message[3][0] for message in eva.came if message[0] == shapes.EVENT]
        self.assertEqual(kinds, [shapes.SAID, shapes.SHARED, shapes.SAID])
        self.assert_nothing_wrong(ira, ben, eva)

    def sit_while_held(self, seat: Seat, name: str) -> Seat:
        """Somebody joins while all that `seat` sends is held."""
        run = self.table.run
        with mock.patch.object(self.table, "run", lambda: run(but=seat)):
            return self.table.sit(name)

    def test_again(self) -> None:
        """Told "again", a client shares the message's own key first, and tells who reads it too."""
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "one")
        for text in ("two", "three"):
            ira.talk.say(text)
        ira.hold()
        eva = self.sit_while_held(ira, "Eva")
        self.table.stale()
        self.table.run()
        self.assertEqual(ira.lines("told"), ["again", "again"])
        self.assertEqual(eva.heard(), [("Ira", "two"), ("Ira", "three")])
        self.assertEqual(ben.heard(), [("Ira", "one"), ("Ira", "two"), ("Ira", "three")])
        self.assertEqual(ira.lines("read_too_by"), [["Eva"], ["Eva"]])
        self.assertEqual([e.counter for e in self.envelopes(ben)], [0, 1, 2])
        self.assert_nothing_wrong(ira, ben, eva)

    def test_again_after_somebody_has_left(self) -> None:
        """The message keeps its counter, under a new key."""
        ira, ben, eva = (self.table.sit(name) for name in ("Ira", "Ben", "Eva"))
        self.say(ira, "one")
        ira.talk.say("two")
        ira.hold()
        self.table.vanish(eva)
        self.table.stale()
        self.table.run()
        self.assertEqual(ira.lines("told"), ["again"])
        self.assertEqual(ben.heard(), [("Ira", "one"), ("Ira", "two")])
        one, two = self.envelopes(ben)
        self.assertEqual([one.counter, two.counter], [0, 1])
        self.assertNotEqual(one.key_id, two.key_id)
        self.assert_nothing_wrong(ira, ben)

    def test_a_whisper_behind_a_message_that_is_sent_again(self) -> None:
        """The key for the newcomer must not overtake a box that was made for them before."""
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "one")
        ira.talk.say("two")
        ira.hold()
        eva = self.sit_while_held(ira, "Eva")
        self.table.stale()
        ira.talk.whisper("Eva", "psst")
        self.table.run()
        self.assertEqual(ira.lines("told"), ["again", "again"])
        self.assertEqual(eva.whispers(), [("Ira", "psst")])
        self.assertEqual(eva.heard(), [("Ira", "two")])
        self.assert_nothing_wrong(ira, ben, eva)

    def test_after_a_refusal_comes_a_new_key(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "one")
        with mock.patch.object(relay, "LONGEST_ENVELOPE", 10):
            self.say(ira, "two")
        self.say(ira, "three")
        self.assertEqual(ira.lines("error"), ["large"])
        self.assertEqual(ben.heard(), [("Ira", "one"), ("Ira", "three")])
        one, three = self.envelopes(ben)
        self.assertEqual([one.counter, three.counter], [0, 2])
        self.assertNotEqual(one.key_id, three.key_id)
        self.assertEqual(ben.lines("missing"), [1])

    def test_what_is_dropped_shows(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.say(ira, "one")
        self.table.seats.remove(ben)
        self.say(ira, "two", "three")
        ben.guest.outbox.take()
        self.table.seats.append(ben)
        self.say(ira, "four")
        self.assertEqual(ben.heard(), [("Ira", "one"), ("Ira", "four")])
        self.assertEqual(ben.lines("missing"), [2])

    def test_a_dropped_key_shows(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        ira.talk.say("one")
        self.table.send(ira)
        self.table.fetch(ben, but=shapes.SHARED)
        self.say(ira, "two")
        self.assertEqual(ben.heard(), [])
        self.assertEqual(ben.lines("unreadable"), ["Ira", "Ira"])
        ira.talk.whisper("Ben", "did you read it?")
        self.table.run()
        self.assertEqual([line for line in ben.shown if "missing" in line],
                         [{"missing": 1, "from": "Ira", "of": "whispered"}])  # fmt: skip

    def test_keys_for_more_than_one_share_holds(self) -> None:
        ira = self.table.sit("Ira")
        others = [self.table.sit(f"P{number}") for number in range(4)]
        with mock.patch("cfbchat.speaker.MOST_BOXES", 3):
            self.say(ira, "Hi")
        self.assertEqual([len(names) for names in ira.lines("shared_with")], [3, 1])
        for seat in others:
            self.assertEqual(seat.heard(), [("Ira", "Hi")])


class Voices(unittest.TestCase):
    """A reader's counters for one session."""

    def test_the_expected_counter_never_goes_down(self) -> None:
        voice = Voice(expected=0)
        key, older = SenderKey.fresh(ROOM, 5), SenderKey.fresh(ROOM, 3)
        self.assertEqual(voice.take(key), 5)
        self.assertEqual(voice.take(older), 0)
        self.assertEqual(voice.expected, 5)
        with self.assertRaises(PassedOver):
            voice.open(Envelope(older.key_id, 4, older.at(4).seal(bytes(64))))
        voice.open(Envelope(older.key_id, 5, older.at(5).seal(bytes(64))))
        self.assertEqual(voice.expected, 6)

    def test_the_first_key_tells_the_counter_of_who_was_there_before(self) -> None:
        room = Room.entered(ROOM, [b"Ira", b"Ben"], 2, 0)
        room.joined(b"Eva", 3, 1)
        self.assertEqual(room.voices[b"Ira"].take(SenderKey.fresh(ROOM, 5)), 0)
        self.assertEqual(room.voices[b"Eva"].take(SenderKey.fresh(ROOM, 5)), 5)

    def test_counters_outlive_a_leave(self) -> None:
        room = Room.entered(ROOM, [b"Ira", b"Ben"], 2, 0)
        room.voices[b"Ira"].take(SenderKey.fresh(ROOM, 5))
        room.left(b"Ira", 3, 1)
        room.joined(b"Ira", 4, 2)
        self.assertEqual(room.voices[b"Ira"].take(SenderKey.fresh(ROOM, 6)), 1)

    def test_a_key_that_is_had_already(self) -> None:
        voice, key = Voice(expected=0), SenderKey.fresh(ROOM, 0)
        voice.take(key)
        self.assertEqual(voice.take(key.at(2)), 2)
        with self.assertRaises(PassedOver):
            voice.take(key.at(1))


class Letters(unittest.TestCase):
    """How many wait, and how long what was read is remembered."""

    def test_a_mailbox_is_bounded(self) -> None:
        box = Mailbox()
        for sender in range(10):
            for _ in range(10):
                self.assertIsNotNone(box.take(bytes([sender]), b"Ben", b"letter"))
        self.assertIsNone(box.take(b"another", b"Ben", b"letter"))
        with mock.patch("cfbchat.mailbox.ALL_BYTES", 100 * len(b"letter") + 1):
            self.assertIsNone(box.take(b"another", b"Eva", b"letter"))
            self.assertIsNotNone(box.take(b"another", b"Eva", b"l"))
        month = 30 * 24 * 60 * 60 * 1000
        later = box.letters[-1].at + month + 1
        with mock.patch("cfbchat.mailbox.milliseconds", lambda: later):
            self.assertEqual(box.waiting_for(b"Ben"), [])

    def test_what_was_read_is_kept_for_31_days(self) -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "letters_seen"
            LettersSeen(file).add(bytes(32), bytes(16))
            now, day = time.time(), 24 * 60 * 60
            self.assertTrue(LettersSeen(file, now + 31 * day - 10).has(bytes(32), bytes(16)))
            self.assertFalse(LettersSeen(file, now + 31 * day + 10).has(bytes(32), bytes(16)))
            self.assertEqual(file.read_text(), "")


class OneToOne(AtATable):
    def test_whispers(self) -> None:
        ira, ben, eva = (self.table.sit(name) for name in ("Ira", "Ben", "Eva"))
        for text in ("one", "two", "y" * 4096):
            ira.talk.whisper("Ben", text)
        ben.talk.whisper("Ira", "yes")
        self.table.run()
        self.assertEqual(ben.whispers(), [("Ira", "one"), ("Ira", "two"), ("Ira", "y" * 4096)])
        self.assertEqual(ira.whispers(), [("Ben", "yes")])
        self.assertEqual(ira.lines("whispered_to"), ["Ben"] * 3)
        self.assertEqual(events(eva, shapes.WHISPERED), [])
        self.assert_nothing_wrong(ira, ben, eva)

    def test_a_repeated_whisper_is_passed_over_and_a_dropped_one_shows(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        ira.talk.whisper("Ben", "one")
        self.table.run()
        event = events(ben, shapes.WHISPERED)[0][3]
        ben.talk.handle([shapes.EVENT, 1000, 1, event])
        self.assertEqual(ben.whispers(), [("Ira", "one")])
        self.assertEqual(ben.lines("passed_over"), ["Ira"])
        ben.talk.cursor = 0
        ira.talk.whisper("Ben", "two")
        self.table.send(ira)
        self.table.fetch(ben, but=shapes.WHISPERED)
        ira.talk.whisper("Ben", "three")
        self.table.run()
        self.assertEqual(ben.whispers(), [("Ira", "one"), ("Ira", "three")])
        self.assertEqual(ben.lines("missing"), [1])

    def test_to_somebody_who_has_just_left(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        ira.talk.whisper("Ben", "psst")
        self.table.vanish(ben)
        self.table.run()
        self.assertIn({"error": "absent", "text": "absent", "n": 1, "of": "whisper"}, ira.shown)

    def test_a_letter_for_somebody_who_is_away(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.table.go(ben)
        ira.talk.whisper("Ben", "one")
        ira.talk.write_letter("Ben", "two")
        self.table.run()
        self.assertEqual(ira.lines("wrote_to"), ["Ben", "Ben"])
        ben = self.table.sit("Ben")
        self.assertEqual(ben.letters(), [("Ira", "one"), ("Ira", "two")])
        kinds = [message[0] for message in ben.came]
        self.assertGreater(kinds.index(shapes.EVENT), kinds.index(shapes.WELCOME))
        self.assert_nothing_wrong(ira, ben)
        self.table.go(ben)
        ben = self.table.sit("Ben")
        self.assertEqual(events(ben, shapes.LETTER_CAME), [])

    def test_a_letter_for_somebody_who_is_here(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben", room="#elsewhere")
        ira.talk.write_letter("Ben", "Hi")
        self.table.run()
        self.assertEqual(ben.letters(), [("Ira", "Hi")])
        self.assertEqual(ben.lines("new"), ["Ira"])
        self.assertEqual(self.table.chat.mailbox.letters, [])

    def test_a_letter_comes_again_until_it_is_seen_and_is_shown_once(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        ira.talk.write_letter("Ben", "Hi")
        self.table.run(but=ben)
        self.assertEqual(ben.letters(), [("Ira", "Hi")])
        self.assertEqual([message[0] for message in ben.held], [shapes.SEEN])
        ben.held.clear()
        self.table.go(ben)
        ben = self.table.sit("Ben")
        self.assertEqual(len(events(ben, shapes.LETTER_CAME)), 1)
        self.assertEqual(ben.letters(), [])
        self.assertEqual(self.table.chat.mailbox.letters, [])

    def test_a_letter_that_is_refused_is_seen_too(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        ira.talk.now = lambda: 0
        ira.talk.write_letter("Ben", "from 1970")
        self.table.run()
        self.assertEqual(len(ben.lines("letter_refused")), 1)
        self.assertEqual(self.table.chat.mailbox.letters, [])

    def test_letters_that_cannot_be_sent(self) -> None:
        ira = self.table.sit("Ira")
        ira.talk.write_letter("Nobody", "Hi")
        self.table.run()
        self.assertIn(
            {"error": "absent", "text": "absent", "n": 0, "of": "letter to Nobody"}, ira.shown
        )
        self.table.go(self.table.sit("Ben"))
        for number in range(11):
            ira.guest.member.messages.left = 20
            ira.talk.write_letter("Ben", str(number))
            self.table.run()
        self.assertEqual(len(ira.lines("wrote_to")), 10)
        self.assertEqual(ira.shown[-1]["error"], "refused")
        self.assertTrue(ira.talk.is_idle())

    def test_lookups_wait_when_they_are_too_fast(self) -> None:
        now = [0.0]
        ira = self.table.sit("Ira")
        ira.talk.clock = lambda: now[0]
        self.table.go(self.table.sit("Ben"))
        ira.guest.member.messages.left = 0.0
        ira.talk.write_letter("Ben", "Hi")
        self.table.run()
        self.assertEqual(ira.lines("wrote_to"), [])
        ira.guest.member.messages.left = 20.0
        now[0] = 0.21
        ira.talk.pump()
        self.table.run()
        self.assertEqual(ira.lines("wrote_to"), ["Ben"])


class WhoIsWho(AtATable):
    def test_a_name_keeps_its_fingerprint(self) -> None:
        _, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.assertEqual(ben.lines("new"), ["Ira"])
        lines = (self.folder / "Ben" / "known_users").read_text().splitlines()
        shown = [crypto.fingerprint_text(SERVER), "Ira",
                 crypto.fingerprint_text(identity("Ira").fingerprint)]  # fmt: skip
        self.assertEqual(lines, [" ".join(shown)])
        self.table.go(ben)
        ben = self.table.sit("Ben")
        self.assertEqual(ben.lines("new"), [])

    def test_another_fingerprint_is_refused_and_shared_with_no_more(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        self.table.go(ben)
        file = self.folder / "Ben" / "known_users"
        other = crypto.fingerprint_text(identity("Eva").fingerprint)
        file.write_text(" ".join([crypto.fingerprint_text(SERVER), "Ira", other]) + "\n")
        ben = self.table.sit("Ben")
        self.assertIn("another fingerprint", ben.lines("why")[0])
        self.assertTrue(ben.lines("welcome")[0]["members"][0].startswith("refused "))
        self.say(ben, "secret")
        self.assertEqual(ben.lines("shared_with"), [])
        self.assertEqual(ira.lines("unreadable"), ["Ben"])
        self.say(ira, "Hi")
        self.assertEqual(ben.heard(), [])
        ira.talk.write_letter("Ben", "Hi")
        self.table.run()
        self.assertEqual(ben.letters(), [])
        self.assertEqual(len(ben.lines("letter_refused")), 1)

    def test_verified_only(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        ira.talk.verify("Ben", compared=True)
        self.table.go(ira)
        ira = self.table.sit("Ira", verified_only=True)
        eva = self.table.sit("Eva")
        self.say(ira, "for Ben")
        self.assertEqual(ben.heard(), [("Ira", "for Ben")])
        self.assertEqual(eva.lines("unreadable"), ["Ira"])
        lines = (self.folder / "Ira" / "known_users").read_text().splitlines()
        self.assertEqual([line.endswith(" verified") for line in lines], [True, False])

    def test_both_see_the_same_number(self) -> None:
        ira, ben = self.table.sit("Ira"), self.table.sit("Ben")
        ira.talk.verify("Ben")
        ben.talk.verify("Ira")
        (number,) = ira.lines("number")
        self.assertEqual(ben.lines("number"), [number])
        self.assertEqual([len(group) for group in number], [5] * 12)


if __name__ == "__main__":
    unittest.main()
