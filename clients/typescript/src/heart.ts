/**
 * Signs of life beside running handlers: one beat for all tasks at a third of the shortest lease, one every 20 s when
 * there are none. It carries progress, reports the worker, and brings back whose lease is lost, who is to stop, and
 * what the worker itself is told to do. A beat does not wait for the circuit: its answer closes it.
 */

import { Bell } from "./bell.js";
import type { CircuitBreaker } from "./breaker.js";
import type { TaskspoolClient } from "./client.js";
import { InvalidRequest, isOutage } from "./errors.js";
import type { HeldTask } from "./held.js";
import type { Outbox } from "./outbox.js";
import type { BeatsAnswer, Order, Running, WorkerBeat } from "./types.js";

export const IDLE_SECONDS = 20;
const BEATS_PER_LEASE = 3;
/** Progress is told at most so often. */
const TELL_SECONDS = 1;
const BEAT_TIMEOUT_SECONDS = 10;

export interface HeartParts {
  readonly client: TaskspoolClient;
  readonly breaker: CircuitBreaker;
  readonly outbox: Outbox;
  readonly workerId: string;
  readonly held: () => readonly HeldTask[];
  /** The worker's report of itself. */
  readonly report: () => Omit<WorkerBeat, "running">;
  readonly onOrder: (order: Order) => void;
  readonly onError: (error: unknown) => void;
}

export class Heart {
  readonly #parts: HeartParts;
  readonly #news = new Bell();
  #idleSeconds = IDLE_SECONDS;
  #isNudged = true;

  constructor(parts: HeartParts) {
    this.#parts = parts;
  }

  /** There is progress to tell, a new task in hand, or another state: look again. */
  nudge(isNews = true): void {
    this.#isNudged ||= isNews;
    this.#news.ring();
  }

  /** Beat until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts.client.connection;
    let beatenAt = -Infinity;
    while (!signal.aborted) {
      const pause = this.#isNudged ? Math.min(TELL_SECONDS, this.#pause()) : this.#pause();
      const left = beatenAt + pause - clock.seconds();
      if (left > 0) {
        await this.#news.wait(clock, left, signal);
        continue;
      }
      beatenAt = clock.seconds();
      await this.beat(signal);
    }
  }

  /** One beat, now. What it could not tell is told by the next. */
  async beat(signal?: AbortSignal): Promise<void> {
    const { client, workerId, breaker, report } = this.#parts;
    const held = new Map(this.#parts.held().map((each) => [each.id, each]));
    const running = [...held.values()].map((each) => each.beat());
    this.#isNudged = false;
    try {
      const seconds = Math.min(BEAT_TIMEOUT_SECONDS, Math.max(1, this.#pause()));
      const how = { retries: 0, timeoutSeconds: seconds, signal };
      const body = { ...report(), running: [...running, ...this.#waiting()] };
      this.#hear(await client.heartbeatWorker(workerId, body, how));
      breaker.answered();
    } catch (error) {
      const isRefused = error instanceof InvalidRequest; // what one handler said must not cost all of them their leases
      for (const each of running) held.get(each.task_id)?.putBack(isRefused ? acceptable(each) : each);
      if (isRefused) this.nudge();
      if (signal?.aborted) return;
      if (isOutage(error)) breaker.failed(error.message);
      else this.#parts.onError(error);
    }
  }

  /** Results that wait to be taken keep their leases too. */
  #waiting(): Running[] {
    return this.#parts.outbox.waiting.map(({ task_id, lease_token }) => ({ task_id, lease_token }));
  }

  #hear(heard: BeatsAnswer): void {
    for (const each of this.#parts.held()) {
      if (heard.lost.includes(each.id) && !(each.id in heard.leases)) each.stop("lease_lost"); // else an older attempt
      else if (heard.cancel.includes(each.id)) each.stop("cancelled");
    }
    this.#idleSeconds = Math.max(1, Math.min(heard.next_beat || IDLE_SECONDS, IDLE_SECONDS));
    if (heard.state !== undefined) this.#parts.onOrder(heard.state);
  }

  #pause(): number {
    const leases = this.#parts.held().map((each) => each.task.lease.lease_seconds / BEATS_PER_LEASE);
    return Math.max(0.1, Math.min(this.#idleSeconds, IDLE_SECONDS, ...leases));
  }
}

/** A beat that was refused, without what may be the reason: its checkpoint; if it has none, its progress. */
function acceptable({ checkpoint, progress, ...beat }: Running): Running {
  return checkpoint === undefined || progress === undefined ? beat : { ...beat, progress };
}
