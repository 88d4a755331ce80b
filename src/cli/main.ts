#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

// Compiled code is kept in the user's own cache folder: a shared one could be filled by somebody else.
const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
enableCompileCache(join(process.env.UNDERWATCH_CACHE || join(caches, 'underwatch'), 'compiled'));

const { run } = await import('./program.ts');
process.exitCode = await run(process.argv.slice(2));
