/** The only clock. Durations are measured on a clock that nobody sets; tests give their own. */

export interface Clock {
  /** Seconds on a clock that never jumps. */
  seconds(): number;
  /** The time of day. */
  now(): Date;
  /** Resolves after `seconds`, or at once when `signal` is or becomes aborted. Never rejects. */
  wait(seconds: number, signal?: AbortSignal): Promise<void>;
}

/** `setTimeout` knows no longer time; whoever waits longer waits again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  seconds: () => performance.now() / 1000,
  now: () => new Date(),
  wait: async (seconds, signal) => {
    for (let left = Math.max(0, seconds) * 1000; left > 0 && !signal?.aborted; left -= LONGEST_TIMER_MS) {
      await timer(Math.min(left, LONGEST_TIMER_MS), signal);
    }
  },
};

function timer(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(running);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const running = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end, { once: true });
  });
}

/** A number in 0..1, by chance: spreads clients, guards nothing. */
export type Random = () => number;

export interface Backoff {
  /** The longest wait after the first failure. */
  readonly baseSeconds: number;
  /** The longest wait at all. */
  readonly capSeconds: number;
}

/** How long to wait after the `failures`-th failure in a row (from 1): full jitter, 0 to `min(cap, base * 2^(n-1))`. */
export function backoffSeconds(failures: number, backoff: Backoff, random: Random): number {
  return random() * Math.min(backoff.capSeconds, backoff.baseSeconds * 2 ** Math.min(Math.max(0, failures - 1), 30));
}

/** A new name that nobody else makes: 32 hexadecimal digits. */
export function newId(random: Random = Math.random): string {
  const bytes = new Uint8Array(16);
  const source = (globalThis as { crypto?: Crypto }).crypto; // Node 18 has none
  if (source) source.getRandomValues(bytes);
  else bytes.forEach((_, place) => (bytes[place] = Math.floor(random() * 256)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
