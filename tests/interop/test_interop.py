"""Clients and servers of both implementations with one another.

The programs in the directory that CFB_CHAT_BIN names, `server` and `client`, are the other
implementation; without it only this one talks to itself.
"""

from __future__ import annotations

import os
import re
import tempfile
import unittest
from pathlib import Path

from processes import Child, python_client, python_server

OTHER = os.environ.get("CFB_CHAT_BIN")
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


class Running(unittest.TestCase):
    """Starts programs in a fresh directory, and ends them."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def start(self, child: Child) -> Child:
        self.addCleanup(child.end)
        return child

    def start_server(self) -> tuple[Child, int, str]:
        server = self.start(python_server(self.folder / "server"))
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
        _, port, _ = self.start_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        ben = self.start_client(port, "Ben")
        ira.await_json(joined="Ben")
        ben.end()
        ira.await_json(left="Ben", reason="lost")

    def test_a_name_belongs_to_its_first_identity(self) -> None:
        _, port, _ = self.start_server()
        ira = self.start_client(port, "Ira")
        ira.await_json(welcome=None)
        other = self.start(python_client(port, "Ira", self.folder / "other"))
        other.await_json(error="password")
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
    def start_other_server(self) -> tuple[Child, int]:
        keys = str(self.folder / "server")
        server = self.start(Child(str(Path(OTHER or "") / "server"), "-p", "0", "--keys", keys))
        line = server.await_line(lambda line: "Running on port: " in line, "the port")
        return server, int(line.rsplit(" ", 1)[1])

    def start_other_client(self, port: int, name: str) -> Child:
        program = str(Path(OTHER or "") / "client")
        keys = str(self.folder / name)
        return self.start(
            Child(program, "-s", "127.0.0.1", "-p", str(port), "-u", name, "--keys", keys)
        )

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

    def test_their_client_first(self) -> None:
        server, port = self.start_other_server()
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
        other.await_json(error="password")
        ira.write("enough")
        ben.await_said("Ira", "enough")
        self.assert_ends_well(ben)

    def test_two_of_their_clients_on_our_server(self) -> None:
        server, port, _ = self.start_server()
        ira = self.start_other_client(port, "Ira")
        server.await_json(joined="Ira")
        ben = self.start_other_client(port, "Ben")
        server.await_json(joined="Ben")
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
