/** The tasks this browser does: a type, and the function that does it. Add yours here, then `npm run build`. */

import { builtin } from "./builtin.js";
import type { Handler } from "./taskspool/index.js";

export const handlers: Readonly<Record<string, Handler>> = {
  ...builtin,
};
