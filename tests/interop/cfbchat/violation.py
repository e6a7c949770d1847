"""What makes a client end the connection (PROTOCOL.md §6)."""

from __future__ import annotations


class Violation(Exception):
    """The server broke a rule of §6 for which a client ends the connection."""
