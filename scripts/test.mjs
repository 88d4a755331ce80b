// Runs the tests in phases (alone, against other programs, against guests), and ends with one line that counts all.
//
//   test.mjs [unit | peers | detours | guest [KERNEL...]] [-- VITEST ARGUMENTS]
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';
import { run } from './process.mjs';

const PHASES = ['unit', 'peers', 'guest'];
/** Run only when they are asked for. */
const MORE_PHASES = ['detours'];

/** Splits the arguments into the phases to run, the kernels to run on, and what goes to Vitest. */
function parse(args) {
  const cut = args.indexOf('--');
  const own = cut < 0 ? args : args.slice(0, cut);
  const vitest = cut < 0 ? [] : args.slice(cut + 1);
  const [phase, ...kernels] = own;
  if (phase === undefined) return { phases: PHASES, kernels, vitest };
  if (
    ![...PHASES, ...MORE_PHASES].includes(phase) ||
    (kernels.length > 0 && (phase === 'unit' || phase === 'peers'))
  ) {
    process.stderr.write(
      'usage: npm test [-- unit | peers | detours | guest [KERNEL...]] [-- VITEST ARGUMENTS]\n',
    );
    process.exit(2);
  }
  return { phases: [phase], kernels, vitest };
}

/** Runs one phase and returns its counts. A file that cannot even be loaded, or a run that ends badly, counts as a failure. */
async function runPhase(phase, kernels, vitest, folder) {
  const report = join(folder, `${phase}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const vitestArgs = ['run', '--project', phase, '--passWithNoTests', ...reporters, ...vitest];
  const env = kernels.length > 0 ? { UNDERWATCH_KERNELS: kernels.join(',') } : {};
  const script = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const { status, signal } = await run(process.execPath, [script, ...vitestArgs], { cwd: ROOT, env });
  if (signal) return { passed: 0, failed: 1, skipped: 0, signal };
  const counts = readCounts(report);
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

function readCounts(report) {
  try {
    const results = JSON.parse(readFileSync(report, 'utf8'));
    const broken = results.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    );
    return {
      passed: results.numPassedTests,
      failed: results.numFailedTests + broken.length,
      skipped: results.numPendingTests + results.numTodoTests,
    };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const { phases, kernels, vitest } = parse(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), 'underwatch-test-'));
const total = { passed: 0, failed: 0, skipped: 0 };
for (const phase of phases) {
  const counts = await runPhase(phase, kernels, vitest, folder);
  for (const key of Object.keys(total)) total[key] += counts[key];
  if (counts.signal) break;
}
rmSync(folder, { recursive: true, force: true });
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
