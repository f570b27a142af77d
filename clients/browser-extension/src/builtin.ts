/** The task types every browser can do without a permission more. */

import type { Handler } from "./taskspool/index.js";

/** `{}` -> `{message: "pong", worker, timestamp}`, as every worker of taskspool answers it. */
const ping: Handler = async (_data, context) => (
  { message: "pong", worker: context.worker, timestamp: new Date().toISOString() }
);

/** `{}` -> `{browser, system, languages, is_online, time_zone}`: where a task runs that is run here. */
const browserInfo: Handler = async () => ({
  browser: navigator.userAgent,
  system: (await chrome.runtime.getPlatformInfo()).os,
  languages: [...navigator.languages],
  is_online: navigator.onLine,
  time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
});

export const builtin: Readonly<Record<string, Handler>> = { ping, "browser.info": browserInfo };
