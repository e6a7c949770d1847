"""Frames (PROTOCOL.md §3) and records (§5) on a socket, every wait with a deadline."""

from __future__ import annotations

import select
import socket
import time

from . import cbor, crypto
from .handshake import ClientHandshake, Established, HandshakeFailed, ServerHandshake

MAX_FRAME = 65535
MAX_HANDSHAKE_FRAME = 4096
MAX_TEXT = MAX_FRAME - crypto.TAG_BYTES
LAST_WORDS_SECONDS = 2.0


class Ended(Exception):
    """The connection is over: closed by the other end, cut, or useless."""


class BadLength(Ended):
    """A frame's length that §3 does not allow."""


class TimedOut(Ended):
    """Nothing came, or nothing could be sent, before the deadline."""


def after(seconds: float) -> float:
    """A deadline this many seconds from now."""
    return time.monotonic() + seconds


class Link:
    """Frames on a socket; one thread may read while another writes."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.received = b""

    def fileno(self) -> int:
        return self.sock.fileno()

    def _wait(self, to_write: bool, deadline: float) -> None:
        poller = select.poll()
        poller.register(self.sock, select.POLLOUT if to_write else select.POLLIN)
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise TimedOut("the deadline is over")

    def _fill(self, deadline: float) -> None:
        """Takes in what has come, waiting for at least one byte."""
        while True:
            try:
                chunk = self.sock.recv(65536)
            except BlockingIOError:
                self._wait(False, deadline)
                continue
            except (OSError, ValueError) as error:
                raise Ended(f"cut: {error}") from error
            if not chunk:
                raise Ended("closed by the other end")
            self.received += chunk
            return

    def _cut_frame(self, limit: int) -> bytes | None:
        """The first frame's payload, if it is there in full."""
        if len(self.received) < 2:
            return None
        length = int.from_bytes(self.received[:2], "big")
        if not 1 <= length <= limit:
            raise BadLength(f"a frame of {length} bytes")
        if len(self.received) < 2 + length:
            return None
        payload = self.received[2 : 2 + length]
        self.received = self.received[2 + length :]
        return payload

    def read(self, limit: int, deadline: float) -> bytes:
        """The next frame's payload."""
        while (payload := self._cut_frame(limit)) is None:
            self._fill(deadline)
        return payload

    def has_frame(self) -> bool:
        """Whether a frame is there without asking the socket."""
        if len(self.received) < 2:
            return False
        return len(self.received) >= 2 + int.from_bytes(self.received[:2], "big")

    def write(self, payload: bytes, deadline: float) -> None:
        """Sends one frame."""
        frame = len(payload).to_bytes(2, "big") + payload
        while frame:
            try:
                frame = frame[self.sock.send(frame) :]
            except BlockingIOError:
                self._wait(True, deadline)
            except (OSError, ValueError) as error:
                raise Ended(f"cut: {error}") from error

    def hang_up(self) -> None:
        """Ends the connection at once; whoever reads or writes is told."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def finish(self) -> None:
        """Lets the other end read what was sent, then closes."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            deadline = after(LAST_WORDS_SECONDS)
            while True:
                self.received = b""
                self._fill(deadline)
        except (Ended, OSError):
            pass
        finally:
            self.sock.close()


class RecordLink:
    """Messages in sealed records on a link whose handshake is done."""

    def __init__(self, link: Link, established: Established) -> None:
        self.link = link
        self.peer = established.peer
        self._send = established.send
        self._receive = established.receive

    def write(self, messages: list[bytes], deadline: float) -> None:
        """Sends encoded messages, as many together in a record as fit (§3)."""
        text = b""
        for message in messages:
            if text and len(text) + len(message) > MAX_TEXT:
                self.link.write(self._send.seal(text), deadline)
                text = b""
            text += message
        if text:
            self.link.write(self._send.seal(text), deadline)

    def read(self, deadline: float) -> list[list]:
        """The messages of the next record: one or more arrays, or the connection ends (§6)."""
        record = self.link.read(MAX_FRAME, deadline)
        try:
            messages = cbor.decode_sequence(self._receive.open(record))
        except (crypto.BadTag, cbor.EncodingError) as error:
            raise Ended(f"record: {error}") from error
        if not messages or not all(cbor.is_message(message) for message in messages):
            raise Ended("record: not one or more messages")
        return messages


def shake_hands_as_client(
    link: Link, handshake: ClientHandshake, deadline: float
) -> RecordLink:
    """Runs the client's side of §4."""
    link.write(handshake.start(), deadline)
    while handshake.done is None:
        for payload in handshake.receive(link.read(MAX_HANDSHAKE_FRAME, deadline)):
            link.write(payload, deadline)
    return RecordLink(link, handshake.done)


def shake_hands_as_server(
    link: Link, handshake: ServerHandshake, deadline: float
) -> RecordLink:
    """Runs the server's side of §4; sends the refusal there is before it raises."""
    try:
        while handshake.done is None:
            try:
                payload = link.read(MAX_HANDSHAKE_FRAME, deadline)
            except BadLength:
                raise handshake.refuse("malformed") from None
            for answer in handshake.receive(payload):
                link.write(answer, deadline)
    except HandshakeFailed as failure:
        if failure.reply is not None:
            link.write(failure.reply, deadline)
        raise
    return RecordLink(link, handshake.done)
