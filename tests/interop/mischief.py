"""A server that does to messages what a test tells it, on a socket of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from cfbchat.chat_state import ChatState
from cfbchat.guests import Guest, Member
from people import server_credential
from server import Server

Alter = Callable[[Member, list], list[list]]


class MischievousChat(ChatState):
    """Asks, before it sends an event, what to send instead; can be hard of hearing."""

    def __init__(self) -> None:
        super().__init__(lambda line: None)
        self.alter: Alter = lambda member, event: [event]
        self.alter_welcome: Callable[[list], list] = lambda message: message
        self.deaf_to: str | None = None
        self.unheard: list[tuple[Guest, list]] = []

    def handle(self, guest: Guest, message: list) -> None:
        if guest.person.name == self.deaf_to:
            self.unheard.append((guest, message))
        else:
            super().handle(guest, message)

    def hear_again(self) -> None:
        """Handles what was not heard; a Say of an older change is too old by now."""
        self.deaf_to = None
        for room in self.rooms.values():
            room.replaced.clear()
        for guest, message in self.unheard:
            self.handle(guest, message)
        self.unheard.clear()

    def _resume(self, guest: Guest, name: str, cursor: int) -> None:
        send = guest.send
        guest.send = lambda message: send(  # type: ignore[method-assign]
            self.alter_welcome(message) if isinstance(message, list) else message
        )
        super()._resume(guest, name, cursor)
        guest.send = send  # type: ignore[method-assign]

    def _hand_out(
        self, event: list, to: list[Member], newcomer: Member | None = None
    ) -> tuple[int, int]:
        for member in to:
            for altered in self.alter(member, event):
                super()._hand_out(altered, [member], newcomer)
        return super()._hand_out(event, [], newcomer)


class MischievousServer:
    """Listens until it is ended; quiet, for what it shows are its clients' lines."""

    def __init__(self) -> None:
        self.chat = MischievousChat()
        self.server = Server(server_credential(), lambda line: None, self.chat)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        accepting = (self.listener,)
        threading.Thread(target=self.server.accept_forever, args=accepting, daemon=True).start()
        threading.Thread(target=self.server.tick_forever, daemon=True).start()

    def cut(self, name: str) -> None:
        """The connection of whoever has this name."""
        guest = self.chat.present[name].guest
        assert guest
        guest.hang_up()

    def end(self) -> None:
        self.listener.close()
        self.server.end()
