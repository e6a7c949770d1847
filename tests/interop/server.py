"""A server for PROTOCOL.md that shows what happens as JSON lines on stdout.

The line TERMINATE on stdin ends it: everybody is told, and it exits with 0. Any other line there is
a command of §6, given with an operator's rights; INVITE answers with the whole line of an invitation.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from cfbchat import cbor, credential
from cfbchat.connection import (
    Ended,
    Link,
    RecordLink,
    TimedOut,
    after,
    shake_hands_as_server,
)
from cfbchat.credential import Identity, OwnCredential
from cfbchat.crypto import fingerprint_text
from cfbchat.guests import Guest
from cfbchat.chat_state import RESUME_SECONDS, ChatState, Cut
from cfbchat.handshake import HandshakeFailed, ServerHandshake
from cfbchat.passwords import Invitation, is_token
from cfbchat.registry import Access, Registry

HANDSHAKE_SECONDS = 10.0
PASSWORD_SECONDS = 60.0
SILENCE_SECONDS = 90.0
UNAUTHENTICATED = 64
END_SECONDS = 5.0
TICK_SECONDS = 0.05

_output = threading.Lock()


def show(line: dict) -> None:
    with _output:
        print(json.dumps(line), flush=True)


class Server:
    """Accepts connections and runs a thread for each."""

    def __init__(
        self, own: OwnCredential, report: Callable[[dict], None], chat: ChatState | None = None
    ) -> None:
        self.own = own
        self.report = report
        self.chat = chat or ChatState(report)
        self.unauthenticated = threading.Semaphore(UNAUTHENTICATED)
        self.serving: set[threading.Thread] = set()
        self.serving_lock = threading.Lock()
        self.over = threading.Event()

    def tick_forever(self) -> None:
        while not self.over.wait(TICK_SECONDS):
            self.chat.tick()

    def accept_forever(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if self.unauthenticated.acquire(blocking=False):
                target = self._serve
            else:
                target = self._send_away
            threading.Thread(target=target, args=(Link(sock),), daemon=True).start()

    def _send_away(self, link: Link) -> None:
        """Refuses at accept (§4)."""
        try:
            link.write(cbor.encode([15, "busy"]), after(1.0))
        except Ended:
            pass
        link.finish()

    def _serve(self, link: Link) -> None:
        deadline = after(HANDSHAKE_SECONDS)
        try:
            records = shake_hands_as_server(link, ServerHandshake(self.own), deadline)
        except (HandshakeFailed, Ended) as error:
            self.report({"refused": str(error)})
            link.finish()
            return
        finally:
            self.unauthenticated.release()
        with self.serving_lock:
            self.serving.add(threading.current_thread())
        self._attend(records, Guest(records.peer), deadline)
        with self.serving_lock:
            self.serving.discard(threading.current_thread())

    def _attend(self, records: RecordLink, guest: Guest, deadline: float) -> None:
        """A connection after its handshake."""
        guest.hang_up = records.link.hang_up
        writer = threading.Thread(target=self._write, args=(records, guest), daemon=True)
        writer.start()
        try:
            self._read(records, guest, deadline)
        except (Cut, Ended) as error:
            if not guest.gone:
                self.report({"ended": records.peer.name, "why": str(error)})
        self.chat.lost(guest)
        writer.join(END_SECONDS)
        records.link.finish()

    def _read(self, records: RecordLink, guest: Guest, deadline: float) -> None:
        """Handles records until the connection ends, or the session has."""
        extended = False
        while not guest.gone:
            messages = records.read(after(SILENCE_SECONDS) if guest.member.joined else deadline)
            if not guest.records.take():
                raise Cut("too many records")
            for message in messages:
                self.chat.handle(guest, message)
            if guest.told_password and not extended:
                deadline += PASSWORD_SECONDS
                extended = True

    def _write(self, records: RecordLink, guest: Guest) -> None:
        """Sends what waits, all of it together (§3), then ends the connection's sending side."""
        try:
            while (messages := guest.outbox.take()) is not None:
                records.write(messages, after(SILENCE_SECONDS))
            records.link.sock.shutdown(socket.SHUT_WR)
        except (Ended, TimedOut, OSError):
            records.link.hang_up()

    def end(self) -> None:
        """Tells everybody, and waits until they have gone."""
        self.over.set()
        self.chat.terminate()
        with self.serving_lock:
            serving = list(self.serving)
        deadline = after(END_SECONDS)
        for thread in serving:
            thread.join(max(0.0, deadline - after(0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-p", dest="port", type=int, default=0)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--bits", type=int, choices=(2048, 3072, 4096), default=3072)
    parser.add_argument("--resume-window", type=float, default=RESUME_SECONDS, metavar="SECONDS")
    parser.add_argument("--access", type=Access, choices=list(Access), default=Access.OPEN)
    options = parser.parse_args()
    identity = Identity.load_or_make(options.keys / "identity.pem", options.bits)
    chat = ChatState(show, options.resume_window, registry=Registry(options.access))
    server = Server(credential.make(identity, "server"), show, chat)
    listener = socket.create_server(("127.0.0.1", options.port))
    port = listener.getsockname()[1]
    show({"listening": port, "fingerprint": fingerprint_text(identity.fingerprint)})
    threading.Thread(target=server.accept_forever, args=(listener,), daemon=True).start()
    threading.Thread(target=server.tick_forever, daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "TERMINATE":
            listener.close()
            server.end()
            sys.stdout.flush()
            os._exit(0)  # threads that still wait for a stranger do not matter
        answer = chat.command(line.strip())
        if line.split()[:1] == ["INVITE"] and is_token(answer):
            answer = Invitation("127.0.0.1", port, identity.fingerprint, answer).to_line()
        show({"answer": answer})
    threading.Event().wait()


if __name__ == "__main__":
    main()
