/**
 * A stand-in for the module `vscode`, which exists inside the editor only: what our extension calls, and no more.
 * What the editor would show is written to stdout, an object a line. Settings and the open folder come from `EDITOR`.
 */

import { existsSync } from "node:fs";
import { sep } from "node:path";

const { settings = {}, folder } = JSON.parse(process.env.EDITOR ?? "{}");
const registered = new Map();

export const said = (what) => process.stdout.write(JSON.stringify(what) + "\n");
export const version = "1.100.0";
export const env = { appName: "a stand-in" };
export const StatusBarAlignment = { Left: 1, Right: 2 };
export const Uri = { file: (path) => ({ fsPath: path }) };

export class Range {
  constructor(line) {
    this.start = { line };
  }
}

export const commands = {
  registerCommand(name, act) {
    registered.set(name, act);
    return { dispose: () => registered.delete(name) };
  },
  async executeCommand(name) {
    if (!registered.has(name)) throw new Error(`command '${name}' not found`);
    return registered.get(name)();
  },
};

export const window = {
  activeTextEditor: undefined,
  createStatusBarItem(id, alignment) {
    const item = { id, alignment, show: () => said({ shown: id }), dispose() {} };
    return new Proxy(item, {
      set(target, name, value) {
        if (name === "text" && value !== target.text) said({ item: value });
        target[name] = value;
        return true;
      },
    });
  },
  async showInformationMessage(message, ...choices) {
    said({ message, choices });
    return undefined;
  },
  async showTextDocument(document, options) {
    said({ opened: document.uri.fsPath, line: options.selection.start.line });
  },
};

const folders = folder === undefined ? undefined : [{ name: "folder", uri: Uri.file(folder) }];

export const workspace = {
  name: folder === undefined ? undefined : "my folder",
  workspaceFolders: folders,
  getWorkspaceFolder: (uri) => folders?.find((each) => (uri.fsPath + sep).startsWith(each.uri.fsPath + sep)),
  getConfiguration: (section) => ({ get: (name, value) => settings[`${section}.${name}`] ?? value }),
  async openTextDocument(uri) {
    if (!existsSync(uri.fsPath)) throw new Error(`cannot open ${uri.fsPath}: it does not exist`);
    return { uri };
  },
};
