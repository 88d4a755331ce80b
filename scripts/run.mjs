// Sets up what is missing, then starts a command of the project under its pinned Node. Runs on an old Node (18, 20).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { PINNED_NODE, ROOT } from './paths.mjs';
import { runToEnd } from './process.mjs';
import { missingSteps } from './setup.mjs';

const USAGE = `usage: npm run demo [-- OPTIONS]                    boot a real guest, attack it, show what was stopped
       npm test [-- unit | peers | detours | guest [KERNEL...]] [-- VITEST]
                                                         unit tests, tests against other programs, against guests
       npm run bench [-- NAME]                           measure one claim, or all
       npm run long -- NAME [--seed S]                   a long test at its full count
       npm run underwatch -- ARGUMENTS                   the command line tool itself`;

const COMMANDS = {
  demo: { guests: true, script: 'dist/src/cli/main.js', args: ['demo'] },
  underwatch: { guests: false, script: 'dist/src/cli/main.js', args: [] },
  test: { guests: true, script: 'scripts/test.mjs', args: [] },
  bench: { guests: true, script: 'dist/bench/run.js', args: [] },
  long: { guests: true, script: 'dist/lab/long.js', args: [] },
};

/** Says one sentence and ends. */
function fail(sentence, status) {
  process.stderr.write(`${sentence}\n`);
  process.exit(status);
}

/** Takes the missing steps one process at a time: whoever comes second waits, then finds nothing missing. */
function setUp(forGuests) {
  if (missingSteps(forGuests).length === 0) return;
  const cache =
    process.env.UNDERWATCH_CACHE ||
    join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'underwatch');
  const locks = join(cache, 'locks');
  try {
    mkdirSync(locks, { recursive: true });
  } catch (error) {
    fail(`setting up failed: the cache folder cannot be written: ${error.message}`, 3);
  }
  const lock = join(locks, `setup_${createHash('sha256').update(ROOT).digest('hex').slice(0, 16)}`);
  const setup = [process.execPath, join(ROOT, 'scripts/setup.mjs'), ...(forGuests ? ['guests'] : [])];
  const { error, status } = spawnSync('flock', [lock, ...setup], { stdio: ['ignore', 2, 2] });
  if (error) fail(`setting up failed: cannot run flock (Debian package util-linux): ${error.message}`, 3);
  if (status !== 0) process.exit(status ?? 3);
}

const [name = '', ...args] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
if (!command) fail(USAGE, 2);
setUp(command.guests && !(name === 'test' && args[0] === 'unit'));
const script = join(ROOT, command.script);
if (!existsSync(script)) fail(`there is no '${name}' in this version of the project yet`, 2);
await runToEnd(PINNED_NODE, [script, ...command.args, ...args]);
