"""For workers, about the attempt at hand: reports, and whether it is still wanted."""

from __future__ import annotations

from typing import Any

from .host import call, optional_json


def report(fraction: float | None = None, chunk: Any = None) -> None:
    """Says how far it is (0 to 1), or hands over streamed output. `Refused` with `cancelled` says: stop."""
    call("progress", "report", fraction, optional_json(chunk))


def cancelled() -> bool:
    """Whether the attempt is no longer wanted."""
    return call("progress", "cancelled")
