"""A stand-in for the host in unit tests, which run in any Python and need no component. It keeps what a call did; grants, limits and the
outbox are the real host's.

::

    with Host(settings={"most": 10}) as host:
        assert plugin.check(Event.of("order:placed", {"amount": 20}), Context()) == Signal.proceed()
        assert host.kv == {"orders": b"1"}
"""

from __future__ import annotations

import json
from types import SimpleNamespace, TracebackType
from typing import Any

from . import host as way
from .errors import Refused
from .types import Draft, Event, Severity


class Host:
    """Inside the `with` block, the host's interfaces are this object's."""

    def __init__(self, settings: dict[str, Any] | None = None, log: list[Event] | None = None) -> None:
        self.kv: dict[str, bytes] = {}
        self.published: list[Draft] = []
        self.scheduled: dict[str, Draft] = {}
        self.lines: list[tuple[Severity, str]] = []
        self.progress: list[tuple[float | None, Any]] = []
        self.errors: list[str] = []
        self.wanted = True
        self._settings = settings or {}
        self._log = log or []

    def __enter__(self) -> Host:
        interfaces = SimpleNamespace(
            log=SimpleNamespace(log=lambda severity, message, cause: self.lines.append((severity, message))),
            settings=SimpleNamespace(get=self._setting, all=lambda: json.dumps(self._settings)),
            kv=SimpleNamespace(
                get=self.kv.get,
                set=lambda key, value, ttl_ms: self.kv.__setitem__(key, value),
                delete=lambda key: self.kv.pop(key, None) is not None,
                increment=self._increment,
                compare_and_swap=self._compare_and_swap,
                keys=self._keys,
            ),
            events=SimpleNamespace(publish=self._publish, raise_=lambda message, details, cause: self.errors.append(message), query=self._query),
            schedule=SimpleNamespace(
                at=lambda when, draft: self._schedule(draft),
                after=lambda delay, draft: self._schedule(draft),
                cancel=lambda id: self.scheduled.pop(id, None) is not None,
            ),
            progress=SimpleNamespace(report=lambda fraction, chunk: self.progress.append((fraction, chunk)), cancelled=lambda: not self.wanted),
            secrets=SimpleNamespace(placeholder=self._no_secret, hmac=self._no_secret),
        )
        way.stand_behind(interfaces)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        way.stand_behind(None)

    def _setting(self, name: str) -> str | None:
        return json.dumps(self._settings[name]) if name in self._settings else None

    def _increment(self, key: str, by: int, ttl_ms: int | None) -> int:
        try:
            total = int(self.kv.get(key, b"0")) + by
        except ValueError:
            raise Refused("kv.increment", "not-a-number") from None
        self.kv[key] = str(total).encode()
        return total

    def _compare_and_swap(self, key: str, expected: bytes | None, value: bytes | None, ttl_ms: int | None) -> None:
        if self.kv.get(key) != expected:
            raise Refused("kv.compare_and_swap", "conflict")
        if value is None:
            self.kv.pop(key, None)
        else:
            self.kv[key] = value

    def _keys(self, prefix: str, after: str | None, limit: int) -> list[str]:
        found = sorted(key for key in self.kv if key.startswith(prefix) and (after is None or key > after))
        return found[:limit]

    def _publish(self, draft: Draft) -> str:
        self.published.append(draft)
        return f"published-{len(self.published)}"

    def _schedule(self, draft: Draft) -> str:
        id = f"scheduled-{len(self.scheduled) + 1}"
        self.scheduled[id] = draft
        return id

    def _query(self, filter: Any, after: int | None, limit: int) -> SimpleNamespace:
        found = [event for event in self._log if after is None or event.sequence_number > after]
        return SimpleNamespace(events=found[:limit], next=None if len(found) <= limit else found[limit - 1].sequence_number)

    def _no_secret(self, *_: Any) -> Any:
        raise Refused("secrets", "not-granted")
