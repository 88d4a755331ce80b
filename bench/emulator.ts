import { Emulator } from '../src/analysis/emulator/emulator.ts';
import { BytesSnapshot, layered, ZeroSnapshot } from '../src/analysis/emulator/memory/snapshot.ts';
import { RSP } from '../src/analysis/emulator/registers.ts';
import { INLINE_BUDGET, Judge } from '../src/analysis/judge.ts';
import { rawCodeInput } from '../src/analysis/raw-code.ts';
import { type Bench, median } from './claim.ts';
import { makeSamples } from './emulator-peer/samples.ts';
import { Unicorn } from './emulator-peer/unicorn.ts';

const SAMPLES = 500;
const ROUNDS = 7;
const HOT_INSTRUCTIONS = 20_000_000;
const CODE = 0x40_0000;
const STACK = 0x7fff_0000;
const STACK_SIZE = 0x1_0000;

/** Fifteen kinds of instruction: memory, shifts, rotates, lea, push, pop, arithmetic, a branch. */
const HOT_LOOP = Buffer.from(
  '4889e6 8a06 3442 8806 48d1c0 48c1e803 488d5c3b07 53 58 4801c2 4885d2 664131c0 0fb6f8 4839c3 48ffc9 75d9'.replaceAll(
    ' ',
    '',
  ),
  'hex',
);

/** How fast code is judged, beside Debian's Unicorn with the same bytes. All figures are CPU time. */
export const bench: Bench = async (report) => {
  await using unicorn = await Unicorn.build();
  using emulator = new Emulator();
  using judge = new Judge();
  const samples = makeSamples(SAMPLES);
  const ends = emulateAll(emulator, samples);
  if (unicorn.run(samples).ends !== ends) throw new Error('Unicorn ended elsewhere');
  judgeAll(judge, samples);

  const times = {
    ours: [] as number[],
    judged: [] as number[],
    reused: [] as number[],
    fresh: [] as number[],
  };
  for (let round = 0; round < ROUNDS; round++) {
    const { reused, fresh } = unicorn.run(samples);
    times.reused.push(reused);
    times.fresh.push(fresh);
    times.ours.push(cpuSeconds(() => emulateAll(emulator, samples)));
    times.judged.push(cpuSeconds(() => judgeAll(judge, samples)));
  }
  const hot = median(
    Array.from({ length: 3 }, () => HOT_INSTRUCTIONS / cpuSeconds(() => runHot(emulator)) / 1e6),
  );

  const [ours, judged, reused, fresh] = [times.ours, times.judged, times.reused, times.fresh].map(median) as [
    number,
    number,
    number,
    number,
  ];
  const perSecond = (seconds: number): string => `${Math.round(SAMPLES / seconds)} a second`;
  report(`${SAMPLES} samples of 4 KiB, at most ${INLINE_BUDGET} instructions each`);
  report(`emulated here        ${perSecond(ours)}`);
  report(
    `judged here          ${perSecond(judged)}: emulated, with traits, system calls, strings and a verdict`,
  );
  report(`Unicorn, one engine  ${perSecond(reused)}`);
  report(`Unicorn, fresh       ${perSecond(fresh)}`);
  return [
    { metric: 'times_faster_than_fresh_unicorn', value: fresh / judged, bound: 5, kind: 'at least' },
    { metric: 'times_faster_than_reused_unicorn', value: reused / ours, bound: 1, kind: 'at least' },
    { metric: 'hot_loop_million_a_second', value: hot, bound: 20, kind: 'at least' },
  ];
};

function cpuSeconds(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function start(emulator: Emulator, code: Uint8Array): void {
  const stack = new ZeroSnapshot(STACK, STACK + STACK_SIZE);
  emulator.observer = undefined;
  emulator.reset(layered(new BytesSnapshot(CODE, code), stack), 64);
  emulator.cpu.ripLow = CODE;
  emulator.cpu.set(RSP, STACK + STACK_SIZE / 2, 0);
}

/** The sum of the addresses at which the samples ended. */
function emulateAll(emulator: Emulator, samples: readonly Uint8Array[]): number {
  let ends = 0;
  for (const sample of samples) {
    start(emulator, sample);
    emulator.run(INLINE_BUDGET);
    ends += emulator.cpu.ripLow;
  }
  return ends;
}

function judgeAll(judge: Judge, samples: readonly Uint8Array[]): void {
  for (const sample of samples) {
    judge.judge({ ...rawCodeInput(sample, 64), budget: INLINE_BUDGET, stopAtSystemCall: true });
  }
}

function runHot(emulator: Emulator): void {
  start(emulator, HOT_LOOP);
  emulator.cpu.set(1, 0x7fff_ffff, 0);
  emulator.run(HOT_INSTRUCTIONS);
}
