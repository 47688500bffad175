/**
 * A stand-in for the host in unit tests, which run in any JavaScript engine and need no component. It keeps what a call did; grants, limits
 * and the outbox are the real host's.
 *
 *     withHost({ settings: { most: 10 } }, (host) => {
 *       assert.deepEqual(night.control.check(event("order:placed", { amount: 20 }), context()), Signal.proceed());
 *       assert.deepEqual(host.published, []);
 *     });
 */

import { standBehind } from "./host.js";

export { testEvent as event } from "./wit.js";

/** A context, at the point `publish` unless more is said. */
export const context = (fields = {}) => ({
  point: "publish",
  attempt: 0,
  nowMs: 0,
  elapsedMs: 0,
  remainingMs: 1000,
  origin: "http",
  principal: null,
  ...fields,
});

/** A delivery. */
export const delivery = (fields = {}) => ({ nowMs: 0, remainingMs: 5000, attempt: 1, replay: false, missed: 0, ...fields });

/** A first attempt at a task. */
export const task = (method, fields = {}) => ({
  method,
  workflowId: "workflow",
  taskId: "task",
  attempt: 1,
  idempotencyKey: "workflow/task/1",
  correlationId: "test",
  timeoutMs: 30000,
  metadata: {},
  ...fields,
});

/** Calls `body` with a host behind the interfaces, and gives what it returns. */
export function withHost({ settings = {}, log = [] } = {}, body) {
  const host = { kv: new Map(), published: [], scheduled: new Map(), lines: [], progress: [], errors: [], cancelled: false };
  const before = standBehind(interfaces(host, settings, log));
  try {
    return body(host);
  } finally {
    standBehind(before);
  }
}

function interfaces(host, settings, past) {
  const asText = (value) => (value === null || value === undefined ? null : String.fromCharCode(...value));
  const later = (draft) => {
    const id = `scheduled-${host.scheduled.size + 1}`;
    host.scheduled.set(id, draft);
    return id;
  };
  const refuse = (word) => {
    throw word;
  };
  return {
    log: { log: (level, message) => void host.lines.push([level, message]) },
    settings: { get: (name) => (name in settings ? JSON.stringify(settings[name]) : null), all: () => JSON.stringify(settings) },
    kv: {
      get: (key) => host.kv.get(key) ?? null,
      set: (key, value) => void host.kv.set(key, value),
      delete: (key) => host.kv.delete(key),
      increment(key, by) {
        const total = Number(asText(host.kv.get(key)) ?? "0") + by;
        if (Number.isNaN(total)) refuse("not-a-number");
        host.kv.set(key, Uint8Array.from(String(total), (character) => character.charCodeAt(0)));
        return total;
      },
      compareAndSwap(key, expected, value) {
        if (asText(host.kv.get(key)) !== asText(expected)) refuse("conflict");
        if (value === null) host.kv.delete(key);
        else host.kv.set(key, value);
      },
      keys: (prefix, after, limit) =>
        [...host.kv.keys()].filter((key) => key.startsWith(prefix) && (after === null || key > after)).sort().slice(0, limit),
    },
    events: {
      publish(draft) {
        host.published.push({ ...draft, payload: JSON.parse(draft.payload) });
        return `published-${host.published.length}`;
      },
      raise: (message) => void host.errors.push(message),
      query: (filter, after, limit) => ({ events: past.filter((event) => after === null || event.sequenceNumber > after).slice(0, limit), next: null }),
    },
    schedule: { at: (when, draft) => later(draft), after: (delay, draft) => later(draft), cancel: (id) => host.scheduled.delete(id) },
    progress: { report: (fraction, chunk) => void host.progress.push([fraction, chunk]), cancelled: () => host.cancelled },
    secrets: { placeholder: () => refuse("not-granted"), hmac: () => refuse("not-granted") },
  };
}
