"""HexAI's two managers, as its document describes them, to measure beside: a control manager that awaits handlers by priority until one
says something other than proceed, and an observer manager that notifies all observers at a time, ten in flight, each under a timeout.

For each line on standard input, `control N` or `observers N`, it makes N checks or notifications and answers with the nanoseconds they took.
"""

import asyncio
import heapq
import sys
import time
from dataclasses import dataclass, field
from enum import Enum


class ControlSignal(Enum):
    PROCEED = "proceed"
    FAIL = "fail"


@dataclass
class ControlResponse:
    signal: ControlSignal = ControlSignal.PROCEED
    data: object = None


@dataclass
class NodeStarted:
    name: str
    wave_index: int
    task_id: str


@dataclass(order=True)
class HandlerEntry:
    priority: int
    name: str
    handler: object = field(compare=False)
    event_types: object = field(compare=False, default=None)


class ControlManager:
    def __init__(self):
        self._handlers = []

    def register(self, handler, priority, name, event_types=None):
        heapq.heappush(self._handlers, HandlerEntry(priority, name, handler, event_types))

    def freeze(self):
        # A heap's backing array is not in order; sorting once is what its document meant.
        self._handlers.sort()

    async def check(self, event, context):
        for entry in self._handlers:
            if entry.event_types is not None and type(event) not in entry.event_types:
                continue
            response = await entry.handler(event, context)
            if response.signal is not ControlSignal.PROCEED:
                return response
        return ControlResponse()


class ObserverManager:
    def __init__(self, max_concurrent_observers=10, observer_timeout=5.0):
        self._observers = []
        self._semaphore = asyncio.Semaphore(max_concurrent_observers)
        self._timeout = observer_timeout

    def register(self, observer):
        self._observers.append(observer)

    async def _one(self, observer, event):
        async with self._semaphore:
            await asyncio.wait_for(observer(event), self._timeout)

    async def notify(self, event):
        await asyncio.gather(*(self._one(observer, event) for observer in self._observers), return_exceptions=True)


def handler():
    async def check(event, _context):
        if event.task_id == "refused":
            return ControlResponse(ControlSignal.FAIL)
        return ControlResponse()

    return check


def observer():
    async def observe(event):
        event.name.endswith(":failed")

    return observe


async def main():
    control, observers = ControlManager(), ObserverManager()
    for number in range(100):
        control.register(handler(), priority=100, name=f"handler-{number:03}")
    control.freeze()
    for _ in range(50):
        observers.register(observer())
    event = NodeStarted("order:placed", 1, "reserve")
    for line in sys.stdin:
        what, count = line.split()
        call = (lambda: control.check(event, None)) if what == "control" else (lambda: observers.notify(event))
        begun = time.perf_counter_ns()
        for _ in range(int(count)):
            await call()
        print(time.perf_counter_ns() - begun, flush=True)


asyncio.run(main())
