/** One call to the bridge: an end to every wait, patience with a server that starts anew, errors by their code. */

import { backoffSeconds, systemClock, type Backoff, type Clock, type Random } from "./clock.js";
import { InvalidRequest, ServerUnreachable, StoreFull, TaskspoolError, errorOf, isOutage } from "./errors.js";
import { isObject, toJson } from "./json.js";

export const DEFAULT_URL = "http://127.0.0.1:8091";
/** A long poll may take so much longer than it asked for. */
const MARGIN_SECONDS = 10;

export interface ConnectionOptions {
  /** How long an answer may take; long polls add their wait. 10. */
  readonly timeoutSeconds?: number;
  /** How often a call is repeated when no answer came, or the server said "not now" (503). 5. */
  readonly retries?: number;
  /** The pause before a repeat: by chance up to `base * 2^n`, at most `cap`. 0.1 to 5 seconds. */
  readonly backoff?: Backoff;
  /** More headers for every call. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Another `fetch`, clock or chance: for tests, proxies, special runtimes. */
  readonly fetch?: typeof globalThis.fetch;
  readonly clock?: Clock;
  readonly random?: Random;
}

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | null | undefined>>;

export interface Call {
  readonly body?: unknown;
  readonly query?: Query;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** How long the server was asked to hold its answer back. */
  readonly waitSeconds?: number;
  readonly retries?: number | undefined;
  readonly timeoutSeconds?: number | undefined;
  /** Ends the call: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export class Connection {
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly #fetch: typeof globalThis.fetch;
  readonly #timeoutSeconds: number;
  readonly #retries: number;
  readonly #backoff: Backoff;
  readonly #headers: Readonly<Record<string, string>>;

  /** Throws InvalidRequest when `url` is none. */
  constructor(url: string = DEFAULT_URL, options: ConnectionOptions = {}) {
    this.url = checkedUrl(url);
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? Math.random;
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#timeoutSeconds = options.timeoutSeconds ?? 10;
    this.#retries = options.retries ?? 5;
    this.#backoff = options.backoff ?? { baseSeconds: 0.1, capSeconds: 5 };
    this.#headers = options.headers ?? {};
  }

  /** The JSON object the server answered with. Throws a TaskspoolError, or the reason of `call.signal`. */
  async call(method: string, path: string, call: Call = {}): Promise<Record<string, unknown>> {
    const retries = call.retries ?? this.#retries;
    for (let failures = 1; ; failures++) {
      try {
        return await this.#once(method, path, call);
      } catch (error) {
        if (failures > retries || !isOutage(error) || error instanceof StoreFull) throw error;
        await this.pause(failures, error, call.signal);
      }
    }
  }

  /** The time before a call is repeated: by chance, and not before the server wants it. Throws the signal's reason. */
  async pause(failures: number, error: TaskspoolError | null, signal?: AbortSignal): Promise<void> {
    const asked = Number(error?.details["retry_after"] ?? 0) || 0;
    const wait = backoffSeconds(failures, this.#backoff, this.random);
    await this.clock.wait(Math.max(wait, Math.min(asked, this.#backoff.capSeconds)), signal);
    signal?.throwIfAborted();
  }

  async #once(method: string, path: string, call: Call): Promise<Record<string, unknown>> {
    const wait = call.waitSeconds ?? 0;
    const patience = (call.timeoutSeconds ?? this.#timeoutSeconds) + (wait > 0 ? wait + MARGIN_SECONDS : 0);
    const ending = new Ending(call.signal);
    const isLate = this.clock.wait(patience, ending.finished).then(() => ending.end());
    try {
      const response = await this.#send(method, path, call, ending.signal);
      const text = await response.text();
      return this.#read(response, text);
    } catch (error) {
      if (error instanceof TaskspoolError) throw error;
      call.signal?.throwIfAborted();
      throw this.#unreachable(ending.signal.aborted ? "it took too long" : why(error), error);
    } finally {
      ending.finish();
      await isLate;
    }
  }

  /**
   * The answer piece by piece, as it comes; a stream of server-sent events. It ends when the server ends it; it throws
   * ServerUnreachable, also in the middle, when it breaks or nothing came for `silenceSeconds`.
   */
  async *stream(path: string, call: Call, silenceSeconds: number): AsyncGenerator<Uint8Array> {
    const ending = new Ending(call.signal);
    try {
      const response = await this.#inTime(this.#send("GET", path, call, ending.signal), silenceSeconds, ending);
      const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream");
      if (!response.ok || !isStream || !response.body) throw this.#refusal(response, await response.text());
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await this.#inTime(reader.read(), silenceSeconds, ending);
        if (done) return;
        yield value;
      }
    } catch (error) {
      if (error instanceof TaskspoolError) throw error;
      call.signal?.throwIfAborted();
      throw this.#unreachable(ending.signal.aborted ? "nothing came any more" : why(error), error);
    } finally {
      ending.end();
    }
  }

  async #inTime<Value>(work: Promise<Value>, seconds: number, ending: Ending): Promise<Value> {
    const came = new AbortController();
    const isLate = this.clock.wait(seconds, came.signal).then(() => came.signal.aborted || ending.end());
    try {
      return await work;
    } finally {
      came.abort();
      await isLate;
    }
  }

  #send(method: string, path: string, call: Call, signal: AbortSignal): Promise<Response> {
    const hasBody = call.body !== undefined;
    const headers = { Accept: "application/json", ...(hasBody && { "Content-Type": "application/json" }),
                      ...this.#headers, ...call.headers };
    const body = hasBody ? { body: toJson(call.body, "body") } : {};
    return this.#fetch(this.url + path + queryText(call.query), {
      method, headers, signal, cache: "no-store", credentials: "omit", redirect: "error", ...body,
    });
  }

  #read(response: Response, text: string): Record<string, unknown> {
    const parsed = parsedObject(text);
    if (response.ok && parsed) return parsed;
    throw this.#refusal(response, text);
  }

  #refusal(response: Response, text: string): TaskspoolError {
    const parsed = parsedObject(text);
    if (response.ok || !parsed) {
      return this.#unreachable(`the answer was HTTP ${response.status} and not what was asked for; ` +
                               "another program may be listening there");
    }
    const retryAfter = Number(response.headers.get("Retry-After") ?? NaN);
    const details = isObject(parsed["details"]) ? parsed["details"] : {};
    const more = Number.isFinite(retryAfter) ? { retry_after: retryAfter } : {};
    return errorOf(response.status, { ...parsed, details: { ...details, ...more } });
  }

  #unreachable(reason: string, cause?: unknown): ServerUnreachable {
    return new ServerUnreachable(`no answer from ${this.url}: ${reason}`, {
      hint: "start it with: taskspool serve bridge; a page or an extension must be named in --cors-origin",
      details: { url: this.url }, cause,
    });
  }
}

/** The end of one call: by its caller's signal, or by ours when it takes too long. */
class Ending {
  readonly #ours = new AbortController();
  readonly #done = new AbortController();
  readonly #theirs: AbortSignal | undefined;
  readonly #pass = (): void => this.#ours.abort(this.#theirs?.reason);

  constructor(theirs?: AbortSignal) {
    this.#theirs = theirs;
    if (theirs?.aborted) this.#pass();
    else theirs?.addEventListener("abort", this.#pass, { once: true });
  }

  get signal(): AbortSignal {
    return this.#ours.signal;
  }

  /** Aborted when the call is over, whatever became of it. */
  get finished(): AbortSignal {
    return this.#done.signal;
  }

  end(): void {
    if (!this.#done.signal.aborted) this.#ours.abort();
    this.finish();
  }

  finish(): void {
    this.#done.abort();
    this.#theirs?.removeEventListener("abort", this.#pass);
  }
}

function checkedUrl(url: string): string {
  if (!/^https?:\/\/[^/\s]+/.test(url) || !isUrl(url)) {
    const details = { field: "url", rule: "http(s)://host" };
    throw new InvalidRequest(`this is no address of a server: ${url}`, { details });
  }
  return url.replace(/\/+$/, "");
}

function isUrl(text: string): boolean {
  try {
    return new URL(text).host !== "";
  } catch {
    return false;
  }
}

export function queryText(query: Query = {}): string {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined) continue;
    for (const each of typeof value === "object" ? value : [value]) asked.append(name, String(each));
  }
  const text = asked.toString();
  return text && `?${text}`;
}

export function taskPath(taskId: string, verb = ""): string {
  return `/api/tasks/${encodeURIComponent(taskId)}${verb && `/${verb}`}`;
}

function parsedObject(text: string): Record<string, unknown> | null {
  try {
    const parsed: unknown = JSON.parse(text);
    return isObject(parsed) ? parsed : null;
  } catch {
    return null; // not JSON: the caller says what came instead
  }
}

/** What the system said, in its own words; `fetch` hides it in the cause. */
function why(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause;
  return cause instanceof Error && cause.message ? cause.message : error.message;
}
