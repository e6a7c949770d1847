"""Clients and servers of both implementations with one another."""

from __future__ import annotations

import re
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from processes import OTHER, Child, other_client, other_server, python_client, python_server

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


class Running(unittest.TestCase):
    """Starts programs in a fresh directory, and ends them."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def start(self, child: Child) -> Child:
        self.addCleanup(child.end)
        return child

    def start_server(self, window: float = 120.0) -> tuple[Child, int, str]:
        server = self.start(python_server(self.folder / "server", window))
        listening = server.await_json(listening=None)
        return server, listening["listening"], listening["fingerprint"]

    def start_client(self, port: int, name: str, *more: str) -> Child:
        return self.start(python_client(port, name, self.folder / name, *more))

    def assert_ends_well(self, child: Child) -> None:
        self.assertEqual(child.await_exit(), 0, child.story())


class BothHere(Running):
    def test_two_clients_talk(self) -> None:
        server, port, fingerprint = self.start_server()
        ira = self.start_client(port, "Ira", "--fingerprint", fingerprint)
        ira.await_json(server=fingerprint)
        self.assertEqual(ira.await_json(welcome=None)["welcome"]["change"], 1)
        ben = self.start_client(port, "Ben", "--fingerprint", fingerprint)
        self.assertEqual(ben.await_json(welcome=None)["welcome"]["members"], ["Ira", "Ben"])
        ira.await_json(joined="Ben")
        for speaker, other, name, texts in (
            (ira, ben, "Ira", ["Hi", "grüße 水 😀", "x" * 4096]),
            (ben, ira, "Ben", ["Hello", "control \x1b[31m and \u202e"]),
        ):
            for text in texts:
                speaker.write(text)
            for text in texts:
                speaker.await_json(accepted=None)
                other.await_said(name, text)
        ben.write("/leave")
        ben.await_json(bye="left")
        self.assert_ends_well(ben)
        ira.await_json(left="Ben", reason="left")
        ira.close_input()
        ira.await_json(bye="left")
        self.assert_ends_well(ira)
        server.write("TERMINATE")
        self.assert_ends_well(server)

    def test_whispers_and_letters(self) -> None:
        server, port, fingerprint = self.start_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        ben = self.start_client(port, "Ben")
        ira.await_json(joined="Ben")
        ira.write("/whisper Ben psst")
        ira.await_json(whispered_to="Ben")
        ben.await_said("Ira", "psst", "whispered")
        ben.write("/whisper Ira yes?")
        ira.await_said("Ben", "yes?", "whispered")
        ben.write("/letter Ira at once")
        ira.await_said("Ben", "at once", "letter")
        ben.write("/leave")
        self.assert_ends_well(ben)
        ira.await_json(left="Ben")
        ira.write("/whisper Ben where are you")
        ira.await_json(wrote_to="Ben")
        ben = self.start_client(port, "Ben", "--room", "#elsewhere")
        ben.await_said("Ira", "where are you", "letter")
        server.write("TERMINATE")
        self.assert_ends_well(ben)
        self.assertFalse(any("psst" in line or "yes?" in line for line in self.lines_of(server)))

    def test_in_words(self) -> None:
        _, port, _ = self.start_server()
        ben = self.start(python_client(port, "Ben", self.folder / "Ben", as_json=False))
        ben.await_error(lambda told: "In #lobby: Ben" in told, "the welcome")
        ira = self.start_client(port, "Ira", "--say", "Hi", "\x1b[31m", "--expect", "1")
        for expected in ("[+] Ira joined the room.", "Ira: Hi", "Ira: <U+001B>[31m"):
            ben.await_line(lambda line: line == expected, expected)
        ira.write("/whisper Ben psst")
        ben.await_line(lambda line: line == "[whisper from Ira] psst", "the whisper")
        ira.write("/letter Ben Hi")
        ben.await_line(lambda line: line == "[letter from Ira] Hi", "the letter")
        ben.write("/whisper Ira yes")
        ben.await_line(lambda line: line == "[whisper to Ira] yes", "that it was sent")
        ben.write("/server HELP")
        ben.await_error(lambda told: "\nROOMS: " in told and "\nTOPIC " in told, "the lines of the answer")
        ben.write("enough")
        self.assert_ends_well(ira)
        ben.await_line(lambda line: line == "[-] Ira left the room (left).", "that she left")

    def test_said_from_the_command_line(self) -> None:
        server, port, _ = self.start_server()
        ira = self.start_client(port, "Ira", "--expect", "2")
        ira.await_json(welcome=None)
        ben = self.start_client(port, "Ben", "--expect", "0", "--say", "one", "two")
        self.assert_ends_well(ben)
        ira.await_said("Ben", "one")
        ira.await_said("Ben", "two")
        self.assert_ends_well(ira)

    def test_many_messages_meet_the_limit_and_all_arrive(self) -> None:
        server, port, _ = self.start_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        ben = self.start_client(port, "Ben", "--expect", "0", "--say", *map(str, range(30)))
        for number in range(30):
            ira.await_said("Ben", str(number))
        self.assert_ends_well(ben)
        self.assertTrue(any('"told": "wait"' in line for line in self.lines_of(ben)))

    def lines_of(self, child: Child) -> list[str]:
        """All lines of a program that has ended."""
        while not child.lines.empty():
            child.seen.append(child.lines.get() or "")
        return child.seen

    def test_terminate_tells_everybody(self) -> None:
        server, port, _ = self.start_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        server.write("TERMINATE")
        ira.await_json(bye="terminated")
        self.assert_ends_well(ira)
        self.assert_ends_well(server)

    def test_a_lost_client_leaves(self) -> None:
        _, port, _ = self.start_server(window=3)
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        ben = self.start_client(port, "Ben")
        ira.await_json(joined="Ben")
        ben.end()
        ira.await_json(absent="Ben")
        ira.await_json(left="Ben", reason="lost")

    def test_a_name_belongs_to_its_first_identity(self) -> None:
        _, port, _ = self.start_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        other = self.start(python_client(port, "Ira", self.folder / "other"))
        other.await_json(error="taken")
        self.assertNotEqual(other.await_exit(), 0)
        again = self.start_client(port, "Ira")
        again.await_json(welcome=None)
        ira.await_json(bye="replaced")
        self.assertNotEqual(ira.await_exit(), 0)

    def test_another_server_is_refused_by_a_pin(self) -> None:
        _, port, fingerprint = self.start_server()
        wrong = "SHA256:" + "A" * 43
        ira = self.start_client(port, "Ira", "--fingerprint", wrong)
        self.assertIn(fingerprint, ira.await_json(error=None)["error"])
        self.assertNotEqual(ira.await_exit(), 0)


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class BothImplementations(Running):
    def start_other_server(self, window: float | None = None) -> tuple[Child, int]:
        server = self.start(other_server(self.folder / "server", window=window))
        return server, server.await_port()

    def start_our_server(self) -> tuple[Child, int]:
        server, port, _ = self.start_server()
        return server, port

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Keys and files that nobody has used yet."""
        with TemporaryDirectory() as folder:
            self.folder = Path(folder)
            yield

    def end_all(self, server: Child, ours: Child, theirs: Child) -> None:
        theirs.write("EXIT")
        self.assert_ends_well(theirs)
        server.write("TERMINATE")
        for child in (server, ours):
            self.assert_ends_well(child)

    def start_other_client(self, port: int, name: str) -> Child:
        return self.start(other_client(port, name, self.folder / name))

    def await_shown(self, child: Child, sender: str, text: str) -> None:
        pattern = re.compile(rf"{STAMP} {re.escape(sender)}: {re.escape(text)}\s*$")
        child.await_line(lambda line: bool(pattern.search(line)), f"{text!r} of {sender}")

    def test_their_server_between_both_clients(self) -> None:
        server, port = self.start_other_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        ben = self.start_other_client(port, "Ben")
        ira.await_json(joined="Ben")
        for text in ("Hi", "grüße 水", "x" * 4096):
            ira.write(text)
            self.await_shown(ben, "Ira", text)
            ira.await_json(accepted=None)
        for text in ("Hello", "y" * 1000):
            ben.write(text)
            ira.await_said("Ben", text)
        ben.write("EXIT")
        self.assert_ends_well(ben)
        ira.await_json(left="Ben", reason="left")
        ira.write("/leave")
        ira.await_json(bye="left")
        self.assert_ends_well(ira)
        server.write("TERMINATE")
        self.assert_ends_well(server)

    def await_line(self, child: Child, line: str) -> None:
        """Their client shows exactly this, behind the time."""
        pattern = re.compile(rf"{STAMP} {re.escape(line)}\s*$")
        child.await_line(lambda shown: bool(pattern.search(shown)), line)

    def test_whispers_of_both_clients(self) -> None:
        """On both servers: ours to theirs, theirs to ours, and an answer."""
        for start_server in (self.start_other_server, self.start_our_server):
            with self.subTest(start_server.__name__), self.fresh():
                server, port = start_server()
                ira = self.start_client(port, "Ira")
                ira.await_json(welcome=None)
                ben = self.start_other_client(port, "Ben")
                ira.await_json(joined="Ben")
                for text in ("psst", "grüße 水", "x" * 4096):
                    ira.write(f"/whisper Ben {text}")
                    self.await_line(ben, f"[whisper from Ira] {text}")
                    ira.await_json(whispered_to="Ben")
                ben.write("/whisper Ira yes?")
                self.await_line(ben, "[whisper to Ira] yes?")
                ira.await_said("Ben", "yes?", "whispered")
                ben.write("/reply I am here")
                self.await_line(ben, "[whisper to Ira] I am here")
                ira.await_said("Ben", "I am here", "whispered")
                ira.write("to all")
                self.await_shown(ben, "Ira", "to all")
                self.end_all(server, ira, ben)

    def test_letters_of_both_clients(self) -> None:
        """On both servers: each is away while the other writes."""
        for start_server in (self.start_other_server, self.start_our_server):
            with self.subTest(start_server.__name__), self.fresh():
                server, port = start_server()
                ira = self.start_client(port, "Ira")
                ira.await_json(welcome=None)
                ben = self.start_other_client(port, "Ben")
                ira.await_json(joined="Ben")
                ben.write("EXIT")
                self.assert_ends_well(ben)
                ira.await_json(left="Ben")
                for text in ("one", "grüße 水"):
                    ira.write(f"/whisper Ben {text}")
                    ira.await_json(wrote_to="Ben")
                ira.write("/leave")
                self.assert_ends_well(ira)
                ben = self.start_other_client(port, "Ben")
                for text in ("one", "grüße 水"):
                    self.await_line(ben, f"[letter from Ira, without forward secrecy] {text}")
                for text in ("two", "x" * 4096):
                    ben.write(f"/whisper Ira {text}")
                    self.await_line(ben, f"[letter to Ira, without forward secrecy] {text}")
                ira = self.start_client(port, "Ira")
                for text in ("two", "x" * 4096):
                    ira.await_said("Ben", text, "letter")
                self.end_all(server, ira, ben)

    def test_who_comes_and_goes(self) -> None:
        """Keys for those who are there: a newcomer hears on, and who stays hears after a leave."""
        for start_server in (self.start_other_server, self.start_our_server):
            with self.subTest(start_server.__name__), self.fresh():
                server, port = start_server()
                ira = self.start_client(port, "Ira")
                ira.await_json(welcome=None)
                ben = self.start_other_client(port, "Ben")
                ira.await_json(joined="Ben")
                ira.write("one")
                self.await_shown(ben, "Ira", "one")
                ben.write("two")
                ira.await_said("Ben", "two")
                eva = self.start_client(port, "Eva")
                ira.await_json(joined="Eva")
                tom = self.start_other_client(port, "Tom")
                ira.await_json(joined="Tom")
                ira.write("three")
                for child in (ben, tom):
                    self.await_shown(child, "Ira", "three")
                eva.await_said("Ira", "three")
                ben.write("four")
                self.await_shown(tom, "Ben", "four")
                for child in (ira, eva):
                    child.await_said("Ben", "four")
                eva.write("/leave")
                self.assert_ends_well(eva)
                ira.await_json(left="Eva")
                tom.write("EXIT")
                self.assert_ends_well(tom)
                ira.await_json(left="Tom")
                ira.write("five")
                self.await_shown(ben, "Ira", "five")
                ben.write("six")
                ira.await_said("Ben", "six")
                for child in (ira, eva):
                    for key in ("missing", "unreadable", "message_refused"):
                        self.assertNotIn(f'"{key}"', child.story())
                self.end_all(server, ira, ben)

    def test_both_clients_show_the_same_number(self) -> None:
        _, port = self.start_other_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        ben = self.start_other_client(port, "Ben")
        ira.await_json(joined="Ben")
        ira.write("/verify Ben")
        number = ira.await_json(verify="Ben")["number"]
        ben.write("/verify Ira")
        digits = re.compile(r"\s+".join(number))
        ben.await_error(lambda told: bool(digits.search(told)), "the number")

    def test_their_client_first(self) -> None:
        server, port = self.start_other_server(window=3)
        watch = self.start_client(port, "Watch")
        watch.await_json(welcome=None)
        ben = self.start_other_client(port, "Ben")
        watch.await_json(joined="Ben")
        ira = self.start_client(port, "Ira")
        self.assertIn("Ben", ira.await_json(welcome=None)["welcome"]["members"])
        ira.write("Hi")
        self.await_shown(ben, "Ira", "Hi")
        ben.write("Hello")
        ira.await_said("Ben", "Hello")
        ira.end()
        watch.await_json(left="Ira", reason="lost")
        server.write("TERMINATE")
        watch.await_json(bye="terminated")
        self.assert_ends_well(watch)
        self.assert_ends_well(server)

    def test_two_of_our_clients_on_their_server(self) -> None:
        _, port = self.start_other_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        ben = self.start_client(port, "Ben", "--expect", "1", "--say", *map(str, range(30)))
        for number in range(30):
            ira.await_said("Ben", str(number))
        other = self.start(python_client(port, "Ira", self.folder / "other"))
        other.await_json(error="taken")
        ira.write("enough")
        ben.await_said("Ira", "enough")
        self.assert_ends_well(ben)

    def test_two_of_their_clients_on_our_server(self) -> None:
        server, port, _ = self.start_server()
        ira = self.start_other_client(port, "Ira")
        server.await_json(joined="Ira")
        ben = self.start_other_client(port, "Ben")
        server.await_json(joined="Ben")
        # What she says before she has seen him come is not for him.
        ira.await_line(lambda line: line == "[+] Ben joined the room.", "that Ben joined")
        for number in range(30):
            ira.write(f"message {number}")
        for number in range(30):
            self.await_shown(ben, "Ira", f"message {number}")
        ben.write("Hello")
        self.await_shown(ira, "Ben", "Hello")
        ira.write("EXIT")
        self.assert_ends_well(ira)
        server.await_json(left="Ira", reason="left")
        ben.write("EXIT")
        self.assert_ends_well(ben)
        server.await_json(left="Ben", reason="left")
        server.write("TERMINATE")
        self.assert_ends_well(server)


if __name__ == "__main__":
    unittest.main()
