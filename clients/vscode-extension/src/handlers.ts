/** The tasks this editor does: a type, and the function that does it. Add yours here, then `npm run build`. */

import { resolve } from "node:path";
import * as vscode from "vscode";
import { GiveUp, type Handler } from "./taskspool/index.js";

/** `{}` -> `{message: "pong", worker, timestamp}`, as every worker of taskspool answers it. */
const ping: Handler = async (_data, context) => (
  { message: "pong", worker: context.worker, timestamp: new Date().toISOString() }
);

/** `{}` -> `{editor, version, folders, open_file}`: where a task runs that is run here. */
const info: Handler = async () => ({
  editor: vscode.env.appName,
  version: vscode.version,
  folders: (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath),
  open_file: vscode.window.activeTextEditor?.document.uri.fsPath ?? null,
});

/** `{path, line = 1}` -> `{path, line}`: shows a file of the open folders. Any other file is refused. */
const open: Handler = async (data) => {
  const path = String(data["path"] ?? "");
  const line = Math.max(1, Number(data["line"] ?? 1) || 1);
  const uri = vscode.Uri.file(resolve(path)); // without this `..` would lead out of the folder
  if (vscode.workspace.getWorkspaceFolder(uri) === undefined) {
    throw new GiveUp(`path must name a file of a folder that is open here, not ${JSON.stringify(path)}`);
  }
  const document = await vscode.workspace.openTextDocument(uri);
  const place = new vscode.Range(line - 1, 0, line - 1, 0);
  await vscode.window.showTextDocument(document, { selection: place, preserveFocus: true });
  return { path: uri.fsPath, line };
};

export const handlers: Readonly<Record<string, Handler>> = { ping, "vscode.info": info, "vscode.open": open };
