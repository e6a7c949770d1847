"""A client for PROTOCOL.md that shows what it sees as JSON lines on stdout.

Each line on stdin is said; `/leave`, or the end of stdin, leaves. With `--expect N` it leaves by
itself after N messages of others, and the end of stdin waits for them.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import select
import socket
import sys
import time
from pathlib import Path

from cfbchat import credential
from cfbchat.connection import Ended, Link, RecordLink, after, shake_hands_as_client
from cfbchat.conversation import Conversation, Violation
from cfbchat.credential import Identity
from cfbchat.crypto import fingerprint_text
from cfbchat.handshake import ClientHandshake, HandshakeFailed, PeerRefused

HANDSHAKE_SECONDS = 10.0
PING_SECONDS = 30.0
SILENCE_SECONDS = 90.0
TRIES = 5
STDIN = 0


class CutBeforeAnswer(Ended):
    """The connection ended before message 2: to be tried again (§4)."""


def show(line: dict) -> None:
    print(json.dumps(line), flush=True)


def parse_fingerprint(text: str) -> bytes:
    """A fingerprint as §2 shows it."""
    if not text.startswith("SHA256:"):
        raise argparse.ArgumentTypeError("a fingerprint begins with SHA256:")
    fingerprint = base64.b64decode(text[7:] + "=", validate=True)
    if fingerprint_text(fingerprint) != text or len(fingerprint) != 32:
        raise argparse.ArgumentTypeError("not a fingerprint")
    return fingerprint


def connect_once(options: argparse.Namespace, own: credential.OwnCredential) -> RecordLink:
    """One connection and its handshake."""
    deadline = after(HANDSHAKE_SECONDS)
    try:
        sock = socket.create_connection((options.host, options.port), HANDSHAKE_SECONDS)
    except OSError as error:
        raise Ended(f"no connection: {error}") from error
    link = Link(sock)
    handshake = ClientHandshake(own, options.fingerprint)
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


def connect(options: argparse.Namespace, own: credential.OwnCredential) -> RecordLink:
    """Tries again after "busy", or after a cut before message 2, five times (§4)."""
    for left in range(TRIES, -1, -1):
        try:
            return connect_once(options, own)
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


def converse(records: RecordLink, talk: Conversation, options: argparse.Namespace) -> None:
    """Talks until a Bye comes; `Ended` or `Violation` otherwise."""
    lines = Input()
    talk.join()
    for text in options.say:
        talk.texts.append(text)
    last_sent = last_record = time.monotonic()
    asked_to_leave = False
    while talk.bye is None:
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
        enough = options.expect is None or talk.heard >= options.expect
        if not talk.leaving and enough and (asked_to_leave or options.expect is not None):
            talk.leave()
            continue
        poller = select.poll()
        poller.register(records.link, select.POLLIN)
        if lines.open:
            poller.register(STDIN, select.POLLIN | select.POLLHUP)
        timeout = min(1.0, max(0.0, talk.stall.not_before - now) or 1.0)
        ready = [] if records.link.has_frame() else [fd for fd, _ in poller.poll(timeout * 1000)]
        if STDIN in ready:
            for line in lines.lines():
                if line == "/leave":
                    asked_to_leave = True
                    talk.leave()
                else:
                    talk.say(line)
            asked_to_leave = asked_to_leave or not lines.open
        if records.link.has_frame() or records.link.fileno() in ready:
            for message in records.read(after(SILENCE_SECONDS)):
                talk.handle(message)
                if talk.bye is not None:
                    break
            last_record = time.monotonic()
            if talk.not_let_in:
                raise Ended("not let in")
        talk.pump()


def run(options: argparse.Namespace) -> int:
    identity = Identity.load_or_make(options.keys / "identity.pem", options.bits)
    own = credential.make(identity, "user", options.name)
    show({"self": options.name, "fingerprint": fingerprint_text(identity.fingerprint)})
    try:
        records = connect(options, own)
        show({"server": fingerprint_text(records.peer.fingerprint)})
        talk = Conversation(own, options.name, options.room, show)
        converse(records, talk, options)
        records.link.finish()
    except PeerRefused as refusal:
        show({"error": refusal.code, "bare": refusal.bare})
        return 1
    except (Ended, HandshakeFailed, Violation) as error:
        show({"error": str(error)})
        return 1
    clean = talk.bye == "terminated" or talk.bye == "left" and talk.leaving
    return 0 if clean and not talk.texts else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-s", dest="host", required=True)
    parser.add_argument("-p", dest="port", type=int, required=True)
    parser.add_argument("-u", dest="name", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--fingerprint", type=parse_fingerprint)
    parser.add_argument("--bits", type=int, choices=(2048, 3072, 4096), default=3072)
    parser.add_argument("--room", default="#lobby")
    parser.add_argument("--say", nargs="*", default=[], metavar="TEXT")
    parser.add_argument("--expect", type=int, metavar="N")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
