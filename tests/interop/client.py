"""A client for PROTOCOL.md that shows what it sees in words, or as JSON lines on stdout.

Each line on stdin is said in the room that was joined last, but for `/in #room text`, which is said
there, `/whisper NAME text` (a letter if NAME is not here), `/letter NAME text`, `/verify NAME`,
`/verify NAME yes`, `/join #room`, `/part #room`, `/server LINE`, a command for the server,
`/password NEW`, for one's name (none takes it away), and `/leave`. The end of stdin leaves, too.
A connection that is lost is made again, and what was under way is sent again (§8).
With `--expect N` it leaves by itself after N messages of others, and the end of stdin waits for
them.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cfbchat import credential
from cfbchat.connection import Ended, Link, RecordLink, after, shake_hands_as_client
from cfbchat.conversation import Conversation
from cfbchat.credential import Identity
from cfbchat.crypto import fingerprint_from_text, fingerprint_text
from cfbchat.handshake import ClientHandshake, HandshakeFailed, PeerRefused
from cfbchat.passwords import Invitation, NoPassword, prepared
from cfbchat.violation import Violation
from cfbchat.who_is_who import KnownServers
from screen import as_json, in_words

HANDSHAKE_SECONDS = 10.0
PING_SECONDS = 30.0
SILENCE_SECONDS = 90.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
PATIENCE_SECONDS = 600.0
TRIES = 5
STDIN = 0


class CutBeforeAnswer(Ended):
    """The connection ended before message 2: to be tried again (§4)."""


def parse_fingerprint(text: str) -> bytes:
    """A fingerprint as §2 shows it."""
    try:
        return fingerprint_from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def connect_once(
    options: argparse.Namespace, own: credential.OwnCredential, pinned: bytes | None
) -> RecordLink:
    """One connection and its handshake."""
    deadline = after(HANDSHAKE_SECONDS)
    try:
        sock = socket.create_connection((options.host, options.port), HANDSHAKE_SECONDS)
    except OSError as error:
        raise Ended(f"no connection: {error}") from error
    link = Link(sock)
    handshake = ClientHandshake(own, pinned)
    try:
        return shake_hands_as_client(link, handshake, deadline)
    except Ended as error:
        sock.close()
        if len(handshake.schedule.messages) == 1:
            raise CutBeforeAnswer(f"before message 2: {error}") from error
        raise
    except HandshakeFailed:
        sock.close()
        raise


def pinned_server(options: argparse.Namespace) -> bytes | None:
    """The fingerprint that is expected, from the command line, an invitation or the last time."""
    servers = KnownServers(options.keys / "known_servers")
    address = f"{options.host}:{options.port}"
    known = servers.fingerprint_of(address)
    pinned = options.fingerprint or known
    if known not in (None, pinned):
        raise Ended(f"{address} has another fingerprint in {servers.path}")
    return pinned


def secret_for(options: argparse.Namespace, pinned: bytes | None) -> str:
    """What may be told this server if it asks; nothing if it was never seen, nor invited to (§6)."""
    return options.secret if pinned is not None else ""


def connect(
    options: argparse.Namespace, own: credential.OwnCredential, pinned: bytes | None
) -> RecordLink:
    """Tries again after "busy", or after a cut before message 2, five times (§4)."""
    servers = KnownServers(options.keys / "known_servers")
    address = f"{options.host}:{options.port}"
    for left in range(TRIES, -1, -1):
        try:
            records = connect_once(options, own, pinned)
            servers.add(address, records.peer.fingerprint)
            return records
        except PeerRefused as refusal:
            if refusal.code != "busy" or not left:
                raise
        except CutBeforeAnswer:
            if not left:
                raise
        time.sleep(random.uniform(1, 3))
    raise AssertionError("not reached")


class Input:
    """Lines of stdin, as they come."""

    def __init__(self) -> None:
        self.pending = b""
        self.open = True

    def lines(self) -> list[str]:
        """The lines that are complete after reading what is there."""
        chunk = os.read(STDIN, 65536)
        self.open = bool(chunk)
        self.pending += chunk
        parts = self.pending.split(b"\n")
        self.pending = parts.pop() if self.open else b""
        return [part.decode("utf-8", "replace").rstrip("\r") for part in parts if part]


def obey(line: str, talk: Conversation, show: Callable[[dict], None]) -> None:
    """Does what a line of the user's says."""
    command, _, rest = line.partition(" ")
    name, _, text = rest.partition(" ")
    if command == "/leave":
        talk.leave()
    elif command == "/whisper" and text:
        talk.whisper(name, text)
    elif command == "/letter" and text:
        talk.write_letter(name, text)
    elif command == "/in" and text:
        talk.say(text, name)
    elif command == "/join" and name:
        talk.enter(name)
    elif command == "/part" and name:
        talk.part(name)
    elif command == "/server" and rest:
        talk.command(rest)
    elif command == "/password":
        talk.set_password(prepared(rest) if rest else "")
    elif command == "/verify" and name:
        talk.verify(name, compared=text == "yes")
    elif line.startswith("/"):
        show({"error": f"no such command: {line}"})
    else:
        talk.say(line)


def converse(
    records: RecordLink,
    talk: Conversation,
    lines: Input,
    options: argparse.Namespace,
    show: Callable[[dict], None],
) -> None:
    """Talks until a Bye comes, or a Join is refused; `Ended` or `Violation` otherwise."""
    talk.join()
    last_sent = last_record = time.monotonic()
    while True:
        if talk.outgoing:
            records.write(talk.outgoing, after(SILENCE_SECONDS))
            talk.outgoing.clear()
            last_sent = time.monotonic()
        now = time.monotonic()
        if now - last_record > SILENCE_SECONDS:
            raise Ended("90 seconds without a record")
        if now - last_sent > PING_SECONDS:
            talk.ping()
            continue
        if options.expect is None:
            enough = not lines.open
        else:
            enough = talk.hearing.heard >= options.expect
        if enough and not talk.leaving:
            talk.leave()
            continue
        poller = select.poll()
        poller.register(records.link, select.POLLIN)
        if lines.open:
            poller.register(STDIN, select.POLLIN | select.POLLHUP)
        timeout = min(1.0, talk.patience())
        ready = [] if records.link.has_frame() else [fd for fd, _ in poller.poll(timeout * 1000)]
        if STDIN in ready:
            for line in lines.lines():
                try:
                    obey(line, talk, show)
                except NoPassword as error:
                    show({"error": str(error)})
        if records.link.has_frame() or records.link.fileno() in ready:
            for message in records.read(after(SILENCE_SECONDS)):
                talk.handle(message)
                if talk.bye is not None or talk.refused is not None:
                    return
            last_record = time.monotonic()
        talk.pump()


class Pauses:
    """How long to wait before the next connection: 0.25 s, doubled up to 30 s (§6)."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.start_over()

    def start_over(self) -> None:
        self.seconds = FIRST_PAUSE
        self.until = after(self.patience)

    def wait(self) -> None:
        """Give or take a third; `Ended` once it has gone on for too long."""
        if time.monotonic() > self.until:
            raise Ended(f"no connection for {self.patience} seconds")
        time.sleep(self.seconds * random.uniform(2 / 3, 4 / 3))
        self.seconds = min(2 * self.seconds, LONGEST_PAUSE)


def connect_again(
    options: argparse.Namespace,
    own: credential.OwnCredential,
    server: bytes,
    pauses: Pauses,
    show: Callable[[dict], None],
) -> RecordLink:
    """Tries until the server is reached; what is not sealed by it ends no session."""
    while True:
        pauses.wait()
        try:
            return connect_once(options, own, server)
        except (Ended, HandshakeFailed) as error:
            if isinstance(error, PeerRefused) and not error.bare:
                raise
            show({"not_reached": str(error)})


def stay(
    records: RecordLink,
    talk: Conversation,
    lines: Input,
    pauses: Pauses,
    options: argparse.Namespace,
    show: Callable[[dict], None],
) -> None:
    """One session on all its connections (§8); returns when it has ended, or is to be replaced."""
    while True:
        try:
            converse(records, talk, lines, options, show)
            records.link.finish()
            return
        except Ended as error:
            records.link.sock.close()
            show({"lost": str(error)})
        if talk.online:
            pauses.start_over()
        talk.lost()
        if not talk.resumes():
            return
        records = connect_again(options, talk.own, talk.server, pauses, show)


def run(options: argparse.Namespace) -> int:
    show = as_json if options.json else in_words
    identity = Identity.load_or_make(options.keys / "identity.pem", options.bits)
    own = credential.make(identity, "user", options.name)
    show({"self": options.name, "fingerprint": fingerprint_text(identity.fingerprint)})
    lines, pauses, in_doubt = Input(), Pauses(options.patience), False
    try:
        pinned = pinned_server(options)
        secret = secret_for(options, pinned)
        records = connect(options, own, pinned)
        server = records.peer.fingerprint
        show({"server": fingerprint_text(server)})
        talk = Conversation(
            own, options.name, options.room, server, options.keys, show,
            verified_only=options.verified_only, secret=secret,
        )  # fmt: skip
        for text in options.say:
            talk.say(text)
        while True:
            stay(records, talk, lines, pauses, options, show)
            if not talk.begins_anew():
                break
            show({"anew": talk.refused or talk.bye or "not let in yet"})
            in_doubt = in_doubt or bool(talk.numbers.in_flight)
            own = credential.make(identity, "user", options.name)
            talk = Conversation(
                own, options.name, talk.room, server, options.keys, show,
                verified_only=options.verified_only, secret=secret, previous_session=talk.hand_over(),
            )  # fmt: skip
            records = connect_again(options, own, server, pauses, show)
    except PeerRefused as refusal:
        show({"error": refusal.code, "bare": refusal.bare})
        return 1
    except (Ended, HandshakeFailed, Violation) as error:
        show({"error": str(error)})
        return 1
    clean = talk.bye == "terminated" or talk.has_left()
    return 0 if clean and talk.is_idle() and not in_doubt else 1


def first_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[0] if lines else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-s", dest="host")
    parser.add_argument("-p", dest="port", type=int)
    parser.add_argument("-u", dest="name", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--fingerprint", type=parse_fingerprint)
    parser.add_argument("--bits", type=int, choices=(2048, 3072, 4096), default=3072)
    parser.add_argument("--room", default="#lobby")
    parser.add_argument("--say", nargs="*", default=[], metavar="TEXT")
    parser.add_argument("--expect", type=int, metavar="N")
    parser.add_argument("--json", action="store_true", help="JSON lines, for programs")
    parser.add_argument("--verified-only", action="store_true", help="speak to nobody else")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_SECONDS, metavar="SECONDS",
        help="how long to try to come back before giving up",
    )  # fmt: skip
    parser.add_argument("--password-file", type=Path, help="its first line, if the server asks")
    parser.add_argument("--join-file", type=Path, help="an invitation: address, fingerprint, token")
    options = parser.parse_args()
    options.secret = ""
    if options.join_file:
        invited = Invitation.from_line(first_line(options.join_file))
        options.host, options.port, options.secret = invited.host, invited.port, invited.token
        if options.fingerprint not in (None, invited.fingerprint):
            parser.error("--fingerprint is not the invitation's")
        options.fingerprint = invited.fingerprint
    if options.password_file:
        options.secret = prepared(first_line(options.password_file))
    if options.host is None or options.port is None:
        parser.error("-s and -p, or --join-file")
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
