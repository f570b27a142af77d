/** How a poller is, for those who show it. */

import type { Circuit } from "./breaker.js";
import type { HeldTask } from "./held.js";
import type { StopReason } from "./fates.js";

/**
 * `polling`: it waits for tasks. `working`: at least one runs. `offline`: the server does not answer. `quiet`: it takes
 * nothing new. `stopping`: it ends as soon as what runs has ended, or the grace is over.
 */
export type PollerStatus = "idle" | "polling" | "working" | "offline" | "quiet" | "stopping" | "stopped";

export interface RunningTask {
  readonly taskId: string;
  readonly type: string;
  readonly attempt: number;
  readonly startedAt: string;
  readonly percent: number | null;
  readonly message: string | null;
  readonly stopReason: StopReason | null;
}

export interface PollerState {
  readonly status: PollerStatus;
  readonly circuit: Circuit;
  readonly workerId: string;
  readonly url: string;
  readonly types: readonly string[];
  readonly running: readonly RunningTask[];
  /** Results the server has taken. */
  readonly done: number;
  readonly failed: number;
  /** Results that wait to be taken. */
  readonly waiting: number;
  /** What went wrong last, in words; null when the server has answered since. */
  readonly lastError: string | null;
}

export function runningTask(held: HeldTask): RunningTask {
  return {
    taskId: held.id, type: held.task.task_type, attempt: held.task.attempt, startedAt: held.startedAt.toISOString(),
    percent: held.percent, message: held.message, stopReason: held.stopReason,
  };
}
