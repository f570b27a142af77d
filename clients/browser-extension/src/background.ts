/**
 * The service worker: whatever starts it (the browser, an alarm, the popup), it goes on where the last one was ended.
 * Listeners stand at the top: Chrome starts a worker only for events it has listened to at once.
 */

import { DEFAULTS } from "./defaults.js";
import { changeSettings, readSettings, type Settings } from "./settings.js";
import { readView } from "./view.js";
import { BrowserWorker } from "./worker.js";

const ALARM = "wake";

let worker: BrowserWorker | null = null;
/** The bridge has ended this worker: it stays ended until a person presses Resume. */
let isEnded = false;
/** One thing after the other: a worker ends before the next begins. */
let turn: Promise<void> = Promise.resolve();

chrome.alarms.onAlarm.addListener(follow);
chrome.runtime.onStartup.addListener(follow);
chrome.runtime.onInstalled.addListener(follow);
chrome.runtime.onMessage.addListener(() => follow());
chrome.storage.onChanged.addListener((changes, area) => {
  if (area === "local" && "settings" in changes) follow();
});
follow();

/** Do as the settings say, from now on. */
function follow(): void {
  turn = turn.then(step).catch((error: unknown) => console.error(error));
}

async function step(): Promise<void> {
  await setAlarm();
  const settings = await readSettings();
  if (isEnded && settings.isPaused) return;
  isEnded = false;
  if (worker !== null && isFor(worker, settings)) return worker.pause(settings.isPaused);
  await worker?.stop();
  worker = new BrowserWorker(settings, await readView(), onEnd);
  worker.pause(settings.isPaused);
  worker.start();
}

function onEnd(): void {
  isEnded = true;
  worker = null;
  void changeSettings({ isPaused: true });
}

async function setAlarm(): Promise<void> {
  const periodInMinutes = DEFAULTS.alarmSeconds / 60;
  const set = await chrome.alarms.get(ALARM);
  if (set?.periodInMinutes !== periodInMinutes) await chrome.alarms.create(ALARM, { periodInMinutes });
}

function isFor({ settings }: BrowserWorker, { address, workerName }: Settings): boolean {
  return settings.address === address && settings.workerName === workerName;
}
