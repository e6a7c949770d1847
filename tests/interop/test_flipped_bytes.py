"""Flipped bytes in the handshake (PROTOCOL.md §4), and how each must end."""

from __future__ import annotations

import unittest

from cfbchat import cbor, crypto
from cfbchat.handshake import ClientHandshake, HandshakeFailed, PeerRefused, ServerHandshake
from people import flipped, server_credential, user


class FlippedBytes(unittest.TestCase):
    """Every byte of every handshake message, one at a time, between two ends without sockets."""

    def test_message_1(self) -> None:
        client = ClientHandshake(user())
        first, own = client.start(), server_credential()
        went_on = 0
        for index in range(len(first)):
            server = ServerHandshake(own)
            try:
                answers = server.receive(flipped(first, index))
            except HandshakeFailed as failure:
                self.assertIn(cbor.decode(failure.reply or b""), ([15, "malformed"], [15, "version"]))
                continue
            went_on += 1
            if went_on % 40 == 0:  # the client sees it, for its transcript is another
                honest = ClientHandshake(client.own, kem=client.kem, ephemeral=client.ephemeral)
                honest.start()
                honest.receive(answers[0])
                with self.assertRaises(HandshakeFailed):
                    honest.receive(answers[1])
        self.assertGreater(went_on, 40)

    def handshake_until(self, number: int) -> tuple[ClientHandshake, ServerHandshake, bytes]:
        """Both ends, and the payload of message `number`, which has not arrived."""
        client, server = ClientHandshake(user()), ServerHandshake(server_credential())
        second, third = server.receive(client.start())
        if number == 2:
            return client, server, second
        client.receive(second)
        if number == 3:
            return client, server, third
        (fourth,) = client.receive(third)
        if number == 4:
            return client, server, fourth
        (fifth,) = server.receive(fourth)
        return client, server, fifth

    def test_message_2(self) -> None:
        _, _, second = self.handshake_until(2)
        for index in range(0, len(second), 7):
            client, server = ClientHandshake(user()), ServerHandshake(server_credential())
            second, third = server.receive(client.start())
            with self.assertRaises(HandshakeFailed) as caught:
                client.receive(flipped(second, index))
                client.receive(third)
            self.assertIsNone(caught.exception.reply)

    def test_records_3_4_5(self) -> None:
        """A failed record ends the connection, unanswered (§5)."""
        for number in (3, 4, 5):
            client, server, record = self.handshake_until(number)
            end = server if number == 4 else client
            name = "from_client" if number == 4 else "from_server"
            chain = getattr(end, name)
            key = chain.key
            for index in range(len(record)):
                chain.key = key
                with self.assertRaises(HandshakeFailed) as caught:
                    end.receive(flipped(record, index))
                self.assertIsNone(caught.exception.reply)
                self.assertIsNone(end.done)

    def test_text_of_message_4_by_the_client_itself(self) -> None:
        """Sealed well, but every byte wrong once: a sealed refusal, and never a message 5."""
        client, server, record = self.handshake_until(4)
        text = client.schedule.messages[3]
        keys = [c.key for c in (server.from_client, server.to_client, client.from_server)]
        record_key = client.schedule.handshake_chain("client")
        codes = set()
        for index in range(len(text)):
            server.from_client.key, server.to_client.key, client.from_server.key = keys
            with self.assertRaises(HandshakeFailed) as caught:
                server.receive(crypto.Chain(record_key).seal(flipped(text, index)))
            with self.assertRaises(PeerRefused) as told:
                client.receive(caught.exception.reply or b"")
            self.assertFalse(told.exception.bare)
            codes.add(told.exception.code)
        self.assertLessEqual(codes, {"malformed", "credential", "clock", "name"})
        self.assertLessEqual({"malformed", "credential"}, codes)

    def test_text_of_message_3(self) -> None:
        client, server, record = self.handshake_until(3)
        text = server.schedule.messages[2]
        keys = server.schedule.handshake_chain("server")
        for index in range(len(text)):
            client.from_server.key = keys
            with self.assertRaises(HandshakeFailed):
                client.receive(crypto.Chain(keys).seal(flipped(text, index)))


if __name__ == "__main__":
    unittest.main()
