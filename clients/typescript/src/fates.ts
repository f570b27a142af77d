/** What a handler may throw to say how its task goes on. Anything else fails the attempt, to be tried again. */

const YEAR_SECONDS = 31_536_000;

/** It did not work now: try again after `afterSeconds` (0 to a year), as far as retries are left. */
export class Retry extends Error {
  readonly afterSeconds: number;

  constructor(afterSeconds: number, message = "the handler asked to be tried again later") {
    super(message);
    this.name = "Retry";
    this.afterSeconds = withinAYear(afterSeconds);
  }
}

/** It will never work: do not try again, whatever retries are left. */
export class GiveUp extends Error {
  override readonly name = "GiveUp";
}

/** Not now, but nothing failed: the task waits `delaySeconds` (0 to a year) and comes again; it costs no attempt. */
export class Snooze extends Error {
  readonly delaySeconds: number;

  constructor(delaySeconds: number, reason = "the handler put it off") {
    super(reason);
    this.name = "Snooze";
    this.delaySeconds = withinAYear(delaySeconds);
  }
}

/** Why a run is to stop. */
export type StopReason = "cancelled" | "lease_lost" | "timeout" | "shutdown";

const WORDS: Readonly<Record<StopReason, string>> = {
  cancelled: "the task is to be cancelled",
  lease_lost: "the task is not this worker's any more",
  timeout: "the attempt has taken too long",
  shutdown: "the worker stops",
};

/** The run is to stop: the reason of `context.signal`. A handler lets it through. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";
  readonly reason: StopReason;

  constructor(reason: StopReason) {
    super(`stopped: ${WORDS[reason]}`);
    this.reason = reason;
  }
}

function withinAYear(seconds: number): number {
  return Number.isNaN(seconds) ? 0 : Math.max(0, Math.min(seconds, YEAR_SECONDS));
}
