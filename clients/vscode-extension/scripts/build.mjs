/**
 * Makes out/: the client's own build beside our modules, so that a package of it is whole.
 * --check: only the types.
 */

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const home = dirname(dirname(fileURLToPath(import.meta.url)));
const client = process.env.TASKSPOOL_CLIENT ?? join(dirname(home), "typescript");
const out = join(home, "out");

function run(command, ...more) {
  const done = spawnSync(process.execPath, [command, ...more], { cwd: home, stdio: "inherit" });
  if (done.status !== 0) {
    process.exit(done.status ?? 1);
  }
}

if (!existsSync(join(client, "dist", "index.js"))) {
  console.error("error: the client is not built\n  hint: npm ci && npm run build in clients/typescript");
  process.exit(1);
}
const isCheck = process.argv.includes("--check");
if (!isCheck) {
  rmSync(out, { recursive: true, force: true });
}
mkdirSync(out, { recursive: true });
cpSync(join(client, "dist"), join(out, "taskspool"), { recursive: true, filter: (path) => !path.endsWith(".map") });
run(join(home, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json", ...(isCheck ? ["--noEmit"] : []));
