"""Programs of both implementations whose connections are cut on the way (PROTOCOL.md §8)."""

from __future__ import annotations

import re
import time
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

from cutter import TO_CLIENT, TO_SERVER, Cutter
from processes import (
    OTHER,
    WAIT_SECONDS,
    Child,
    other_client,
    other_server,
    python_client,
    python_server,
)

WRONG = ("missing", "unreadable", "message_refused", "letter_refused", "person_refused", "in_doubt")
THEIR_WRONG = (" missing.", "cannot be opened", "REFUSED", "not known")
WINDOW = 20.0


class Talker:
    """A client of either implementation, driven in the same words."""

    def __init__(self, child: Child, ours: bool) -> None:
        self.child = child
        self.ours = ours
        self.write = child.write

    def await_in(self) -> None:
        if self.ours:
            self.child.await_json(welcome=None)
        else:
            self.child.await_line(lambda line: "start to exchange" in line, "that it is in")

    def await_joined(self, name: str) -> None:
        if self.ours:
            self.child.await_json(joined=name)
        else:
            self._await_shown(f"[+] {name} joined the room.")

    def hears(self, sender: str, text: str, how: str = "said") -> None:
        """The next that is said, or whispered, or written, is this."""
        if self.ours:
            self.child.await_said(sender, text, how)
            return
        opening = {
            "said": f"{sender}: ", "whispered": f"[whisper from {sender}] ",
            "letter": f"[letter from {sender}, without forward secrecy] ",
        }[how]  # fmt: skip
        self._await_shown(opening + text)

    def _await_shown(self, line: str) -> None:
        self.child.await_line(lambda shown: shown.rstrip().endswith(line), line)

    def said(self) -> list[str]:
        """Who said what, all of it so far, in the order in which it was shown."""
        while not self.child.lines.empty():
            self.child.seen.append(self.child.lines.get() or "")
        pattern = r'"said": {"from": "(\w+)", "text": "(\w+)"' if self.ours else r" (\w+): (\w+)\s*$"
        found = (re.search(pattern, line) for line in self.child.seen)
        return [f"{match[1]}: {match[2]}" for match in found if match]

    def leave(self) -> None:
        self.write("/leave" if self.ours else "EXIT")

    def wrong(self) -> list[str]:
        """What it has complained of."""
        told = self.child.story()
        return [word for word in (WRONG if self.ours else THEIR_WRONG) if word in told]


class OnTheWay(unittest.TestCase):
    """A server, clients, and what cuts their connections."""

    our_client = our_server = True

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.start_server()

    def start_server(self, window: float = WINDOW) -> None:
        keys = self.folder / f"server {window}"
        if self.our_server:
            self.server = python_server(keys, window)
            self.addCleanup(self.server.end)
            self.port = self.server.await_json(listening=None)["listening"]
        else:
            self.server = other_server(keys, "--limits", "off", window=window)
            self.addCleanup(self.server.end)
            self.port = self.server.await_port()
        self.cutter = Cutter(self.port)
        self.addCleanup(self.cutter.end)

    def start(self, name: str, port: int | None = None) -> Talker:
        """A client; on the way that is cut, unless it is told the server's own port."""
        start = python_client if self.our_client else other_client
        child = start(port or self.cutter.port, name, self.folder / name)
        self.addCleanup(child.end)
        talker = Talker(child, self.our_client)
        talker.await_in()
        return talker

    def two(self) -> tuple[Talker, Talker]:
        """Ira, whose connection is cut, and Ben."""
        ira = self.start("Ira")
        ben = self.start("Ben", self.port)
        ira.await_joined("Ben")
        return ira, ben

    def end_well(self, *talkers: Talker) -> None:
        for talker in talkers:
            talker.leave()
            self.assertEqual(talker.child.await_exit(), 0, talker.child.story())
            self.assertEqual(talker.wrong(), [], talker.child.story())


class Cuts(OnTheWay):
    """Our client at our server; every other pair is a subclass."""

    def test_cut_at_every_record(self) -> None:
        """Before the record or in its middle, each way, with both talking: all comes once, in order."""
        ira, ben = self.two()
        expected: list[str] = []
        for way in (TO_SERVER, TO_CLIENT):
            for record in (-1, 0, 1, 2):  # the handshake's last, the Join or its Welcome, what follows
                for half in (False, True) if self.our_client else (record % 2 == 0,):
                    # Their client pauses ever longer if no connection lasts a second.
                    time.sleep(0 if self.our_client else 1.1)
                    self.cutter.cut_at(way, record, half)
                    self.cutter.cut()
                    self.talk_until_cut(ira, ben, expected)
        self.assertEqual(self.cutter.cuts, 16 if self.our_client else 8)
        self.assertEqual(ben.said(), [f"Ira: {text}" for text in expected])
        self.assertEqual(ira.said(), [f"Ben: {text}" for text in expected])
        self.end_well(ira, ben)

    def talk_until_cut(self, ira: Talker, ben: Talker, expected: list[str]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            was_cut = self.cutter.plan is None
            text = f"t{len(expected)}"
            ira.write(text)
            ben.write(text)
            ben.hears("Ira", text)
            ira.hears("Ben", text)
            expected.append(text)
            if was_cut:
                return
            self.assertLess(time.monotonic(), deadline, "it was not cut")

    def test_many_messages_through_many_cuts(self) -> None:
        ira, ben = self.two()
        for number in range(40):
            ira.write(f"i{number}")
            if number % 4 == 0:
                ben.write(f"b{number}")
            if number % 8 == 3:
                self.cutter.cut()
            time.sleep(0.03)
        for number in range(40):
            ben.hears("Ira", f"i{number}")
        for number in range(0, 40, 4):
            ira.hears("Ben", f"b{number}")
        self.assertGreater(self.cutter.connections, 2)
        self.end_well(ira, ben)

    def test_while_away(self) -> None:
        """Others speak, whisper, write, come and go; all of it is there after that."""
        ira, ben = self.two()
        ira.write("one")
        ben.hears("Ira", "one")
        self.cutter.refuses = True
        self.cutter.cut()
        ben.write("two")
        eva = self.start("Eva", self.port)
        ben.await_joined("Eva")
        eva.write("three")
        ben.hears("Eva", "three")
        ben.write("/whisper Ira psst")
        if self.our_client:
            ben.write("/letter Ira letter")
        time.sleep(2.5)
        self.end_well(eva)
        ira.write("four")
        self.cutter.refuses = False
        ira.hears("Ben", "two")
        ira.hears("Eva", "three")
        ira.hears("Ben", "psst", "whispered")
        if self.our_client:
            ira.hears("Ben", "letter", "letter")
            ben.child.await_json(absent="Ira")
            ben.child.await_json(back="Ira")
        ben.hears("Ira", "four")
        ben.write("five")
        ira.hears("Ben", "five")
        self.end_well(ira, ben)

    def test_away_for_too_long(self) -> None:
        """A new session: what was not sent is sent, and what was missed shows."""
        self.start_server(window=1.0)
        ira, ben = self.two()
        ben.write("one")
        ira.hears("Ben", "one")
        self.cutter.refuses = True
        self.cutter.cut()
        leaves = {"left": "Ira", "reason": "lost"}
        if self.our_client:
            ben.child.await_json(**leaves)
        else:
            ben.child.await_line(lambda line: "Ira left the room." in line, "that Ira left")
        ben.write("two")
        time.sleep(0.5)
        ira.write("three")
        self.cutter.refuses = False
        ben.await_joined("Ira")
        ben.write("four")
        ira.hears("Ben", "four")
        if self.our_client:
            self.assertIn('"missing": 1', ira.child.story())
        else:
            ira.child.await_error(lambda told: " missing." in told, "that one is missing")
        ben.hears("Ira", "three")
        for talker in (ira, ben):
            talker.leave()
            self.assertEqual(talker.child.await_exit(), 0, talker.child.story())

    def test_the_server_starts_again(self) -> None:
        """With nothing of its sessions: every client begins anew, and goes on."""
        if not self.our_server:
            self.skipTest("its journal outlives it; what it then does is for its own tests")
        ira, ben = self.two()
        ira.write("one")
        ben.hears("Ira", "one")
        ben.write("yes")  # what she hears behind the answer to hers, which else would be in doubt
        ira.hears("Ben", "yes")
        self.cutter.refuses = True
        self.cutter.cut()
        self.server.end()
        self.server = python_server(self.folder / f"server {WINDOW}", WINDOW)
        self.addCleanup(self.server.end)
        self.cutter.target = self.server.await_json(listening=None)["listening"]
        tom = self.start("Tom", self.cutter.target)
        self.cutter.refuses = False
        tom.await_joined("Ira")
        ira.write("two")
        tom.hears("Ira", "two")
        tom.write("three")
        ira.hears("Tom", "three")
        self.end_well(ira, tom)


class RoomsThroughCuts(OnTheWay):
    """Joining one more room, speaking there and leaving it again, cut on the way."""

    def test_joined_and_left(self) -> None:
        ira, ben = self.two()
        ben.write("/join #lab")
        ben.child.await_json(welcome=None)
        number = 0
        for way, record in ((TO_SERVER, 1), (TO_CLIENT, 1), (TO_CLIENT, 2)):
            self.cutter.cut_at(way, record, half=False)
            self.cutter.cut()
            while self.cutter.plan is not None:
                number += 1
                for line in ("/join #lab", f"/in #lab t{number}", "/part #lab"):
                    ira.write(line)
                ben.hears("Ira", f"t{number}")
                ben.child.await_json(left="Ira", room="#lab", reason="left")
                ira.child.await_json(left="Ira", room="#lab")
        self.assertEqual(self.cutter.cuts, 3)
        ira.write("at last")
        ben.hears("Ira", "at last")
        self.end_well(ira, ben)


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class RoomsThroughCutsAtTheOtherServer(RoomsThroughCuts):
    our_server = False


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class CutsAtTheOtherServer(Cuts):
    our_server = False


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class CutsOfTheOtherClient(Cuts):
    our_client = False


if __name__ == "__main__":
    unittest.main()
