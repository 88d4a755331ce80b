#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { userInfo } from 'node:os';
import { join } from 'node:path';

keepCompiledCode();
const { run } = await import('./program.ts');
process.exitCode = await run(process.argv.slice(2));

/**
 * Keeps compiled code for the next start, in the home folder of whom the process runs as, whatever the environment says:
 * elsewhere somebody else might put code that is then run.
 */
function keepCompiledCode(): void {
  try {
    enableCompileCache(join(userInfo().homedir, '.cache', 'underwatch', 'compiled'));
  } catch {
    // A user without an entry in the password file: every start compiles anew.
  }
}
