import { createInterface } from 'node:readline';
import { DetourEngine, type Programs } from './detour-engine.ts';

/**
 * An engine in a process of its own, to be killed: `TARGET JOURNAL_FOLDER PROGRAMS`. Says `attached OUTCOME`, OUTCOME
 * what recovery found, and `serving`. On `stop` it leaves the guest, and says `gone COUNTERS`; on `pause` it stops
 * the guest for good, and says `paused`.
 */
const [, , target = '', journal = '', programs = '{}'] = process.argv;
const engine = await DetourEngine.attach(target, journal);
console.log(`attached ${engine.recovered}`);
await engine.protect(JSON.parse(programs) as Programs);
engine.traps.start();
console.log('serving');
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'pause') void engine.traps.whileStopped(() => new Promise(() => console.log('paused')));
  else break;
}
const counters = JSON.stringify({ ...engine.traps.counters, answered: engine.traps.answered });
await engine[Symbol.asyncDispose]();
console.log(`gone ${counters}`);
process.exit();
