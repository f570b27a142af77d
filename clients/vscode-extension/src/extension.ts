/** The editor as a worker: three commands, an item in the status bar, and a poller while it is wanted. */

import * as vscode from "vscode";
import { handlers } from "./handlers.js";
import { HttpTaskPoller, extensionStore, type ExtensionArea, type PollerState } from "./taskspool/index.js";

/** How many tasks are done at once. */
const CONCURRENCY = 2;
/** How long running handlers may go on when the worker is stopped: the editor waits for 5 s when it is closed. */
const GRACE_SECONDS = 2;
const ICONS: Readonly<Record<PollerState["status"], string>> = {
  idle: "sync", polling: "check", working: "sync~spin", offline: "warning", quiet: "debug-pause", stopping: "sync",
  stopped: "circle-slash",
};

let worker: HttpTaskPoller | null = null;

/** Called once by the editor. */
export function activate(context: vscode.ExtensionContext): void {
  const item = vscode.window.createStatusBarItem("taskspool", vscode.StatusBarAlignment.Right);
  item.name = "taskspool worker";
  item.command = "taskspool.showStatus";
  show(item, null);
  item.show();
  context.subscriptions.push(
    item,
    vscode.commands.registerCommand("taskspool.start", () => start(context, item)),
    vscode.commands.registerCommand("taskspool.stop", () => stop(item)),
    vscode.commands.registerCommand("taskspool.showStatus", () => tell()),
  );
  if (settings().get("startWithEditor", false)) start(context, item);
}

/** Called once by the editor when it is closed. What runs is given back; results that wait are kept. */
export async function deactivate(): Promise<void> {
  await worker?.stop({ graceSeconds: GRACE_SECONDS });
  worker = null;
}

function start(context: vscode.ExtensionContext, item: vscode.StatusBarItem): void {
  if (worker !== null) return;
  const address = settings().get("address", "http://127.0.0.1:8091");
  const made: HttpTaskPoller = new HttpTaskPoller(address, {
    handlers, workerId: workerName(context.workspaceState), kind: "vscode", concurrency: CONCURRENCY,
    store: extensionStore(areaOf(context.workspaceState), `results for ${address}`),
    onError: (error) => console.warn(error),
    onState: (state) => {
      if (worker !== made) return;
      if (state.status === "stopped") worker = null;
      show(item, state);
    },
  });
  worker = made;
  made.start();
}

async function stop(item: vscode.StatusBarItem): Promise<void> {
  const stopped = worker;
  await stopped?.stop({ graceSeconds: GRACE_SECONDS });
  if (worker === stopped) worker = null;
  show(item, null);
}

function show(item: vscode.StatusBarItem, state: PollerState | null): void {
  const status = state?.status ?? "stopped";
  const running = state?.running.length ?? 0;
  item.text = `$(${ICONS[status]}) taskspool${running > 0 ? ` ${running}` : ""}`;
  item.tooltip = sentences(state);
  item.accessibilityInformation = { label: `taskspool worker, ${status}, ${running} running` };
}

async function tell(): Promise<void> {
  const choice = worker === null ? "Start" : "Stop";
  const chosen = await vscode.window.showInformationMessage(sentences(worker?.state ?? null), choice);
  if (chosen !== undefined) await vscode.commands.executeCommand(`taskspool.${choice.toLowerCase()}`);
}

function sentences(state: PollerState | null): string {
  if (state === null || state.status === "stopped") return "The taskspool worker is stopped.";
  const running = state.running.map(({ type, percent }) => (percent === null ? type : `${type} ${Math.round(percent)} %`));
  return [
    `${state.workerId} works for ${state.url}: ${state.status}.`,
    running.length > 0 ? `Running: ${running.join(", ")}.` : "",
    `${state.done} done, ${state.failed} failed, ${state.waiting} to be delivered.`,
    state.lastError ?? "",
  ].filter((each) => each !== "").join(" ");
}

function settings(): vscode.WorkspaceConfiguration {
  return vscode.workspace.getConfiguration("taskspool");
}

/** The name that was set, or one made of the folder's: folders may be called the same, so by chance a little longer. */
function workerName(memento: vscode.Memento): string {
  const suffix = memento.get<string>("suffix") ?? Math.random().toString(36).slice(2, 8);
  void memento.update("suffix", suffix);
  const folder = (vscode.workspace.name ?? "window").replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 40);
  return settings().get("workerName", "") || `vscode-${folder}-${suffix}`;
}

/** The editor's own store, which outlives a restart, as the client wants it. */
function areaOf(memento: vscode.Memento): ExtensionArea {
  return {
    get: async (key) => ({ [key]: memento.get(key) }),
    set: async (items) => {
      for (const [key, value] of Object.entries(items)) await memento.update(key, value);
    },
  };
}
