"""Lines in the host's log, under the plugin's name and the correlation of the event at hand, or of `cause`, an event of the batch by its id."""

from __future__ import annotations

from . import host
from .types import Severity


def write(severity: Severity, message: str, cause: str | None = None) -> None:
    """Writes a line."""
    host.call("log", "log", host.severity(severity), message, cause)


def debug(message: str, cause: str | None = None) -> None:
    """For whoever looks closely."""
    write(Severity.DEBUG, message, cause)


def info(message: str, cause: str | None = None) -> None:
    """The ordinary course of things."""
    write(Severity.INFO, message, cause)


def warning(message: str, cause: str | None = None) -> None:
    """Not wrong yet."""
    write(Severity.WARNING, message, cause)


def error(message: str, cause: str | None = None) -> None:
    """Something failed."""
    write(Severity.ERROR, message, cause)


def critical(message: str, cause: str | None = None) -> None:
    """Somebody should look now."""
    write(Severity.CRITICAL, message, cause)
