/** Handlers that do what a test needs to see. What they learn they write into chrome.storage.local. */

import { builtin } from "./builtin.js";
import type { Handler } from "./taskspool/index.js";

const stored = async (name: string): Promise<unknown> => (await chrome.storage.local.get(name))[name];

/** Goes on until it is told to stop, and writes down why. */
const untilStopped: Handler = async (_data, context) => {
  await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
  await chrome.storage.local.set({ learned: String(context.signal.reason) });
  throw context.signal.reason;
};

/** Ends when the test stores `open`. */
const gate: Handler = async () => {
  await chrome.storage.local.set({ gates: Number((await stored("gates")) ?? 0) + 1 });
  while ((await stored("open")) !== true) await new Promise((resolve) => setTimeout(resolve, 50));
  return { passed: true };
};

/** Far enough to be looked at. */
const pages: Handler = async (_data, context) => {
  context.progress(62, "page 31 of 50");
  return gate(_data, context);
};

export const handlers: Readonly<Record<string, Handler>> = {
  ...builtin, "until-stopped": untilStopped, gate, "site.archive": pages, "site.check": gate,
};
