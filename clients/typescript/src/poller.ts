/**
 * A worker over HTTP, for Node, pages and extensions: it asks for tasks of its types, runs their handlers, keeps their
 * leases, and hands in what came of them, also when the server was away for a while or this program was.
 */

import { Bell } from "./bell.js";
import { CircuitBreaker } from "./breaker.js";
import { Claiming } from "./claiming.js";
import { LONG_POLL_SECONDS, TaskspoolClient } from "./client.js";
import { newId, type Clock } from "./clock.js";
import { ServerUnreachable, isOutage } from "./errors.js";
import { Heart } from "./heart.js";
import { checked, type PollerOptions, type StopOptions } from "./options.js";
import { Outbox } from "./outbox.js";
import { Runs } from "./runs.js";
import { runningTask, type PollerState, type PollerStatus } from "./state.js";
import { MemoryResultStore } from "./store.js";
import type { Order, WorkerBeat } from "./types.js";
import { VERSION } from "./version.js";

const GRACE_SECONDS = 30;
const HANDLER_GRACE_SECONDS = 10;
/** How long handlers that were told to stop, and results that wait, may hold up the end. */
const LAST_SECONDS = 5;
/** The same for results while the server does not answer: they stay in the store. */
const AWAY_SECONDS = 1;
/** The pause after the server refused to hand tasks out: asking again soon would be refused again. */
const REFUSED_SECONDS = 15;

type Phase = "idle" | "running" | "stopping" | "stopped";

/** Made once, started once, stopped once. */
export class HttpTaskPoller {
  readonly client: TaskspoolClient;
  readonly workerId: string;
  readonly types: readonly string[];
  readonly #options: PollerOptions;
  readonly #clock: Clock;
  readonly #concurrency: number;
  readonly #breaker: CircuitBreaker;
  readonly #outbox: Outbox;
  readonly #runs: Runs;
  readonly #heart: Heart;
  readonly #claiming: Claiming;
  readonly #changed = new Bell();
  readonly #ended = new AbortController();
  readonly #startedAt: string;
  #phase: Phase = "idle";
  #asking = new AbortController();
  #isQuiet = false;
  #order: Order = "run";
  #stopped: Promise<void> | null = null;
  #graceEndsAt = Infinity;
  #feeding: Promise<void> = Promise.resolve();
  #beating: Promise<void> = Promise.resolve();
  #refusal: string | null = null;
  #isTelling = false;

  /** Throws InvalidRequest when there is nothing to do, or a number is out of its bounds. */
  constructor(client: TaskspoolClient | string, options: PollerOptions) {
    this.client = typeof client === "string" ? new TaskspoolClient(client) : client;
    this.#options = checked(options);
    const { clock, random } = this.client.connection;
    this.#clock = clock;
    this.#startedAt = clock.now().toISOString();
    this.#concurrency = options.concurrency ?? 1;
    this.workerId = options.workerId ?? `${options.kind ?? "http"}-${newId(random).slice(0, 12)}`;
    this.types = [...(options.types ?? Object.keys(options.handlers))].sort();
    this.#breaker = new CircuitBreaker(clock, random, options.breaker, () => this.#tell());
    const parts = { client: this.client, breaker: this.#breaker, workerId: this.workerId,
                    onChange: () => this.#tell(), onError: (error: unknown) => this.#note(error) };
    this.#outbox = new Outbox({ ...parts, store: options.store ?? new MemoryResultStore(),
                                signal: this.#ended.signal });
    this.#runs = new Runs({ ...parts, outbox: this.#outbox, handlers: options.handlers,
                            graceSeconds: options.handlerGraceSeconds ?? HANDLER_GRACE_SECONDS,
                            onNews: (isNews) => this.#heart.nudge(isNews) });
    this.#heart = new Heart({ ...parts, outbox: this.#outbox, held: () => this.#runs.beating,
                              report: () => this.#report(), onOrder: (order) => this.#obey(order) });
    this.#claiming = new Claiming(this.client, this.#breaker, {
      worker_id: this.workerId, types: this.types, started_at: this.#startedAt,
      wait: options.waitSeconds ?? LONG_POLL_SECONDS,
      ...(options.leaseSeconds !== undefined && { lease: options.leaseSeconds }),
    });
  }

  // -- life ---------------------------------------------------------------------------------------------------------

  /** Begin to work. What a poller before this one left in the store is sent first. */
  start(): this {
    if (this.#phase !== "idle") throw new Error("a poller is started once; make another one");
    this.#phase = "running";
    this.#feeding = this.#feed();
    this.#beating = this.#heart.run(this.#ended.signal);
    this.#tell();
    return this;
  }

  /** Take nothing new; what runs goes on. `resume` ends it. */
  quiet(): void {
    this.#isQuiet = true;
    this.#turn();
  }

  resume(): void {
    this.#isQuiet = false;
    this.#turn();
  }

  /**
   * End: take nothing new, let what runs go on for the grace, then tell it to stop, and give back what was not done.
   * Resolves when all is over. Called again it can only shorten the grace.
   */
  stop(options: StopOptions = {}): Promise<void> {
    const endsAt = this.#clock.seconds() + (options.graceSeconds ?? GRACE_SECONDS);
    this.#graceEndsAt = Math.min(this.#graceEndsAt, endsAt);
    this.#runs.wake();
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  /** How it is now. */
  get state(): PollerState {
    return {
      status: this.#status(), circuit: this.#breaker.state, workerId: this.workerId, url: this.client.url,
      types: this.types, running: this.#runs.running.map(runningTask), done: this.#runs.done, failed: this.#runs.failed,
      waiting: this.#outbox.waiting.length, lastError: this.#breaker.lastOutage ?? this.#refusal,
    };
  }

  async #end(): Promise<void> {
    const wasIdle = this.#phase === "idle";
    this.#phase = "stopping";
    this.#turn();
    await this.#feeding; // what was on the way is in hand, or given back
    await this.#runs.whenIdle(() => this.#graceEndsAt);
    await this.#runs.stopAll();
    const lastAt = this.#clock.seconds() + LAST_SECONDS;
    await this.#runs.whenIdle(() => lastAt);
    const left = Math.max(AWAY_SECONDS, lastAt - this.#clock.seconds());
    await this.#outbox.drain(this.#breaker.failures === 0 ? left : AWAY_SECONDS);
    this.#ended.abort();
    await this.#beating;
    const countedAt = this.#clock.seconds() + AWAY_SECONDS;
    await this.#runs.whenCounted(() => countedAt);
    const kept = this.#outbox.waiting.length;
    if (kept > 0) this.#note(new ServerUnreachable(`${kept} results could not be handed in; they are in the store`));
    if (!wasIdle && this.#breaker.state === "closed") await this.#heart.beat(); // goodbye
    this.#phase = "stopped";
    this.#tell();
  }

  // -- taking tasks -------------------------------------------------------------------------------------------------

  async #feed(): Promise<void> {
    await this.#outbox.load().catch((error: unknown) => this.#note(error));
    while (this.#phase === "running") {
      const free = this.#concurrency - this.#runs.count;
      if (free <= 0 || this.#isResting) {
        await this.#changed.wait(this.#clock, 3600, this.#ended.signal);
        continue;
      }
      this.#asking = new AbortController();
      await this.#ask(free, this.#asking.signal);
    }
  }

  async #ask(free: number, signal: AbortSignal): Promise<void> {
    try {
      const given = await this.#claiming.ask(free, signal);
      this.#refusal = null;
      if (given.order !== null) this.#obey(given.order);
      for (const task of given.tasks) this.#runs.begin(task, given.seconds.get(task.task_id));
      this.#tell();
    } catch (error) {
      if (signal.aborted) return this.#claiming.settle();
      if (isOutage(error)) return; // the breaker knows how long to wait
      this.#refusal = error instanceof Error ? error.message : String(error);
      this.#tell();
      this.#note(error);
      await this.#clock.wait(REFUSED_SECONDS, signal);
    }
  }

  get #isResting(): boolean {
    return this.#isQuiet || this.#order !== "run";
  }

  /** What it may do has changed: a question that is open must not bring tasks that nobody wants. */
  #turn(): void {
    if (this.#isResting || this.#phase !== "running") this.#asking.abort(new Error("the poller takes nothing new"));
    this.#changed.ring();
    this.#heart.nudge();
    this.#tell();
  }

  #obey(order: Order): void {
    if (order === this.#order) return;
    this.#order = order;
    if (order === "terminate") void this.stop();
    else this.#turn();
  }

  // -- telling ------------------------------------------------------------------------------------------------------

  #report(): Omit<WorkerBeat, "running"> {
    const { kind = "http", labels, version = VERSION, host } = this.#options;
    const living = this.#phase === "stopping" ? "stopping" : this.#isResting ? "quiet" : "running";
    const state = this.#ended.signal.aborted ? "gone" : living;
    return { types: this.types, kind, concurrency: this.#concurrency, version, state,
             started_at: this.#startedAt, done: this.#runs.done, failed: this.#runs.failed,
             ...(labels && { labels }), ...(host !== undefined && { host }) };
  }

  #status(): PollerStatus {
    if (this.#phase !== "running") return this.#phase;
    if (this.#breaker.failures > 0 || this.#breaker.state !== "closed") return "offline";
    if (this.#runs.running.length > 0) return "working";
    return this.#isResting ? "quiet" : "polling";
  }

  #note(error: unknown): void {
    this.#options.onError?.(error);
  }

  /** Something has changed. Those who watch are told once for all that changes in one go. */
  #tell(): void {
    this.#changed.ring();
    if (this.#isTelling || !this.#options.onState) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      try {
        this.#options.onState?.(this.state);
      } catch (error) {
        this.#note(error); // whoever watches must not end the work
      }
    });
  }
}
