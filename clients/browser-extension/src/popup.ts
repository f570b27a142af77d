/** The popup: what the service worker last said, and three things to do: pause, another address, another name. */

import { changeSettings, InvalidSetting, readSettings, type Settings } from "./settings.js";
import type { RunningTask } from "./taskspool/index.js";
import { type Link, readView, type View } from "./view.js";

const WORDS: Readonly<Record<Link, string>> = {
  waking: "waking up", connected: "connected", away: "no answer", refused: "refused", paused: "paused",
  quiet: "quiet: it is to take nothing new",
};

function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Text that is as it was is not written again: a screen reader would say it again. */
function say(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

function show(view: View, settings: Settings): void {
  element("link").dataset["link"] = view.link;
  say(element("link"), WORDS[view.link]);
  say(element("note"), view.note);
  say(element("command"), view.command);
  element("command").hidden = view.command === "";
  element("trouble").hidden = view.note === "";
  say(element("pause"), settings.isPaused ? "Resume" : "Pause");
  say(element("name"), settings.workerName);
  say(element("address"), settings.address.replace("http://", ""));
  say(element("types"), view.types.join(", "));
  for (const name of ["done", "failed", "undelivered"] as const) {
    say(element(name), String(view[name]));
  }
  element("nothing").hidden = view.running.length > 0 || view.types.length === 0;
  showRunning(view.running);
}

function showRunning(tasks: readonly RunningTask[]): void {
  const list = element("running");
  for (const row of [...list.children] as HTMLElement[]) {
    if (!tasks.some((task) => task.taskId === row.dataset["task"])) row.remove();
  }
  for (const task of tasks) {
    const row = list.querySelector<HTMLElement>(`[data-task="${CSS.escape(task.taskId)}"]`) ?? newRow(list, task);
    const bar = row.querySelector("progress") as HTMLProgressElement;
    if (task.percent === null) bar.removeAttribute("value");
    else bar.value = task.percent;
    say(row.querySelector(".message") as HTMLElement, messageOf(task));
  }
}

function newRow(list: HTMLElement, task: RunningTask): HTMLElement {
  const row = document.createElement("li");
  row.dataset["task"] = task.taskId;
  const top = document.createElement("div");
  top.className = "top";
  const bar = document.createElement("progress");
  bar.max = 100;
  bar.setAttribute("aria-label", `progress of ${task.type}`);
  top.append(part("type", task.type), part("id", task.taskId.slice(-12)));
  row.append(top, bar, part("message", messageOf(task)));
  list.append(row);
  return row;
}

function messageOf({ percent, message, stopReason }: RunningTask): string {
  const told = [percent === null ? "" : `${Math.round(percent)} %`, message ?? "", stopReason === null ? "" : "stopping"];
  return told.filter((each) => each !== "").join(" · ");
}

function part(name: string, text: string): HTMLElement {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

async function refresh(): Promise<void> {
  show(await readView(), await readSettings());
}

async function save(form: HTMLFormElement): Promise<void> {
  const given = new FormData(form);
  const refusal = element("refusal");
  try {
    await changeSettings({ address: String(given.get("address")), workerName: String(given.get("workerName")) });
    refusal.hidden = true;
    element<HTMLDetailsElement>("settings").open = false;
  } catch (error) {
    if (!(error instanceof InvalidSetting)) throw error;
    say(refusal, error.message);
    refusal.hidden = false;
    element(error.field === "address" ? "address-field" : "name-field").focus();
  }
}

async function open(): Promise<void> {
  const settings = await readSettings();
  element<HTMLInputElement>("address-field").value = settings.address;
  element<HTMLInputElement>("name-field").value = settings.workerName;
  element("pause").addEventListener("click", async () => {
    await changeSettings({ isPaused: !(await readSettings()).isPaused });
  });
  element<HTMLFormElement>("form").addEventListener("submit", (event) => {
    event.preventDefault();
    void save(event.target as HTMLFormElement);
  });
  chrome.storage.onChanged.addListener(() => void refresh());
  await refresh();
  await chrome.runtime.sendMessage("wake");
}

void open();
