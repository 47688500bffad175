/** Tests of the functions, by Node.js, without a host: `node --test`. */

import assert from "node:assert/strict";
import { test } from "node:test";
// {{#control}}
import { Signal } from "./trackside/index.js";
// {{/control}}
import * as testing from "./trackside/testing.js";
import plugin from "./plugin.js";
// {{#control}}

test("large orders are refused", () => {
  testing.withHost({ settings: { most: 100 } }, () => {
    const check = (amount) => plugin.control.check(testing.event("order:placed", { amount }), testing.context());
    assert.deepEqual(check(20), Signal.proceed());
    assert.equal(check(101).kind, "fail");
  });
});
// {{/control}}
// {{#observer}}

test("events are counted", () => {
  testing.withHost({}, (host) => {
    plugin.observer.observe([testing.event("order:placed"), testing.event("order:placed")], testing.delivery());
    assert.deepEqual(host.kv, new Map([["order:placed", Uint8Array.from([0x32])]]));
  });
});
// {{/observer}}
// {{#worker}}

test("somebody is greeted", () => {
  testing.withHost({ settings: { greeting: "Good day" } }, () => {
    const greet = (name) => plugin.methods["{{name}}/greet"].run({ name }, testing.task("{{name}}/greet"));
    assert.equal(greet("Ada"), "Good day, Ada!");
    assert.throws(() => greet(""), /nobody to greet/);
  });
});
// {{/worker}}
