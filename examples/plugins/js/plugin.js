/** `pricing`: works out what an order costs before it is logged, sums up revenue, tells when it has reached a step, and quotes. */

import { Failure, Signal, events, kv, plugin, settings } from "./trackside/index.js";
import { cost, passed } from "./prices.js";

export default plugin({
  name: "pricing",
  version: "0.1.0",
  summary: "Works out what orders cost.",
  // After those that refuse orders.
  priority: 110,

  control: {
    events: ["order:placed"],
    /** The order with its cost; what a publisher says of it does not count. */
    check(event) {
      const { item, count } = event.payload;
      const amount = cost(settings.get("prices", {}), item, count);
      if (amount === null) return Signal.fail(`${item} has no price`);
      return Signal.amend({ ...event.payload, amount });
    },
  },

  observer: {
    events: ["order:placed"],
    observe(batch) {
      for (const event of batch) {
        const { amount } = event.payload;
        const after = kv.increment("revenue", Math.round(amount));
        for (const reached of passed(after - Math.round(amount), after, settings.get("step", 1000))) {
          events.publish({ eventType: "revenue:reached", payload: { reached }, cause: event.eventId });
        }
      }
    },
  },

  methods: {
    "pricing/quote": {
      summary: "What so many of a thing would cost.",
      run({ item, count }) {
        const amount = cost(settings.get("prices", {}), item, count);
        if (amount === null) throw new Failure(`${item} has no price`, { code: "no-price" });
        return { item, count: count ?? 1, amount };
      },
    },
    "pricing/quotes": {
      summary: "What was asked for since the last answer, in one.",
      run({ events: asked }) {
        return asked.map(({ payload: { item, count } }) => cost(settings.get("prices", {}), item, count));
      },
    },
  },

  // Nobody has to call it: a burst of questions starts it, once it is over.
  triggers: [{ method: "pricing/quotes", events: ["quote:asked"], debounceMs: 1000, batchMax: 10 }],
});
