"""Between clients and a server: passes frames on, and cuts where a test tells it to."""

from __future__ import annotations

import socket
import threading

TO_SERVER, TO_CLIENT = 0, 1
HANDSHAKE = (2, 3)  # how many frames of it go each way (PROTOCOL.md §4)
SECONDS = 60.0


class Cutter:
    """Listens on a port of its own; a connection that is cut is reset on both sides."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.lock = threading.Lock()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.refuses = False
        self.plan: tuple[int, int, bool] | None = None
        self.cuts = self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, way: int, record: int, half: bool) -> None:
        """Once: before a connection's record of this number goes this way, or in its middle."""
        self.plan = (way, HANDSHAKE[way] + record, half)

    def cut(self) -> None:
        """All connections there are, now."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for sock in pair:
                _close(sock)

    def end(self) -> None:
        self.listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses:
                _close(client)
                continue
            server = socket.create_connection(("127.0.0.1", self.target), SECONDS)
            self.connections += 1
            pair = (client, server)
            with self.lock:
                self.pairs.append(pair)
            for way in (TO_SERVER, TO_CLIENT):
                threading.Thread(target=self._pass, args=(way, pair), daemon=True).start()

    def _pass(self, way: int, pair: tuple[socket.socket, socket.socket]) -> None:
        source, target = pair if way == TO_SERVER else pair[::-1]
        passed = 0
        try:
            source.settimeout(SECONDS)
            while frame := _frame(source):
                plan = self.plan
                if plan is not None and plan[:2] == (way, passed):
                    self.plan = None
                    self.cuts += 1
                    if plan[2]:
                        target.sendall(frame[: len(frame) // 2])
                    break
                target.sendall(frame)
                passed += 1
        except OSError:
            pass
        for sock in pair:
            _close(sock)


def _frame(source: socket.socket) -> bytes:
    """The next frame with its length; nothing at the end."""
    head = _exactly(source, 2)
    return head and head + _exactly(source, int.from_bytes(head, "big"))


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = source.recv(count - len(data))
        if not chunk:
            return b""
        data += chunk
    return data


def _close(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()
