/** `trackside plugin build` once, for the SDK; then `node --test`. */

import assert from "node:assert/strict";
import { test } from "node:test";

import plugin from "./plugin.js";
import { cost, passed } from "./prices.js";
import { Signal } from "./trackside/index.js";
import * as testing from "./trackside/testing.js";

const settings = { prices: { tea: 4 }, step: 100 };

test("many cost less", () => {
  assert.equal(cost({ tea: 4 }, "tea", 9), 36);
  assert.equal(cost({ tea: 4 }, "tea", 10), 36);
  assert.equal(cost({ tea: 4 }, "toString"), null);
  assert.deepEqual(passed(90, 210, 100), [100, 200]);
  assert.deepEqual(passed(90, 99, 100), []);
});

test("an order gets its cost", () => {
  testing.withHost({ settings }, () => {
    const check = (payload) => plugin.control.check(testing.event("order:placed", payload), testing.context());
    assert.deepEqual(check({ item: "tea", amount: 1 }), Signal.amend({ item: "tea", amount: 4 }));
    assert.equal(check({ item: "gold" }).kind, "fail");
  });
});

test("steps are told", () => {
  testing.withHost({ settings }, (host) => {
    plugin.observer.observe([testing.event("order:placed", { amount: 250 })], testing.delivery());
    assert.deepEqual(host.published.map((draft) => draft.payload.reached), [100, 200]);
  });
});
