import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where the memory of a case lies, alike in both modes; the rest of the pages is zero. */
export const CODE = 0x1000_0000;
export const DATA = 0x2000_0e00;
export const DATA_SIZE = 1024;
export const STACK = 0x3000_0f00;
export const STACK_SIZE = 512;

const VECTOR_BYTES = 16 * 32;
const STATE_BYTES = 16 * 8 + 8 + 8 * 8 + VECTOR_BYTES + DATA_SIZE + STACK_SIZE;
const CODE_BYTES = 128;
const TEST_BYTES = 8 + CODE_BYTES + STATE_BYTES;
const RESULT_BYTES = 16 + STATE_BYTES;

/** Everything that a case starts from and ends with. */
export interface CpuState {
  readonly general: BigUint64Array;
  flags: bigint;
  readonly mmx: BigUint64Array;
  readonly vectors: Uint8Array;
  readonly data: Uint8Array;
  readonly stack: Uint8Array;
}

export interface Case {
  readonly bits: 32 | 64;
  readonly code: Uint8Array;
  readonly state: CpuState;
}

export interface Outcome {
  /** 5 is SIGTRAP: the breakpoint behind the code was reached. */
  readonly signal: number;
  readonly rip: bigint;
  readonly state: CpuState;
}

export function emptyState(): CpuState {
  return {
    general: new BigUint64Array(16),
    flags: 0x202n,
    mmx: new BigUint64Array(8),
    vectors: new Uint8Array(VECTOR_BYTES),
    data: new Uint8Array(DATA_SIZE),
    stack: new Uint8Array(STACK_SIZE),
  };
}

/** The machine's own CPU, by a small C program that runs code under ptrace. */
export class HostCpu implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'underwatch-host-cpu-'));
  readonly #program = join(this.#folder, 'host-cpu');

  constructor() {
    const source = join(import.meta.dirname, 'host-cpu.c');
    execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-o', this.#program, source]);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }

  run(cases: readonly Case[]): Outcome[] {
    const input = new Uint8Array(cases.length * TEST_BYTES);
    cases.forEach((test, index) => {
      writeCase(test, input.subarray(index * TEST_BYTES, (index + 1) * TEST_BYTES));
    });
    const result = spawnSync(this.#program, {
      input,
      maxBuffer: cases.length * RESULT_BYTES + 4096,
      timeout: 120_000,
    });
    if (result.status !== 0) throw new Error(`the host CPU's program failed: ${result.stderr.toString()}`);
    return cases.map((_, index) =>
      readOutcome(result.stdout.subarray(index * RESULT_BYTES, (index + 1) * RESULT_BYTES)),
    );
  }
}

function writeCase(test: Case, into: Uint8Array): void {
  if (test.code.length > CODE_BYTES) throw new Error('too much code for a case');
  const view = new DataView(into.buffer, into.byteOffset);
  view.setUint32(0, test.bits, true);
  view.setUint32(4, test.code.length, true);
  into.set(test.code, 8);
  let at = 8 + CODE_BYTES;
  for (const value of [...test.state.general, test.state.flags, ...test.state.mmx]) {
    view.setBigUint64(at, value, true);
    at += 8;
  }
  for (const bytes of [test.state.vectors, test.state.data, test.state.stack]) {
    into.set(bytes, at);
    at += bytes.length;
  }
}

function readOutcome(from: Uint8Array): Outcome {
  const view = new DataView(from.buffer, from.byteOffset);
  const state = emptyState();
  let at = 16;
  const next = (): bigint => {
    at += 8;
    return view.getBigUint64(at - 8, true);
  };
  for (let i = 0; i < 16; i++) state.general[i] = next();
  state.flags = next();
  for (let i = 0; i < 8; i++) state.mmx[i] = next();
  for (const bytes of [state.vectors, state.data, state.stack]) {
    bytes.set(from.subarray(at, at + bytes.length));
    at += bytes.length;
  }
  return { signal: view.getUint32(0, true), rip: view.getBigUint64(8, true), state };
}
