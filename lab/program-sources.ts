import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of the guest's C sources, whether this module runs as source or as built. */
export const PROGRAMS_FOLDER = join(packageRoot(import.meta.dirname), 'lab', 'programs');

function packageRoot(folder: string): string {
  if (existsSync(join(folder, 'package.json')) || dirname(folder) === folder) return folder;
  return packageRoot(dirname(folder));
}
