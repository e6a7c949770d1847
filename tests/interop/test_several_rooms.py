"""Several rooms at once, and what is asked and answered in order, without sockets (PROTOCOL.md §6 to §8)."""

from __future__ import annotations

import unittest

from cfbchat import cbor, shapes
from people import user
from table import ROOM, Seat, events
from test_against_client import IRA, STRANGER, FromTheServer
from test_nothing_lost import AtATable

LAB = "#lab"


class InRooms(AtATable):
    def enter(self, *seats: Seat, room: str = LAB) -> None:
        for seat in seats:
            seat.talk.enter(room)
            self.table.run()

    def said(self, seat: Seat, room: str) -> list[tuple[str, str]]:
        return [(line["from"], line["text"]) for line in seat.lines("said") if line["room"] == room]

    def say_in(self, seat: Seat, room: str, *texts: str) -> None:
        for text in texts:
            seat.talk.say(text, room)
        self.table.run()

    def command(self, seat: Seat, line: str) -> str:
        before = len(seat.shown)
        seat.talk.command(line)
        self.table.run()
        (told,) = [line for line in seat.shown[before:] if "answer" in line or line.get("of")]
        return told.get("answer") or told["error"]

    def members(self, room: str) -> list[str]:
        return [member.person.name for member in self.table.chat.rooms[room].members]


class Rooms(InRooms):
    def test_each_room_hears_its_own(self) -> None:
        ira, ben = self.two()
        tom = self.table.sit("Tom")
        self.enter(ira, ben)
        self.assertEqual(ben.lines("welcome")[-1]["members"], ["Ira", "Ben"])
        self.say_in(ira, LAB, "in the lab")
        self.say_in(ira, ROOM, "in the lobby", "again")
        self.say_in(ben, LAB, "yes")
        self.say_in(tom, ROOM, "hello")
        lobby = [("Ira", "in the lobby"), ("Ira", "again")]
        self.assertEqual(self.said(ben, LAB), [("Ira", "in the lab")])
        self.assertEqual(self.said(ben, ROOM), [*lobby, ("Tom", "hello")])
        self.assertEqual(tom.heard(), lobby)
        self.assertEqual(self.said(ira, LAB), [("Ben", "yes")])
        self.assertEqual(ira.talk.room, LAB)
        self.assert_nothing_wrong(ira, ben, tom)

    def test_a_key_for_each_room(self) -> None:
        ira, ben = self.two()
        self.enter(ira, ben)
        self.say_in(ira, LAB, "one")
        self.say_in(ira, ROOM, "one")
        keys = [ira.talk.speaker.keys[room].key for room in (LAB, ROOM)]
        self.assertNotEqual(keys[0].key_id, keys[1].key_id)  # type: ignore[union-attr]
        self.assertEqual(len(events(ben, shapes.SHARED)), 2)

    def test_who_parts_hears_nothing_and_hears_on_when_back(self) -> None:
        ira, ben = self.two()
        self.enter(ira, ben)
        self.say_in(ira, LAB, "one")
        ben.talk.part(LAB)
        self.table.run()
        self.assertEqual(ira.lines("left"), ["Ben"])
        self.assertEqual(self.members(LAB), ["Ira"])
        self.say_in(ira, LAB, "two", "three")
        self.say_in(ira, ROOM, "here")
        self.enter(ben)
        self.say_in(ira, LAB, "four")
        self.assertEqual(self.said(ben, LAB), [("Ira", "one"), ("Ira", "four")])
        self.assertEqual(self.said(ben, ROOM), [("Ira", "here")])
        self.say_in(ben, LAB, "five")
        self.assertEqual(self.said(ira, LAB), [("Ben", "five")])
        self.assert_nothing_wrong(ira, ben)

    def test_what_was_said_first_is_answered_before_the_leave(self) -> None:
        ira, ben = self.two()
        self.enter(ira, ben)
        ira.guest.member.messages.left = 0.0
        ira.talk.say("late", LAB)
        ira.talk.part(LAB)
        self.table.run()
        self.assertEqual((self.said(ben, LAB), ben.lines("left")), ([], []))
        ira.guest.member.messages.left = 20.0
        self.table.pass_time(1)
        self.table.run()
        self.assertEqual((self.said(ben, LAB), ben.lines("left")), ([("Ira", "late")], ["Ira"]))

    def test_the_last_room_is_the_end(self) -> None:
        ira, ben = self.two()
        self.enter(ira)
        ira.talk.part(ROOM)
        self.table.run()
        self.assertIsNone(ira.talk.bye)
        self.assertEqual(ira.talk.room, LAB)
        ira.talk.part(LAB)
        self.table.run()
        self.assertEqual((ira.talk.bye, ira.talk.has_left()), ("left", True))

    def test_to_leave_is_to_leave_all_rooms(self) -> None:
        ira, ben = self.two()
        self.enter(ira, ben)
        self.say_in(ira, LAB, "bye")
        ira.talk.leave()
        self.table.run()
        self.assertEqual((ira.talk.bye, ira.talk.has_left()), ("left", True))
        self.assertEqual(ben.lines("left"), ["Ira", "Ira"])

    def test_a_room_is_joined_before_another_is_left(self) -> None:
        """Else the session could end with the room it is in."""
        ira, ben = self.two()
        ira.talk.enter(LAB)
        ira.talk.part(ROOM)
        self.table.run()
        self.assertIsNone(ira.talk.bye)
        self.assertEqual(list(ira.talk.peers.rooms), [LAB])

    def test_what_cannot_be_said_or_joined(self) -> None:
        ira, ben = self.two()
        ira.talk.say("nowhere", LAB)
        ira.talk.enter(ROOM)
        ira.talk.enter("lab")
        ira.talk.part(LAB)
        self.table.run()
        self.assertEqual(len(ira.lines("error")), 4)
        self.enter(ben)
        self.command(ben, f"LOCK {LAB}")
        ira.talk.enter(LAB)
        ira.talk.say("waits for the answer", LAB)
        self.table.run()
        self.assertEqual(ira.lines("error")[4], "refused")
        self.assertEqual(ira.shown[-1]["text"], "waits for the answer")
        self.assertTrue(ira.talk.is_idle())

    def test_a_new_session_comes_to_all_rooms(self) -> None:
        ira, ben = self.two()
        self.enter(ira, ben)
        self.say_in(ben, LAB, "one")
        self.table.cut(ira)
        self.table.chat.expire(ira.guest.member)
        ira.talk.say("later", LAB)
        self.say_in(ben, LAB, "missed")
        self.table.back(ira)
        self.table.run()
        self.assertTrue(ira.talk.begins_anew())
        self.table.seats.remove(ira)
        again = self.table.sit("Ira", room=ira.talk.room, previous_session=ira.talk.hand_over())
        self.assertEqual(sorted(again.talk.peers.rooms), [LAB, ROOM])
        self.assertEqual(self.said(ben, LAB), [("Ira", "later")])
        self.say_in(ben, LAB, "two")
        self.assertEqual(self.said(again, LAB), [("Ben", "two")])
        self.assertEqual(again.lines("missing"), [1])


class EveryMomentInRooms(InRooms):
    """The connection is cut at each message that passes, once, and then twice."""

    def play(self, cut_at: int | None, then: int | None) -> tuple[int, Seat, Seat]:
        self.setUp()
        ira, ben = self.two()
        self.enter(ben)
        self.table.passed = 0
        self.table.cuts, self.table.left = ira, cut_at
        self.table.more_cuts = iter(() if then is None else (then,))
        for step in (
            lambda: ira.talk.enter(LAB),
            lambda: ira.talk.say("one", LAB),
            lambda: ira.talk.say("one", ROOM),
            lambda: ben.talk.say("hello", LAB),
            lambda: ira.talk.part(ROOM),
            lambda: ira.talk.say("two", LAB),
            lambda: ben.talk.say("alone", ROOM),
            lambda: ben.talk.say("well", LAB),
            lambda: ira.talk.enter(ROOM),
            lambda: ira.talk.say("back", ROOM),
            lambda: ben.talk.say("good", ROOM),
        ):
            step()
            self.table.run()
            self.table.pass_time(6)
            self.table.run()
        return self.table.passed, ira, ben

    def move(self, cut_at: int | None, then: int | None) -> tuple[int, Seat, Seat]:
        """From the only room to another, both asked for at once."""
        self.setUp()
        ira, ben = self.two()
        self.enter(ben)
        self.table.passed = 0
        self.table.cuts, self.table.left = ira, cut_at
        self.table.more_cuts = iter(() if then is None else (then,))
        ira.talk.enter(LAB)
        for step in (lambda: ira.talk.part(ROOM), lambda: ira.talk.say("one", LAB)):
            step()
            self.table.run()
            self.table.pass_time(6)
            self.table.run()
        return self.table.passed, ira, ben

    def test_from_the_only_room_to_another(self) -> None:
        count, _, _ = self.move(None, None)
        self.assertGreater(count, 12)
        for cut_at in range(count):
            for then in (None, 1, 2, 4):
                _, ira, ben = self.move(cut_at, then)
                with self.subTest((cut_at, then)):
                    self.assertIsNone(ira.talk.bye)
                    self.assertEqual(list(ira.talk.peers.rooms), [LAB])
                    self.assertEqual(self.members(ROOM), ["Ben"])
                    self.assertEqual(self.said(ben, LAB), [("Ira", "one")])
                    self.assert_nothing_wrong(ira, ben)

    def check(self, ira: Seat, ben: Seat, where: object) -> None:
        with self.subTest(where):
            self.assertEqual(self.said(ben, LAB), [("Ira", "one"), ("Ira", "two")])
            self.assertEqual(self.said(ben, ROOM), [("Ira", "one"), ("Ira", "back")])
            self.assertEqual(self.said(ira, LAB), [("Ben", "hello"), ("Ben", "well")])
            self.assertEqual(self.said(ira, ROOM), [("Ben", "good")])
            self.assertEqual(sorted(ira.talk.peers.rooms), [LAB, ROOM])
            self.assertEqual([self.members(room) for room in (LAB, ROOM)], [["Ben", "Ira"]] * 2)
            self.assertTrue(ira.talk.is_idle())
            self.assert_nothing_wrong(ira, ben)

    def test_once_and_twice(self) -> None:
        count, ira, ben = self.play(None, None)
        self.check(ira, ben, "uncut")
        self.assertGreater(count, 40)
        for cut_at in range(count):
            for then in (None, 1 + cut_at % 5):
                _, ira, ben = self.play(cut_at, then)
                self.check(ira, ben, (cut_at, then))


class Kept(InRooms):
    """Rooms with keepers, and what else a server rules over (§6, Rooms and Commands)."""

    def two_in_the_lab(self) -> tuple[Seat, Seat]:
        ira, ben = self.two()
        self.enter(ira, ben)
        return ira, ben

    def test_resumed_in_a_room_that_was_left_meanwhile(self) -> None:
        """Left, or removed: the last that the client knows is that it is there."""
        for put_out in (False, True):
            with self.subTest(put_out=put_out):
                self.setUp()
                ira, ben = self.two_in_the_lab()
                if put_out:
                    self.table.cut(ben)
                    self.command(ira, f"KICK {LAB} Ben enough")
                else:
                    ben.talk.part(LAB)
                    self.table.send(ben)
                    self.table.cut(ben)
                self.assertEqual(self.members(LAB), ["Ira"])
                self.table.back(ben)
                self.assertEqual(cbor.decode(ben.talk.outgoing[0])[1], LAB)
                self.table.run()
                self.assertEqual(list(ben.talk.peers.rooms), [ROOM])
                self.assertFalse(ben.talk.begins_anew())
                self.say_in(ben, ROOM, "still here")
                self.assertEqual(ira.heard(), [("Ben", "still here")])
                self.assertEqual(ben.lines("error"), [])

    def test_put_out_of_a_room(self) -> None:
        ira, ben = self.two_in_the_lab()
        self.say_in(ira, LAB, "one")
        self.command(ira, f"KICK {LAB} Ben enough")
        lines = [line for line in ben.shown if "notice" in line or "left" in line]
        self.assertIn("enough", lines[0]["notice"])
        self.assertEqual(lines[1], {"left": "Ben", "reason": "kicked", "room": LAB})
        self.assertEqual(list(ben.talk.peers.rooms), [ROOM])
        self.say_in(ira, LAB, "two")
        self.say_in(ira, ROOM, "three")
        self.assertEqual(ben.heard(), [("Ira", "one"), ("Ira", "three")])

    def test_put_out_while_a_leave_is_under_way(self) -> None:
        ira, ben = self.two_in_the_lab()
        ben.talk.part(LAB)
        ben.hold()
        self.command(ira, f"KICK {LAB} Ben")
        self.table.run()
        self.assertEqual(list(ben.talk.peers.rooms), [ROOM])
        self.assert_nothing_wrong(ben)

    def test_who_keeps_a_room(self) -> None:
        ira, ben = self.two_in_the_lab()
        tom = self.table.sit("Tom", room=LAB)
        keeper = self.table.chat.rooms[LAB]
        self.assertEqual((keeper.keeper, self.table.chat.rooms[ROOM].keeper), ("ira", None))
        self.assertEqual(self.command(ben, f"LOCK {LAB}"), "refused")
        self.assertEqual(self.command(ira, f"TOPIC {ROOM} mine"), "refused")
        ira.talk.part(LAB)
        self.table.run()
        self.assertEqual(keeper.keeper, "ben")
        self.assertIn("locked", self.command(ben, f"LOCK {LAB}"))
        ira.talk.enter(LAB)
        self.table.run()
        self.assertEqual(ira.lines("error"), ["refused", "refused"])
        self.command(ben, f"INVITE {LAB} Ira")
        self.enter(ira)
        self.assertEqual(self.members(LAB), ["Ben", "Tom", "Ira"])
        self.table.go(tom)

    def test_a_topic_is_told_who_comes(self) -> None:
        ira, ben = self.two_in_the_lab()
        self.command(ira, f"TOPIC {LAB} of ciphers")
        tom = self.table.sit("Tom")
        self.assertNotIn("ciphers", tom.lines("welcome")[0]["notice"])
        self.enter(tom)
        self.assertIn("ciphers", tom.lines("welcome")[1]["notice"])
        self.assertIn("of ciphers", self.command(tom, "ROOMS"))

    def test_muted(self) -> None:
        """It uses n up, and a key; who may speak again does."""
        ira, ben = self.two()
        self.say(ira, "one")
        self.table.chat.command("MUTE Ira 1h")
        ira.talk.say("two")
        ira.talk.whisper("Ben", "psst")
        ira.talk.write_letter("Ben", "a letter")
        self.table.run()
        told = [(line["error"], line["of"], line["n"]) for line in ira.shown if "error" in line]
        self.assertEqual(told, [("muted", "say", 3), ("muted", "whisper", 4), ("muted", "letter", 5)])
        self.table.chat.command("UNMUTE Ira")
        self.say(ira, "three")
        self.assertEqual([text for _, text in ben.heard()], ["one", "three"])
        missing = [(line["missing"], line["of"]) for line in ben.shown if "missing" in line]
        self.assertEqual(missing, [(1, "shared"), (1, "said")])  # a count that was refused is used up

    def test_a_muted_name_shares_its_key(self) -> None:
        """Nobody is told by a message that was refused for good."""
        ira, ben = self.two()
        self.table.chat.command("MUTE Ira")
        self.say(ira, "one")
        self.assertEqual(ira.lines("shared_with"), [["Ben"]])
        self.assertEqual(ira.lines("error"), ["muted"])


class Asked(FromTheServer):
    """Join, Lookup, Leave, Command and Password are answered in order, or the client leaves."""

    def ask_all(self) -> list[list]:
        """All of them, and an answer to each."""
        self.setUp()
        self.let_in()
        self.talk.outgoing.clear()
        self.talk.command("ROOMS")
        self.talk.write_letter("Eva", "Hi")
        self.talk.set_password("Correct horse")
        self.talk.enter(LAB)
        self.assertEqual([cbor.decode(message) for message in self.talk.outgoing],
                         [[shapes.COMMAND, "ROOMS"], [shapes.LOOKUP, "Eva"],
                          [shapes.PASSWORD, "Correct horse"], [shapes.JOIN, LAB, "", 0]])  # fmt: skip
        eva = user("Eva").identity.spki
        welcome = self.welcome(IRA, change=1, cursor=9)
        welcome[1] = LAB
        return [[shapes.ANSWER, "#lobby"], [shapes.FOUND, "Eva", eva], [shapes.ANSWER, "It is set."], welcome]

    def test_in_order(self) -> None:
        for answer in self.ask_all():
            self.talk.handle(answer)
        self.assertEqual([line["of"] for line in self.shown if "answer" in line], ["ROOMS", "password"])
        self.assertEqual(sorted(self.talk.peers.rooms), [LAB, ROOM])
        self.assert_leaves([shapes.ANSWER, "once more"])

    def test_each_refused(self) -> None:
        for _ in self.ask_all():
            self.talk.handle([shapes.ERROR, "refused", "no", 0])
        told = [line["of"] for line in self.shown if "error" in line]
        self.assertEqual(told, ["ROOMS", "letter to Eva", "password", LAB])
        self.assert_leaves([shapes.ERROR, "refused", "no", 0])

    def test_out_of_order(self) -> None:
        for count in range(4):
            answers = self.ask_all()
            for answer in answers[:count]:
                self.talk.handle(answer)
            for early in answers[count + 1 :]:
                if early[0] != answers[count][0]:
                    self.assert_leaves(early)

    def test_another_rooms_welcome(self) -> None:
        *answers, welcome = self.ask_all()
        for answer in answers:
            self.talk.handle(answer)
        for index, other in ((1, ROOM), (1, "#den"), (4, 1), (5, 5)):
            altered = [*welcome]
            altered[index] = other
            self.assert_leaves(altered)

    def test_lost_before_the_answer(self) -> None:
        """A command may have been carried out; a room whose Welcome may have come is left, and joined anew."""
        self.ask_all()
        self.talk.join()
        self.assertEqual([line["in_doubt"] for line in self.shown if "in_doubt" in line], ["ROOMS", "password"])
        self.assertEqual([cbor.decode(m) for m in self.talk.outgoing],
                         [[shapes.JOIN, ROOM, "", 5], [shapes.PING]])  # fmt: skip
        self.talk.outgoing.clear()
        self.talk.handle(self.welcome(change=0, cursor=5, resumed=1))
        missed: list[list[cbor.Value]] = [
            [4, LAB, STRANGER, 9], [1, LAB, STRANGER, 9, b"x"], [3, STRANGER, b"x"], [8, STRANGER, 1],
        ]
        for cursor, event in enumerate(missed, 6):
            self.talk.handle(self.event(cursor, *event))
        self.talk.outgoing.clear()
        self.talk.handle([shapes.PONG])
        self.assertEqual([cbor.decode(m) for m in self.talk.outgoing], [[shapes.LEAVE, LAB]])
        self.talk.outgoing.clear()
        for code in ("absent", "refused"):  # to the Lookup, which went before, and the Leave
            self.talk.handle([shapes.ERROR, code, "", 0])
        self.assertEqual([cbor.decode(m) for m in self.talk.outgoing], [[shapes.JOIN, LAB, "", 0]])

    def test_a_password_is_told_once(self) -> None:
        for secret, cursor in (("Correct horse", 0), ("", 0)):
            self.setUp()
            self.talk.secret = secret
            self.talk.handle([shapes.ERROR, "password", "it has one", 0])
            sent = [cbor.decode(m) for m in self.talk.outgoing[1:]]
            self.assertEqual(sent, [[shapes.JOIN, ROOM, secret, cursor]] * bool(secret))
            if secret:
                self.assertIsNone(self.talk.refused)
                self.talk.handle([shapes.ERROR, "password", "it is another", 0])
            self.assertEqual(self.talk.refused, "password")
            self.assertEqual(len(self.talk.outgoing), 1 + len(sent))
            self.assertFalse(self.talk.begins_anew())


if __name__ == "__main__":
    unittest.main()
