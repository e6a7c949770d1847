"""The smallest client of PROTOCOL.md §12 in a room with whole ones, of both implementations, at either server."""

from __future__ import annotations

import socket
import unittest

from cfbchat.connection import Link, after, shake_hands_as_client
from cfbchat.handshake import ClientHandshake
from people import user
from processes import OTHER, Child, other_client, other_server
from smallest import SECONDS, Smallest
from test_interop import Running


class AmongOurs(Running):
    """This implementation's server and clients."""

    def serve(self) -> int:
        return self.start_server()[1]

    def whole(self, port: int, name: str) -> Child:
        client = self.start_client(port, name)
        client.await_json(welcome=None)
        return client

    def hears(self, client: Child, name: str, text: str) -> None:
        client.await_said(name, text)

    def leaves(self, client: Child) -> None:
        client.write("/leave")
        self.assert_ends_well(client)

    def whispers(self, client: Child, name: str) -> None:
        client.write(f"/whisper {name} psst")
        client.await_json(whispered_to=name)

    def sees(self, client: Child, name: str) -> None:
        client.await_json(joined=name)

    def writes(self, client: Child, name: str) -> None:
        client.await_json(left=name)
        client.write(f"/whisper {name} read this")
        client.await_json(wrote_to=name)

    def smallest(self, port: int, name: str) -> Smallest:
        own = user(name)
        sock = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.addCleanup(sock.close)
        records = shake_hands_as_client(Link(sock), ClientHandshake(own), after(SECONDS))
        folder = self.folder / f"smallest {name}"
        folder.mkdir(exist_ok=True)
        return Smallest(records, own, folder)

    def test_it_talks_with_all(self) -> None:
        port = self.serve()
        ira = self.smallest(port, "Ira")
        ira.say("is anybody here?")
        ben = self.whole(port, "Ben")
        ira.await_members(2)
        ira.say("Hi Ben")
        self.hears(ben, "Ira", "Hi Ben")
        ben.write("Hi Ira")
        ira.listen_until("Hi Ira")
        eva = self.smallest(port, "Eva")
        ira.await_members(3)
        self.whispers(ben, "Ira")
        ben.write("now we are three")
        for smallest in (ira, eva):
            smallest.listen_until("now we are three")
        eva.say("indeed")
        self.hears(ben, "Eva", "indeed")
        ira.listen_until("indeed")
        self.leaves(ben)
        ira.await_members(2)
        for number in range(3):
            ira.say(f"only us, {number}")
        eva.listen_until("only us, 2")
        self.assertEqual(eva.heard[-3:], [("Ira", f"only us, {number}") for number in range(3)])
        self.assertEqual([name for name, _ in ira.heard], ["Ben", "Ben", "Eva"])
        for smallest in (ira, eva):
            smallest.leave()
            self.assertEqual(smallest.told, ["left"])


    def test_it_leaves_letters_for_a_client_that_reads_them(self) -> None:
        """PROTOCOL.md 6.5-7: what is not Seen comes again at the next join."""
        port = self.serve()
        ira = self.smallest(port, "Ira")
        ben = self.whole(port, "Ben")
        ira.await_members(2)
        ira.leave()
        self.writes(ben, "Ira")
        for _ in range(2):
            again = self.smallest(port, "Ira")
            again.listen_for_a_letter()
            self.sees(ben, "Ira")
            ben.write("not a letter")
            again.listen_until("not a letter")
            self.assertLess(again.seen, again.cursor)
            again.leave()


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class AmongTheirs(AmongOurs):
    """The other implementation's server and clients."""

    def serve(self) -> int:
        return self.start(other_server(self.folder / "server")).await_port()

    def whole(self, port: int, name: str) -> Child:
        client = self.start(other_client(port, name, self.folder / name))
        client.await_line(lambda line: "Now you can start" in line, "the welcome")
        return client

    def hears(self, client: Child, name: str, text: str) -> None:
        client.await_line(lambda line: line.endswith(f"{name}: {text}"), text)

    def leaves(self, client: Child) -> None:
        client.write("EXIT")
        self.assert_ends_well(client)

    def whispers(self, client: Child, name: str) -> None:
        client.write(f"/w {name} psst")
        client.await_line(lambda line: f"[whisper to {name}] psst" in line, "the whisper")

    def sees(self, client: Child, name: str) -> None:
        client.await_line(lambda line: f"{name} joined" in line, "the joining")

    def writes(self, client: Child, name: str) -> None:
        client.await_line(lambda line: f"{name} left" in line, "the leaving")
        client.write(f"/w {name} read this")
        client.await_line(lambda line: f"[letter to {name}, without forward secrecy] read this" in line, "the letter")


if __name__ == "__main__":
    unittest.main()
