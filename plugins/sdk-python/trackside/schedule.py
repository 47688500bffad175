"""Events in the future, durable. Asking for one waits in the call's outbox, as a publish does; every function raises `Refused` where the
host says no."""

from __future__ import annotations

from . import host
from .types import Draft


def at(when_ns: int, draft: Draft) -> str:
    """Publishes at a time, in nanoseconds since 1970. Gives the schedule's id."""
    return host.call("schedule", "at", when_ns, host.draft(draft))


def after(delay_ms: int, draft: Draft) -> str:
    """Publishes after a while. Gives the schedule's id."""
    return host.call("schedule", "after", delay_ms, host.draft(draft))


def cancel(id: str) -> bool:
    """Takes a schedule of this plugin back. Gives whether it was still waiting."""
    return host.call("schedule", "cancel", id)
