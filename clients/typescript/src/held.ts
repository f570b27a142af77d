/** A task in hand: what its handler said and nobody was told yet, and why it is to stop. */

import type { Clock, Random } from "./clock.js";
import { Cancelled, type StopReason } from "./fates.js";
import type { Json } from "./json.js";
import { TaskLog, type SendLines } from "./task-log.js";
import type { ClaimedTask, Running } from "./types.js";

export class HeldTask {
  readonly task: ClaimedTask;
  readonly log: TaskLog;
  readonly startedAt: Date;
  percent: number | null = null;
  message: string | null = null;
  /** What was kept and is not told yet; undefined: nothing. */
  #checkpoint: Json | undefined = undefined;
  /** How often something was kept. */
  #kept = 0;
  #keptInBeat = 0;
  /** Whether its handler has ended, or was given up: what came of it is on its way. */
  isOver = false;
  /** Whether there is progress that nobody was told of. */
  hasNews = false;
  readonly #stopping = new AbortController();

  constructor(task: ClaimedTask, sendLines: SendLines, clock: Clock, random: Random) {
    this.task = task;
    this.log = new TaskLog(sendLines, clock, random);
    this.startedAt = clock.now();
  }

  get id(): string {
    return this.task.task_id;
  }

  get token(): string {
    return this.task.lease.token;
  }

  /** Aborted when the run is to stop; its reason is a Cancelled. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  get stopReason(): StopReason | null {
    return this.signal.aborted ? (this.signal.reason as Cancelled).reason : null;
  }

  /** The run is to stop; the first reason stands. */
  stop(reason: StopReason): void {
    if (!this.signal.aborted) this.#stopping.abort(new Cancelled(reason));
  }

  /** Its part of the next beat. What was said counts as told; `putBack` says that it was not. */
  beat(): Running {
    const told = this.hasNews ? { progress: { percent: this.percent, message: this.message } } : {};
    const kept = this.#checkpoint === undefined ? {} : { checkpoint: this.#checkpoint };
    this.hasNews = false;
    this.#checkpoint = undefined;
    this.#keptInBeat = this.#kept;
    return { task_id: this.id, lease_token: this.token, ...told, ...kept };
  }

  /** The beat did not arrive. What was kept since is newer. */
  putBack(beat: Running): void {
    if (beat.progress !== undefined) this.hasNews = true;
    if (beat.checkpoint !== undefined && this.#kept === this.#keptInBeat) this.#checkpoint = beat.checkpoint;
  }

  /** `value` is kept and is being told; its number, for `untold`. */
  keep(): number {
    this.#checkpoint = undefined;
    return (this.#kept += 1);
  }

  /** The `number`-th checkpoint could not be told: it goes with the next beat, or the end, unless a newer one came. */
  untold(number: number, value: Json): void {
    if (number === this.#kept) this.#checkpoint = value;
  }

  get checkpoint(): Json | undefined {
    return this.#checkpoint;
  }
}
