/**
 * A circuit breaker: it keeps a worker from hammering a server that does not answer.
 *
 *     closed ── 5 outages in a row ──> open ── 5 to 10 s ──> half-open ── an answer ──> closed
 *                                       ^────── an outage ──────┘
 *
 * Closed, a call after n outages waits by chance up to `0.2 * 2^(n-1)` s, at most 5. Open, none goes. Half-open, one
 * goes and the others wait for what becomes of it. Whatever the server answers, also a refusal, closes the circuit.
 */

import { Bell } from "./bell.js";
import { backoffSeconds, type Backoff, type Clock, type Random } from "./clock.js";
import { isOutage } from "./errors.js";

export type Circuit = "closed" | "open" | "half-open";

export interface BreakerOptions {
  /** Outages in a row that open the circuit. 5. */
  readonly failures?: number;
  /** How long it stays open, at most; by chance down to half of it. 10. */
  readonly openSeconds?: number;
  /** The waits before. 0.2 to 5 seconds. */
  readonly backoff?: Backoff;
}

export class CircuitBreaker {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limit: number;
  readonly #openSeconds: number;
  readonly #backoff: Backoff;
  readonly #changed = new Bell();
  readonly #onChange: () => void;
  #state: Circuit = "closed";
  #failures = 0;
  #lastOutage: string | null = null;
  #notBefore = 0;

  constructor(clock: Clock, random: Random, options: BreakerOptions = {}, onChange: () => void = () => undefined) {
    this.#clock = clock;
    this.#random = random;
    this.#limit = options.failures ?? 5;
    this.#openSeconds = options.openSeconds ?? 10;
    this.#backoff = options.backoff ?? { baseSeconds: 0.2, capSeconds: 5 };
    this.#onChange = onChange;
  }

  get state(): Circuit {
    return this.#state;
  }

  /** Outages since the last answer. */
  get failures(): number {
    return this.#failures;
  }

  /** What was said when there was no answer; null when there has been one since. */
  get lastOutage(): string | null {
    return this.#lastOutage;
  }

  /** What `work` gives, when its turn has come. Throws what it throws, or the reason of `signal`. */
  async run<Value>(work: () => Promise<Value>, signal: AbortSignal): Promise<Value> {
    await this.#turn(signal);
    try {
      const value = await work();
      this.answered();
      return value;
    } catch (error) {
      if (signal.aborted) this.#withdraw();
      else if (isOutage(error)) this.failed(error.message);
      else this.answered();
      throw error;
    }
  }

  /** The server has answered somebody. */
  answered(): void {
    const wasAway = this.#failures > 0 || this.#state !== "closed";
    this.#failures = 0;
    this.#lastOutage = null;
    this.#state = "closed";
    this.#notBefore = 0;
    if (wasAway) this.#tell();
  }

  /** Somebody had no answer. */
  failed(why: string): void {
    this.#failures += 1;
    this.#lastOutage = why;
    if (this.#state === "open") return; // a beat does not wait for its turn; it must not keep the circuit open
    const opens = this.#state === "half-open" || this.#failures >= this.#limit;
    this.#state = opens ? "open" : "closed";
    this.#notBefore = this.#clock.seconds() + (opens ? this.#openSeconds * (0.5 + this.#random() / 2)
                                                     : backoffSeconds(this.#failures, this.#backoff, this.#random));
    this.#tell();
  }

  /** The one that was let through went away without an answer. */
  #withdraw(): void {
    if (this.#state !== "half-open") return;
    this.#state = "open";
    this.#notBefore = this.#clock.seconds();
    this.#tell();
  }

  async #turn(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const left = this.#notBefore - this.#clock.seconds();
      if (left <= 0 && this.#state !== "half-open") break;
      await this.#changed.wait(this.#clock, this.#state === "half-open" ? 60 : left, signal);
    }
    if (this.#state === "open") {
      this.#state = "half-open";
      this.#onChange();
    }
  }

  #tell(): void {
    this.#changed.ring();
    this.#onChange();
  }
}
