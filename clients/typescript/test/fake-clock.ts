/** A clock that stands until it is told to go on. */

import type { Clock } from "../src/index.js";

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

export class FakeClock implements Clock {
  #seconds = 0;
  #sleepers: Sleeper[] = [];

  seconds(): number {
    return this.#seconds;
  }

  now(): Date {
    return new Date(this.#seconds * 1000);
  }

  wait(seconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted || seconds <= 0) return resolve();
      this.#sleepers.push({ at: this.#seconds + seconds, wake: resolve });
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /** Let `seconds` pass; who wakes acts before time goes on. */
  async pass(seconds: number): Promise<void> {
    const endsAt = this.#seconds + seconds;
    await settled();
    for (;;) {
      const next = this.#sleepers.filter(({ at }) => at <= endsAt).sort((one, other) => one.at - other.at)[0];
      if (!next) break;
      this.#seconds = Math.max(this.#seconds, next.at);
      this.#sleepers = this.#sleepers.filter((each) => each !== next);
      next.wake();
      await settled();
    }
    this.#seconds = endsAt;
  }
}

/** Everything that could go on without time passing has done so. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
