/**
 * What the editor does with an extension: activates it, runs the command on each line of stdin, deactivates it at the
 * end of stdin. Its store is the file named as the argument. The extension lies in out/ beside this file.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { commands, said } from "vscode";
import { activate, deactivate } from "./out/extension.js";

const file = process.argv[2];
const kept = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
const workspaceState = {
  get: (key) => kept[key],
  async update(key, value) {
    kept[key] = value;
    writeFileSync(file, JSON.stringify(kept));
  },
};

activate({ subscriptions: [], workspaceState });
for await (const command of createInterface({ input: process.stdin })) {
  await commands.executeCommand(command);
  said({ ran: command });
}
await deactivate();
said({ deactivated: true });
