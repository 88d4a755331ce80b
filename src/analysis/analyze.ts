import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { CodeReport } from '../alerts/code-report.ts';
import { UsageError } from '../errors.ts';
import { hex } from '../memory/address.ts';
import { DEFAULT_BUDGET, Judge, type Judgement } from './judge.ts';
import { rawCodeInput } from './raw-code.ts';
import type { RuleScanner } from './rules/scanner.ts';
import { describeCall, type SystemCall } from './system-calls/call.ts';
import type { Trait } from './traits.ts';

/** What can be chosen for an analysis of raw bytes. */
export interface AnalyzeOptions {
  readonly bits: 32 | 64;
  readonly maxInstructions?: number;
  /** End at the first system call, with the original's definitions of the traits, to compare like with like. */
  readonly stopAtSystemCall?: boolean;
  readonly rules?: RuleScanner;
}

/** Larger files are no code that somebody injected. */
const LARGEST_FILE = 16 * 1024 * 1024;

/** Reads a file of raw code; throws a UsageError when it is empty, too large or not readable. */
export function readCode(path: string): Uint8Array {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw new UsageError(`${path} cannot be read`, { cause });
  }
  try {
    const { size } = fstatSync(file);
    if (size > LARGEST_FILE)
      throw new UsageError(`${path} has ${size} bytes; at most ${LARGEST_FILE} are analysed`);
    const bytes = new Uint8Array(LARGEST_FILE + 1);
    const length = readSync(file, bytes);
    if (length === 0) throw new UsageError(`${path} is empty: there is no code to analyse`);
    return bytes.slice(0, length);
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError(`${path} cannot be read`, { cause });
  } finally {
    closeSync(file);
  }
}

/** Judges raw code bytes, by the same judge as a live trap. */
export async function analyze(code: Uint8Array, options: AnalyzeOptions): Promise<CodeReport> {
  const budget = options.maxInstructions ?? DEFAULT_BUDGET;
  if (!Number.isSafeInteger(budget) || budget < 1) {
    throw new UsageError(`the number of instructions must be at least 1, not ${budget}`);
  }
  using judge = new Judge();
  const isOriginal = options.stopAtSystemCall === true;
  const judgement = await judge.judgeInSlices({
    ...rawCodeInput(code, options.bits),
    budget,
    stopAtSystemCall: isOriginal,
    original: isOriginal,
    ...(options.rules === undefined ? {} : { rules: options.rules }),
  });
  return report(judgement);
}

/** A judgement as plain JSON. */
export function report(judgement: Judgement): CodeReport {
  const { payload } = judgement;
  return {
    mode: judgement.mode,
    instructions: judgement.instructions,
    stop: judgement.stopText,
    traits: judgement.traits.map(reportTrait),
    syscalls: judgement.systemCalls.map(reportCall),
    chains: judgement.chains.map(({ name, text }) => ({ name, text })),
    strings: [...judgement.strings],
    rules: judgement.rules.map(({ rule }) => rule),
    ...(payload === undefined
      ? {}
      : { payload: { address: hex(payload.address), bytes: Buffer.from(payload.bytes).toString('hex') } }),
    verdict: judgement.verdict,
    reasons: [...judgement.reasons],
    milliseconds: Math.round(judgement.milliseconds * 1000) / 1000,
  };
}

function reportTrait(trait: Trait): CodeReport['traits'][number] {
  return { ...trait, address: hex(trait.address) };
}

function reportCall(call: SystemCall): CodeReport['syscalls'][number] {
  return {
    name: call.name,
    abi: call.abi,
    number: call.number,
    address: hex(call.address),
    arguments: Object.fromEntries(call.arguments.map(({ name, text }) => [name, text])),
    result: call.result === undefined ? null : String(call.result),
    text: describeCall(call),
  };
}
