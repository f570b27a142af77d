/** The live log of one run: lines are gathered for a moment, sent in order, and kept while nobody can be reached. */

import { Bell } from "./bell.js";
import { backoffSeconds, type Clock, type Random } from "./clock.js";
import { InvalidRequest, LogOffset, isOutage } from "./errors.js";
import { wellFormed } from "./json.js";
import type { LineSent } from "./types.js";

export type LogEntry = Required<LineSent>;

/** Adds lines; `offset` is how many were added before. The next offset. */
export type SendLines = (lines: readonly LogEntry[], offset: number) => Promise<number>;

export const GATHER_SECONDS = 0.2;
export const SEND_CHARS = 64 * 1024;
export const KEEP_CHARS = 1024 * 1024;
/** A longer line is split; the bridge's own limit is 64 KiB. */
const LINE_CHARS = 16_000;
const MAX_LINES = 1000;
const BACKOFF = { baseSeconds: 0.2, capSeconds: 5 };

export class TaskLog {
  readonly #send: SendLines;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #news = new Bell();
  readonly #ending = new AbortController();
  #lines: LogEntry[] = [];
  #chars = 0;
  #lost = 0;
  #offset = 0;
  #isClosing = false;
  #isRefused = false;
  #sending: Promise<void> | null = null;

  constructor(send: SendLines, clock: Clock, random: Random) {
    this.#send = send;
    this.#clock = clock;
    this.#random = random;
  }

  /** Add the lines of `text`. Costs nothing and never throws; beyond 1 MiB that cannot be sent, lines are lost. */
  write(stream: LogEntry["stream"], text: string): void {
    if (this.#isClosing || this.#isRefused) return;
    for (const line of wellFormed(text).replace(/(\r\n|\r|\n)$/, "").split(/\r\n|\r|\n/)) {
      for (let start = 0; start === 0 || start < line.length; start += LINE_CHARS) {
        this.#add({ stream, text: line.slice(start, start + LINE_CHARS) });
      }
    }
    if (this.#chars >= SEND_CHARS) this.#news.ring();
    this.#sending ??= this.#run();
  }

  /** Send what is left, for at most `seconds`. */
  async close(seconds: number): Promise<void> {
    this.#isClosing = true;
    this.#news.ring();
    if (!this.#sending) return;
    const sent = new AbortController();
    const isLate = this.#clock.wait(seconds, sent.signal).then(() => this.#ending.abort());
    await Promise.race([this.#sending, isLate]);
    sent.abort();
  }

  #add(line: LogEntry): void {
    if (this.#chars + line.text.length > KEEP_CHARS) {
      this.#lost += 1;
      return;
    }
    this.#tellLoss();
    this.#lines.push(line);
    this.#chars += line.text.length + 1;
  }

  #tellLoss(): void {
    if (this.#lost === 0) return;
    this.#lines.push({ stream: "log", text: `(${this.#lost} lines were lost: nobody could be reached)` });
    this.#lost = 0;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (this.#lines.length > 0 && !this.#ending.signal.aborted) {
      if (!this.#isClosing && this.#chars < SEND_CHARS) await this.#news.wait(this.#clock, GATHER_SECONDS);
      failures = (await this.#sendSome()) ? 0 : failures + 1;
      if (this.#lines.length === 0 && !this.#isRefused) this.#tellLoss();
      if (failures > 0) {
        await this.#news.wait(this.#clock, backoffSeconds(failures, BACKOFF, this.#random), this.#ending.signal);
      }
    }
    this.#sending = null;
  }

  /** Whether anything became of the first lines; false: nobody could be reached. */
  async #sendSome(): Promise<boolean> {
    const some = this.#first();
    try {
      const next = await this.#send(some, this.#offset);
      this.#drop(some.length);
      this.#offset = next;
    } catch (error) {
      if (isOutage(error)) return false;
      if (error instanceof LogOffset) this.#goOnAt(Number(error.details["next_offset"]));
      else if (error instanceof InvalidRequest) this.#drop(some.length); // refused once is refused again
      else this.#refuse(); // the lease is gone, or the bridge is older and has no logs
    }
    return true;
  }

  #first(): LogEntry[] {
    let chars = 0;
    let count = 0;
    for (const line of this.#lines.slice(0, MAX_LINES)) {
      chars += line.text.length + 1;
      if (count > 0 && chars > SEND_CHARS) break;
      count += 1;
    }
    return this.#lines.slice(0, count);
  }

  /** The bridge has more lines of ours than we know of, or fewer: it knows better. */
  #goOnAt(next: number): void {
    if (!Number.isInteger(next)) return this.#refuse();
    this.#drop(Math.max(0, next - this.#offset));
    this.#offset = next;
  }

  #drop(count: number): void {
    for (const line of this.#lines.splice(0, count)) this.#chars -= line.text.length + 1;
    if (this.#lines.length === 0) this.#chars = 0;
  }

  #refuse(): void {
    this.#isRefused = true;
    this.#drop(this.#lines.length);
  }
}
