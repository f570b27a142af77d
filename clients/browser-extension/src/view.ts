/** What the popup shows: written by the service worker into `chrome.storage.session`, read by the popup. */

import type { RunningTask } from "./taskspool/index.js";

/**
 * `waking`: nothing is known yet. `away`: the bridge gives no answer. `refused`: it answers that we may not.
 * `paused`: a person wants nothing new to be claimed. `quiet`: whoever looks after the bridge wants that.
 */
export type Link = "waking" | "connected" | "away" | "refused" | "paused" | "quiet";

export interface View {
  readonly link: Link;
  /** What is wrong. Empty when nothing is. */
  readonly note: string;
  /** The command that mends it; empty when there is none. */
  readonly command: string;
  readonly types: readonly string[];
  readonly running: readonly RunningTask[];
  /** How many tasks ended here since the browser was opened. */
  readonly done: number;
  readonly failed: number;
  /** How many results wait here until the bridge can be reached. */
  readonly undelivered: number;
}

const EMPTY: View = {
  link: "waking", note: "", command: "", types: [], running: [], done: 0, failed: 0, undelivered: 0,
};

export async function readView(): Promise<View> {
  const { view } = (await chrome.storage.session.get("view")) as { view?: View };
  return view ?? EMPTY;
}

/** Shown from here on, in the popup and on the toolbar's icon. */
export async function writeView(view: View): Promise<void> {
  await chrome.storage.session.set({ view });
  await chrome.action.setBadgeText({ text: badgeOf(view) });
}

function badgeOf(view: View): string {
  if (view.link === "away" || view.link === "refused") return "!";
  return view.running.length > 0 ? String(view.running.length) : "";
}
