"""The number two users compare to know that they have each other's keys (PROTOCOL.md §7)."""

from __future__ import annotations

GROUPS = 6
GROUP_BYTES = 5


def _groups(fingerprint: bytes) -> list[str]:
    parts = (fingerprint[i * GROUP_BYTES : (i + 1) * GROUP_BYTES] for i in range(GROUPS))
    return [f"{int.from_bytes(part, 'big') % 100_000:05}" for part in parts]


def safety_number(one: bytes, other: bytes) -> list[str]:
    """Twelve groups of five digits, the same for both users."""
    return [group for fingerprint in sorted((one, other)) for group in _groups(fingerprint)]
