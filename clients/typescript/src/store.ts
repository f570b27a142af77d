/** Where finished work waits while nobody can be told, so that it outlives the program. */

import type { Json, JsonObject } from "./json.js";

/** What is to be said about a task: the body of that call, and the lease token that makes it good once. */
export interface StoredResult {
  readonly task_id: string;
  readonly lease_token: string;
  readonly verb: "complete" | "fail" | "release";
  readonly body: JsonObject;
  /** Kept for the next attempt, and not told yet. */
  readonly checkpoint?: Json;
  /** The task was still being worked on when this was written: a worker that died gives it back, the first time. */
  readonly is_running?: boolean;
  /** It had been given back so before: maybe it kills its workers, and the server must count that. */
  readonly is_again?: boolean;
  /** Nothing is to be said: it was given back so, and who has the task in hand next must know. */
  readonly is_mark?: boolean;
}

/**
 * `load` gives what the last `save` was given, or nothing. One store for one poller: two would overwrite each other.
 */
export interface ResultStore {
  load(): Promise<readonly StoredResult[]>;
  save(results: readonly StoredResult[]): Promise<void>;
}

/** Kept for as long as the program runs. */
export class MemoryResultStore implements ResultStore {
  #results: readonly StoredResult[] = [];

  load(): Promise<readonly StoredResult[]> {
    return Promise.resolve(this.#results);
  }

  save(results: readonly StoredResult[]): Promise<void> {
    this.#results = results;
    return Promise.resolve();
  }
}

/** What `localStorage` and `sessionStorage` are, as far as we need it. */
export interface TextStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** In `localStorage` of a page, under `key`. */
export function webStore(storage: TextStorage, key = "taskspool"): ResultStore {
  return {
    load: async () => known(parsed(storage.getItem(key))),
    save: async (results) => storage.setItem(key, JSON.stringify(results)),
  };
}

/** What `chrome.storage.local` is, as far as we need it. */
export interface ExtensionArea {
  get(key: string): Promise<Record<string, unknown>>;
  set(items: Record<string, unknown>): Promise<void>;
}

/** In `chrome.storage.local` of an extension, under `key`. */
export function extensionStore(area: ExtensionArea, key = "taskspool"): ResultStore {
  return {
    load: async () => known((await area.get(key))[key]),
    save: async (results) => area.set({ [key]: results }),
  };
}

function parsed(text: string | null): unknown {
  try {
    return text === null ? [] : JSON.parse(text);
  } catch {
    return []; // written by somebody else: none of ours
  }
}

const VERBS: readonly unknown[] = ["complete", "fail", "release"];

/** The results among `value`: what somebody else wrote there is left out. */
export function known(value: unknown): readonly StoredResult[] {
  const isOurs = (each: Partial<StoredResult> | null): boolean =>
    typeof each?.task_id === "string" && typeof each.lease_token === "string" && VERBS.includes(each.verb) &&
    typeof each.body === "object" && each.body !== null;
  return Array.isArray(value) ? (value as StoredResult[]).filter(isOurs) : [];
}
