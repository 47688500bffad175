/** The types of the SDK; what stands behind each word is told by the contract, `wit/deps/trackside-plugin-0.1.0/plugin.wit`. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Severity = "debug" | "info" | "warning" | "error" | "critical";
export type Point = "publish" | "workflow-submitted" | "task-ready" | "candidate-found" | "task-completed" | "task-failed";
export type Origin = "http" | "cli" | "stream-client" | "inbox" | "plugin" | "embedded" | "host";

/** One immutable fact. Times are milliseconds since 1970, with fractions. In a control handler it has no sequence number yet. */
export interface Event {
  readonly eventId: string;
  readonly eventType: string;
  readonly sequenceNumber: number;
  readonly part: number;
  readonly timestampMs: number;
  readonly recordedAtMs: number;
  readonly sourceComponent: string;
  readonly correlationId: string;
  readonly causationId: string | null;
  readonly workflowId: string | null;
  readonly taskId: string | null;
  readonly providerId: string | null;
  readonly severity: Severity;
  readonly metadata: { readonly [key: string]: string };
  /** What it says. Parsed when it is first asked for; a handler that never looks inside pays nothing. */
  readonly payload: any;
  readonly payloadText: string;
}

/** What is known about a decision beside the event. */
export interface Context {
  readonly point: Point;
  readonly attempt: number;
  readonly nowMs: number;
  readonly elapsedMs: number;
  readonly remainingMs: number;
  readonly origin: Origin;
  readonly principal: string | null;
}

/** What is known about a batch of events beside them. */
export interface Delivery {
  readonly nowMs: number;
  readonly remainingMs: number;
  readonly attempt: number;
  readonly replay: boolean;
  readonly missed: number;
}

/** One attempt at a task. Systems that must not act twice are handed its `idempotencyKey`. */
export interface Task {
  readonly method: string;
  readonly workflowId: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly correlationId: string;
  readonly timeoutMs: number;
  readonly metadata: { readonly [key: string]: string };
}

/** Which events a role wants. Every condition that is given must hold; an empty list never does. */
export interface Filter {
  eventTypes?: string[];
  minSeverity?: Severity;
  sourceComponents?: string[];
  correlationIds?: string[];
  workflowIds?: string[];
  taskIds?: string[];
  providerIds?: string[];
  /** What must hold besides, in CEL: `event.payload.amount > 100`. */
  when?: string;
}

/** `events` is short for a filter by type, with patterns such as `order:*`; with neither, every fact. */
export interface Wants {
  events?: string[];
  filter?: Filter;
}

export type Signal =
  | { kind: "proceed" }
  | { kind: "amend"; value: Json }
  | { kind: "skip" | "fail" | "error"; reason: string }
  | { kind: "retry"; reason: string; afterMs?: number }
  | { kind: "fallback"; value: Json; reason: string };

export declare const Signal: {
  proceed(): Signal;
  amend(value: Json): Signal;
  skip(reason: string): Signal;
  retry(reason: string, afterMs?: number): Signal;
  fallback(value: Json, reason: string): Signal;
  fail(reason: string): Signal;
  error(reason: string): Signal;
};

export interface Method<P = any> {
  summary?: string;
  /** JSON Schemas of the parameters and the result. */
  parameters?: Json;
  returns?: Json;
  run(parameters: P, task: Task): Json | void;
}

export interface Definition {
  name: string;
  version?: string;
  summary?: string;
  /** Place in the control chain: lower is earlier, 100 if it is not given. */
  priority?: number;
  /** Whether work must hold while the control handler cannot answer. */
  critical?: boolean;
  /** That nothing kept in memory between calls changes an answer. */
  memoryless?: boolean;
  control?: Wants & { check(event: Event, context: Context): Signal };
  /** It takes a batch of events, in order, all or nothing: if it throws, the batch comes again, in smaller pieces. */
  observer?: Wants & { observe(events: Event[], delivery: Delivery): void };
  /** A worker's methods, by `namespace/name`. */
  methods?: { [name: string]: Method };
  /** What events start by themselves: a workflow of one task, which is given the event as `event`, or several as `events`. */
  triggers?: Trigger[];
}

/** Events that start a method, this plugin's or, where it may submit workflows, another's. */
export interface Trigger extends Wants {
  method: string;
  /** Wait until no further event has come for this long: a burst is one start. */
  debounceMs?: number;
  /** At most one start in this long. */
  throttleMs?: number;
  /** At most this many events a start; 1 if it is not given. */
  batchMax?: number;
}

export declare function plugin<D extends Definition>(definition: D): Readonly<D>;

/** Why an attempt at a task failed: throw it in a method. Any other error is a failure that trying again would not help. */
export declare class Failure extends Error {
  constructor(message: string, more?: { code?: string; retryable?: boolean; retryAfterMs?: number; details?: Json });
}

/** The host did not do what was asked. `reason` is the contract's word for it, such as `not-granted` or `conflict`. */
export declare class Refused extends Error {
  readonly call: string;
  readonly reason: string;
}

/** An event that a plugin wants published. `cause` is an event of the batch at hand, by its id, if it is not the batch's last. */
export interface Draft {
  eventType: string;
  payload?: Json;
  severity?: Severity;
  metadata?: { [key: string]: string };
  cause?: string;
  correlationId?: string;
  timestampMs?: number;
  key?: string;
}

type Line = (message: string, cause?: string) => void;
export declare const log: { debug: Line; info: Line; warning: Line; error: Line; critical: Line };
export declare const settings: { get(name: string, otherwise?: any): any; all(): { [name: string]: any } };
export declare const kv: {
  get(key: string): Uint8Array | null;
  getText(key: string): string | null;
  set(key: string, value: string | Uint8Array, ttlMs?: number): void;
  delete(key: string): boolean;
  increment(key: string, by?: number, ttlMs?: number): number;
  compareAndSwap(key: string, expected: string | Uint8Array | null, value: string | Uint8Array | null, ttlMs?: number): void;
  keys(prefix?: string, after?: string, limit?: number): string[];
};
export declare const events: {
  publish(draft: Draft): string;
  raise(message: string, details?: Json, cause?: string): void;
  query(filter: Filter, after?: number, limit?: number): { events: Event[]; next: number | null };
};
export declare const schedule: {
  at(whenMs: number, draft: Draft): string;
  after(delayMs: number, draft: Draft): string;
  cancel(id: string): boolean;
};
export declare const progress: { report(fraction?: number, chunk?: Json): void; cancelled(): boolean };
export declare const secrets: { placeholder(name: string): string; hmac(name: string, message: string | Uint8Array): Uint8Array };
