import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The version of this package: from the manifest beside `src/` (sources) or beside `dist/` (build). */
export function version(): string {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const root = here.includes('/dist/src/cli/') ? '../../../' : '../../';
  const manifest: { version: string } = JSON.parse(readFileSync(`${here}${root}package.json`, 'utf8'));
  return manifest.version;
}
