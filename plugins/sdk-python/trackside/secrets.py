"""Secrets by reference: a plugin never sees one. Every function raises `Refused` where the host says no."""

from __future__ import annotations

from .host import call


def placeholder(name: str) -> str:
    """A placeholder that the host fills into header values of requests to the hosts that are bound to this secret."""
    return call("secrets", "placeholder", name)


def hmac(name: str, message: bytes) -> bytes:
    """HMAC-SHA-256 of `message` under the secret."""
    return bytes(call("secrets", "hmac", name, message))
