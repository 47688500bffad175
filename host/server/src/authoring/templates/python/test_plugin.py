"""Tests of the functions, by any Python, without a host: `python3 -m unittest`."""

import unittest

import plugin
from trackside import {{test_imports}}
from trackside.testing import Host


class Tests(unittest.TestCase):
    # {{#control}}
    def test_large_orders_are_refused(self) -> None:
        with Host(settings={"most": 100}):
            self.assertEqual(plugin.check(Event.of("order:placed", {"amount": 20}), Context()), Signal.proceed())
            self.assertEqual(plugin.check(Event.of("order:placed", {"amount": 101}), Context()).kind, "fail")

    # {{/control}}
    # {{#observer}}
    def test_events_are_counted(self) -> None:
        with Host() as host:
            plugin.observe([Event.of("order:placed"), Event.of("order:placed")], Delivery())
            self.assertEqual(host.kv, {"order:placed": b"2"})

    # {{/observer}}
    # {{#worker}}
    def test_somebody_is_greeted(self) -> None:
        with Host(settings={"greeting": "Good day"}):
            self.assertEqual(plugin.greet({"name": "Ada"}, Task.of("{{name}}/greet")), "Good day, Ada!")
            with self.assertRaises(Failure):
                plugin.greet({"name": ""}, Task.of("{{name}}/greet"))

    # {{/worker}}

if __name__ == "__main__":
    unittest.main()
