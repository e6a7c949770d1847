"""Passwords, invitations, several rooms and commands, with whole programs (PROTOCOL.md §6)."""

from __future__ import annotations

import unittest

from processes import OTHER, Child, other_server, python_client, python_server
from test_interop import Running

PASSWORD = "Correct horse, battery staple"


class ComingIn(Running):
    """This implementation's client, at either server."""

    def serve(self, access: str = "open") -> tuple[Child, int, str]:
        server = self.start(python_server(self.folder / "server", access=access))
        listening = server.await_json(listening=None)
        return server, listening["listening"], listening["fingerprint"]

    def invite(self, server: Child) -> str:
        server.write("INVITE 1 1")
        return server.await_json(answer=None)["answer"]

    def file(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content + "\n", encoding="utf-8")
        return str(path)

    def client(self, port: int, name: str, keys: str, *more: str) -> Child:
        return self.start(python_client(port, name, self.folder / keys, *more))

    def test_a_second_key(self) -> None:
        """Its password goes to a server that is pinned, and to no other."""
        _, port, fingerprint = self.serve()
        first = self.client(port, "Ira", "one")
        first.await_json(welcome=None)
        none = self.client(port, "Ira", "two")
        none.await_json(error="taken")
        self.assertNotEqual(none.await_exit(), 0)
        first.write("/password short")
        first.await_json(error=None)
        first.write(f"/password {PASSWORD}")
        first.await_json(answer=None, of="password")
        password = self.file("password", PASSWORD)
        stranger = self.client(port, "Ira", "three", "--password-file", password)
        stranger.await_json(error="password")
        self.assertNotEqual(stranger.await_exit(), 0)
        self.assertNotIn("asked_for", stranger.story())
        wrong = self.file("wrong", "Wrong horse, battery staple")
        guesser = self.client(port, "Ira", "two", "--password-file", wrong)
        guesser.await_json(asked_for="password")
        guesser.await_json(error="password")
        self.assertNotEqual(guesser.await_exit(), 0)
        pinned = ("--password-file", password, "--fingerprint", fingerprint)
        second = self.client(port, "Ira", "four", *pinned)
        second.await_json(asked_for="password")
        second.await_json(welcome=None)
        first.await_json(bye="replaced")
        self.assertNotEqual(first.await_exit(), 0)
        second.write("/leave")
        self.assert_ends_well(second)
        again = self.client(port, "Ira", "two", "--password-file", password)
        again.await_json(welcome=None)
        again.write("/leave")
        self.assert_ends_well(again)
        unasked = self.client(port, "Ira", "four")
        unasked.await_json(welcome=None)

    def test_by_invitation(self) -> None:
        server, port, fingerprint = self.serve("invitation")
        stranger = self.client(port, "Ira", "Ira")
        stranger.await_json(error="password")
        self.assertNotEqual(stranger.await_exit(), 0)
        line = self.invite(server)
        self.assertRegex(line, r"^cfb-chat://[^ /]+:\d+/#SHA256:[^ ]{43}/[\w-]{22}$")
        invited = self.invited("Ira", line)
        invited.await_json(server=fingerprint)
        invited.await_json(asked_for="password")
        invited.await_json(welcome=None)
        other = self.invited("Ben", line)  # it was for one
        other.await_json(asked_for="password")
        other.await_json(error="password")
        self.assertNotEqual(other.await_exit(), 0)
        invited.write("/leave")
        self.assert_ends_well(invited)
        back = self.client(port, "Ira", "Ira")
        back.await_json(welcome=None)
        head, _, token = line.rpartition("/")
        false = f"{head[:-43]}{'A' * 43}/{token}"
        warned = self.invited("Eva", false)
        self.assertIn(fingerprint, warned.await_json(error=None)["error"])
        self.assertNotEqual(warned.await_exit(), 0)

    def invited(self, name: str, line: str) -> Child:
        written = self.file("invitation", line)
        return self.start(python_client(None, name, self.folder / name, "--join-file", written))

    def test_closed(self) -> None:
        _, port, _ = self.serve("closed")
        stranger = self.client(port, "Ira", "Ira")
        self.assertTrue(stranger.await_json(error="refused")["text"])
        self.assertNotEqual(stranger.await_exit(), 0)

    def test_rooms_and_commands(self) -> None:
        _, port, _ = self.serve()
        ira, ben = self.client(port, "Ira", "Ira"), self.client(port, "Ben", "Ben")
        for child in (ira, ben):
            child.await_json(welcome=None)
        ben.write("/join #lab")
        ben.await_json(welcome=None)
        ben.write("/server TOPIC #lab of ciphers")
        ben.await_json(answer=None, of="TOPIC #lab of ciphers")
        ira.write("/join #lab")
        self.assertIn("of ciphers", ira.await_json(welcome=None)["welcome"]["notice"])
        ben.await_json(joined="Ira", room="#lab")
        ira.write("in the lab")
        ira.write("/in #lobby in the lobby")
        for text, room in (("in the lab", "#lab"), ("in the lobby", "#lobby")):
            said = ben.await_json(said=None)["said"]
            self.assertEqual((said["text"], said["room"]), (text, room))
        ben.write("/server KICK #lab Ira enough")
        ira.await_json(left="Ira", reason="kicked", room="#lab")
        ben.await_json(left="Ira", reason="kicked", room="#lab")
        ira.write("only the lobby is left")
        said = ben.await_json(said=None)["said"]
        self.assertEqual((said["text"], said["room"]), ("only the lobby is left", "#lobby"))
        ira.write("/server LOCK #lab")
        ira.await_json(error="refused", of="LOCK #lab")
        ben.write("/part #lobby")
        ira.await_json(left="Ben", reason="left", room="#lobby")
        ben.write("/leave")
        self.assert_ends_well(ben)
        ira.close_input()
        self.assert_ends_well(ira)


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class ComingInAtTheOther(ComingIn):
    """The same at the other implementation's server."""

    def serve(self, access: str = "open") -> tuple[Child, int, str]:
        server = self.start(other_server(self.folder / "server", "--access", access, "--limits", "off"))
        return server, server.await_port(), self.fingerprint_of(server)

    def fingerprint_of(self, server: Child) -> str:
        line = next(line for line in [*server.seen, *server.errors] if "SHA256:" in line)
        return next(word for word in line.split() if word.startswith("SHA256:"))

    def invite(self, server: Child) -> str:
        server.write("INVITE 1 1")
        line = server.await_line(lambda line: "cfb-chat://" in line, "an invitation")
        return line[line.index("cfb-chat://") :].split()[0]


if __name__ == "__main__":
    unittest.main()
