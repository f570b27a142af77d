/** What a person may set, as it stands in `chrome.storage.local` below "settings". Parsed here, once. */

import { DEFAULTS } from "./defaults.js";

const LONGEST_NAME = 64;

export interface Settings {
  /** Where the bridge is: scheme, host and port, without a slash at the end. */
  readonly address: string;
  /** What the bridge calls this worker: 1 to 64 letters, digits, `.`, `_` or `-`. */
  readonly workerName: string;
  readonly isPaused: boolean;
}

/** A setting breaks its rule; the message is a sentence for the person who typed it. */
export class InvalidSetting extends Error {
  constructor(readonly field: keyof Settings, message: string) {
    super(message);
    this.name = "InvalidSetting";
  }
}

/** The address as it is used. Throws InvalidSetting: the manifest permits this machine only, by this name. */
export function parseAddress(text: string): string {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : null;
  if (url?.protocol !== "http:" || url.hostname !== "127.0.0.1" || url.username !== "") {
    throw new InvalidSetting("address", "The address must begin with http://127.0.0.1, as in http://127.0.0.1:8091.");
  }
  if (url.search !== "" || url.hash !== "") {
    throw new InvalidSetting("address", "The address must end with the port, or with /queues/ and a queue's name.");
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

/** Throws InvalidSetting. */
export function parseWorkerName(text: string): string {
  const name = text.trim();
  if (!/^[A-Za-z0-9._-]+$/.test(name) || name.length > LONGEST_NAME) {
    throw new InvalidSetting("workerName", "The name must be 1 to 64 letters, digits, dots, dashes or underscores.");
  }
  return name;
}

/** The settings; on the first call a name is made up and kept. */
export async function readSettings(): Promise<Settings> {
  // popup and service worker begin together: one of them makes the name up
  return (await kept()) ?? navigator.locks.request("settings", async () => (await kept()) ?? make());
}

/** The settings with `changes`, written. Throws InvalidSetting, and nothing is written. */
export async function changeSettings(changes: Partial<Settings>): Promise<Settings> {
  const { address, workerName, isPaused } = { ...(await readSettings()), ...changes };
  const settings = { address: parseAddress(address), workerName: parseWorkerName(workerName), isPaused };
  await chrome.storage.local.set({ settings });
  return settings;
}

async function kept(): Promise<Settings | undefined> {
  return ((await chrome.storage.local.get("settings")) as { settings?: Settings }).settings;
}

async function make(): Promise<Settings> {
  const workerName = `browser-${crypto.randomUUID().slice(0, 8)}`;
  const settings = { address: DEFAULTS.address, isPaused: false, workerName };
  await chrome.storage.local.set({ settings });
  return settings;
}
