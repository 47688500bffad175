"""The plugin's own durable key-value space. A call sees its own writes at once, everybody else when it has returned without a fault;
if something it read was changed meanwhile, it is run again. Every function raises `Refused` where the host says no."""

from __future__ import annotations

from .host import call


def get(key: str) -> bytes | None:
    """The value of a key; `None` where there is none, or its time is over."""
    value = call("kv", "get", key)
    return None if value is None else bytes(value)


def get_text(key: str) -> str | None:
    """The value of a key as text."""
    value = get(key)
    return None if value is None else value.decode(errors="replace")


def set(key: str, value: bytes | str, ttl_ms: int | None = None) -> None:
    """Sets a value, which goes after `ttl_ms` milliseconds, or stays."""
    call("kv", "set", key, to_bytes(value), ttl_ms)


def delete(key: str) -> bool:
    """Deletes a key. Gives whether it was there."""
    return call("kv", "delete", key)


def increment(key: str, by: int = 1, ttl_ms: int | None = None) -> int:
    """Adds to a number (0 if absent) and gives the sum. Taken as an addition, so it never conflicts."""
    return call("kv", "increment", key, by, ttl_ms)


def compare_and_swap(key: str, expected: bytes | str | None, value: bytes | str | None, ttl_ms: int | None = None) -> None:
    """Sets a value (`None`: deletes) if the key has the expected one (`None`: is absent); else `Refused` says `conflict`."""
    call("kv", "compare_and_swap", key, optional(expected), optional(value), ttl_ms)


def keys(prefix: str = "", after: str | None = None, limit: int = 1_000) -> list[str]:
    """Keys that begin with `prefix`, in order, after the key `after`."""
    return list(call("kv", "keys", prefix, after, limit))


def to_bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def optional(value: bytes | str | None) -> bytes | None:
    return None if value is None else to_bytes(value)
