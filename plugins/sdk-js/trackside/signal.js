/** A control handler's answer. What each means at each decision point is the contract's table (`control` in `plugin.wit`). */
export const Signal = Object.freeze({
  /** Go on. */
  proceed: () => ({ kind: "proceed" }),
  /** Go on, with this value in place of the payload (publish), input (submitted), parameters (ready) or result (completed). */
  amend: (value) => ({ kind: "amend", value }),
  /** Leave it out. */
  skip: (reason) => ({ kind: "skip", reason }),
  /** Try later: after so many milliseconds, or when the task's own policy says. */
  retry: (reason, afterMs) => ({ kind: "retry", reason, ...(afterMs === undefined ? {} : { afterMs }) }),
  /** Use this value instead. */
  fallback: (value, reason) => ({ kind: "fallback", value, reason }),
  /** Stop: refused, for a reason that the caller is told. */
  fail: (reason) => ({ kind: "fail", reason }),
  /** This handler could not judge. It ends the chain, whatever the operator says about faults. */
  error: (reason) => ({ kind: "error", reason }),
});
