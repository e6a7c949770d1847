"""Passwords, invitations, several rooms and commands, with whole programs (PROTOCOL.md §6)."""

from __future__ import annotations

import unittest

from processes import OTHER, Child, other_client, other_server, python_client, python_server
from test_interop import Running

PASSWORD = "Correct h\u00f6rse, battery staple"
TYPED = "Correct ho\u0308rse,\u00a0battery staple"  # the same on another keyboard (RFC 8265)


class AtOurServer(Running):
    """This implementation's server, and the files that clients are given."""

    def serve(self, access: str = "open") -> tuple[Child, int, str]:
        server = self.start(python_server(self.folder / "server", access=access))
        listening = server.await_json(listening=None)
        return server, listening["listening"], listening["fingerprint"]

    def invite(self, server: Child) -> str:
        server.write("INVITE 1 1")
        return server.await_json(answer=None)["answer"]

    def file(self, name: str, content: str) -> str:
        path = self.folder / name
        path.touch(mode=0o600)  # their client takes no secret from a file that others can read
        path.write_text(content + "\n", encoding="utf-8")
        return str(path)


class ComingIn(AtOurServer):
    """This implementation's client, at either server."""

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
        first.write(f"/password {TYPED}")
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
        server, port, fingerprint = self.serve("invite")
        stranger = self.client(port, "Ira", "Ira")
        stranger.await_json(error="invitation")
        self.assertNotEqual(stranger.await_exit(), 0)
        line = self.invite(server)
        self.assertRegex(line, r"^cfb-chat://[^ /]+:\d+/#SHA256:[^ ]{43}/[\w-]{22}$")
        invited = self.invited("Ira", line)
        invited.await_json(server=fingerprint)
        invited.await_json(asked_for="invitation")
        invited.await_json(welcome=None)
        other = self.invited("Ben", line)  # it was for one
        other.await_json(asked_for="invitation")
        other.await_json(error="invitation")
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
        told = server.await_error(lambda told: "SHA256:" in told and told.endswith("\n"), "its fingerprint")
        return next(word for word in told.split() if word.startswith("SHA256:"))

    def invite(self, server: Child) -> str:
        server.write("INVITE 1 1")
        line = server.await_line(lambda line: "cfb-chat://" in line, "an invitation")
        return line[line.index("cfb-chat://") :].split()[0]


@unittest.skipUnless(OTHER, "CFB_CHAT_BIN is not set")
class TheirClientComingIn(AtOurServer):
    """The other implementation's client at this one's server."""

    def theirs(self, port: int | None, name: str, keys: str, *more: str) -> Child:
        return self.start(other_client(port, name, self.folder / keys, *more))

    def await_end(self, child: Child, end: str) -> None:
        """A line that ends so; what stands before it is the time, and perhaps the room."""
        child.await_line(lambda line: line.rstrip().endswith(end), end)

    def test_a_second_key(self) -> None:
        server, port, fingerprint = self.serve()
        first = self.start_client(port, "Ira")
        first.await_json(welcome=None)
        first.write(f"/password {TYPED}")
        first.await_json(answer=None, of="password")
        password = self.file("password", PASSWORD)
        none = self.theirs(port, "Ira", "none", "--fingerprint", fingerprint)
        none.close_input()
        server.await_json(join_refused="Ira", code="password")
        self.assertNotEqual(none.await_exit(), 0)
        second = self.theirs(port, "Ira", "other", "--fingerprint", fingerprint, "--password-file", password)
        server.await_json(joined="Ira")
        first.await_json(bye="replaced")
        ben = self.start_client(port, "Ben")
        ben.await_json(welcome=None)
        ben.write("Hi")
        self.await_end(second, "Ben: Hi")
        second.write("EXIT")
        self.assert_ends_well(second)
        again = self.theirs(port, "Ira", "other")
        server.await_json(joined="Ira")
        again.write("EXIT")
        self.assert_ends_well(again)

    def test_a_password_is_for_a_server_that_is_known(self) -> None:
        server, port, _ = self.serve()
        first = self.start_client(port, "Ira")
        first.await_json(welcome=None)
        first.write(f"/password {TYPED}")
        first.await_json(answer=None, of="password")
        password = self.file("password", PASSWORD)
        stranger = self.theirs(port, "Ira", "other", "--password-file", password)
        server.await_json(join_refused="Ira", code="password")
        self.assertNotEqual(stranger.await_exit(), 0)
        joins = [line for line in server.seen if "joined" in line]
        self.assertEqual(len(joins), 1)

    def test_by_invitation(self) -> None:
        server, port, _ = self.serve("invite")
        line = self.invite(server)
        invited = self.theirs(None, "Ira", "Ira", "--join-file", self.file("invitation", line))
        server.await_json(joined="Ira")
        invited.write("EXIT")
        self.assert_ends_well(invited)
        other = self.theirs(None, "Ben", "Ben", "--join-file", self.file("invitation", line))
        server.await_json(join_refused="Ben", code="invitation")
        self.assertNotEqual(other.await_exit(), 0)

    def test_rooms_and_commands(self) -> None:
        server, port, _ = self.serve()
        ben = self.start_client(port, "Ben")
        ben.await_json(welcome=None)
        ben.write("/join #lab")
        ben.await_json(welcome=None)
        ben.write("/server TOPIC #lab of ciphers")
        ben.await_json(answer=None)
        ira = self.theirs(port, "Ira", "Ira")
        ben.await_json(joined="Ira", room="#lobby")
        ira.write("/join #lab")
        ben.await_json(joined="Ira", room="#lab")
        ira.write("in the lab")
        said = ben.await_json(said=None)["said"]
        self.assertEqual((said["text"], said["room"]), ("in the lab", "#lab"))
        ira.write("/focus #lobby")
        ira.write("in the lobby")
        said = ben.await_json(said=None)["said"]
        self.assertEqual((said["text"], said["room"]), ("in the lobby", "#lobby"))
        for room in ("#lab", "#lobby"):
            ben.write(f"/in {room} Hi {room}")
            self.await_end(ira, f"Ben: Hi {room}")
        ira.write("/server ROOMS")
        server.await_json(command="ROOMS")
        ira.write("/server LOCK #lab")
        server.await_json(command="LOCK #lab")
        ira.write("/part #lab")
        ben.await_json(left="Ira", reason="left", room="#lab")
        ben.write("/in #lab not for her")
        ben.write("/in #lobby for her")
        self.await_end(ira, "Ben: for her")
        self.assertNotIn("not for her", ira.story())
        ben.write("/in #lobby enough")
        ira.write("EXIT")
        self.assert_ends_well(ira)
        ben.await_json(left="Ira", reason="left", room="#lobby")
        for key in ("missing", "unreadable", "message_refused"):
            self.assertNotIn(f'"{key}"', ben.story())


if __name__ == "__main__":
    unittest.main()
