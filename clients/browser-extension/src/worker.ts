/** The poller as it lives in a service worker: kept awake while a task runs, and told to the popup. */

import { DEFAULTS } from "./defaults.js";
import { handlers } from "./handlers.js";
import type { Settings } from "./settings.js";
import { extensionStore, Forbidden, HttpTaskPoller, type PollerState } from "./taskspool/index.js";
import { type Link, type View, writeView } from "./view.js";

/** Chrome ends a service worker whose fetch takes longer than 30 s to be answered; this leaves room for a slow bridge. */
const WAIT_SECONDS = 20;
/** Chrome ends a service worker that heard nothing for 30 s. Any call of its API counts. */
const AWAKE_MS = 20_000;
/** The bridge as this extension needs it. */
const COMMAND = `taskspool serve --cors-origin chrome-extension://${chrome.runtime.id}`;

export class BrowserWorker {
  readonly settings: Settings;
  readonly #before: View;
  readonly #onEnd: () => void;
  readonly #poller: HttpTaskPoller;
  #isRefused = false;
  #awake: ReturnType<typeof setInterval> | null = null;
  #shown: Promise<void> = Promise.resolve();
  #isPaused = false;
  #isStopped = false;

  /** `before`: what was shown last; its totals are added to. `onEnd`: the bridge has told this worker to end. */
  constructor(settings: Settings, before: View, onEnd: () => void) {
    this.settings = settings;
    this.#before = before;
    this.#onEnd = onEnd;
    this.#poller = new HttpTaskPoller(settings.address, {
      handlers, workerId: settings.workerName, kind: "browser", concurrency: DEFAULTS.concurrency,
      waitSeconds: WAIT_SECONDS, store: extensionStore(chrome.storage.local, `results for ${settings.address}`),
      onState: (state) => this.#tell(state), onError: (error) => this.#hear(error),
    });
  }

  start(): void {
    this.#poller.start();
  }

  /** Paused, nothing new is claimed; what runs goes on. */
  pause(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#poller.quiet();
    else this.#poller.resume();
  }

  /** Give back what runs, and end. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#poller.stop({ graceSeconds: 0 });
    if (this.#awake !== null) clearInterval(this.#awake);
    await this.#shown;
  }

  #hear(error: unknown): void {
    if (error instanceof Forbidden) this.#isRefused = true;
    else console.warn(error);
    this.#tell(this.#poller.state);
  }

  #tell(state: PollerState): void {
    if (state.lastError === null) this.#isRefused = false;
    if (state.status === "stopped" && !this.#isStopped) this.#onEnd();
    this.#stayAwake(state.running.length > 0);
    const view = this.#viewOf(state);
    this.#shown = this.#shown.then(() => writeView(view));
  }

  #stayAwake(isNeeded: boolean): void {
    if (isNeeded === (this.#awake !== null)) return;
    if (this.#awake !== null) clearInterval(this.#awake);
    this.#awake = isNeeded ? setInterval(() => void chrome.runtime.getPlatformInfo(), AWAKE_MS) : null;
  }

  #viewOf(state: PollerState): View {
    const link = this.#linkOf(state);
    return {
      link, ...this.#troubleOf(link), types: state.types, running: state.running, undelivered: state.waiting,
      done: this.#before.done + state.done, failed: this.#before.failed + state.failed,
    };
  }

  #linkOf(state: PollerState): Link {
    if (this.#isRefused) return "refused";
    if (state.status === "offline") return "away";
    if (this.#isPaused) return "paused";
    if (state.status === "idle" || state.status === "stopped") return "waking";
    return state.status === "quiet" ? "quiet" : "connected";
  }

  #troubleOf(link: Link): Pick<View, "note" | "command"> {
    if (link === "away") {
      return { note: `No answer from ${this.settings.address}. This starts the bridge:`, command: COMMAND };
    }
    if (link !== "refused") return { note: "", command: "" };
    return { note: "The bridge does not trust this extension. If you do, start it with:", command: COMMAND };
  }
}
