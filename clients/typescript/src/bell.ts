/** Something to wait for that anybody may ring: news, a free hand, the end. */

import type { Clock } from "./clock.js";

export class Bell {
  readonly #sleepers = new Set<() => void>();

  /** Everybody who waits goes on. */
  ring(): void {
    for (const wake of [...this.#sleepers]) wake();
  }

  /** Until the bell, `seconds` or the abort of `signal`, whichever comes first. Never rejects. */
  async wait(clock: Clock, seconds: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    const awake = new AbortController();
    const wake = (): void => awake.abort();
    this.#sleepers.add(wake);
    signal?.addEventListener("abort", wake, { once: true });
    try {
      await clock.wait(seconds, awake.signal);
    } finally {
      this.#sleepers.delete(wake);
      signal?.removeEventListener("abort", wake);
    }
  }
}
