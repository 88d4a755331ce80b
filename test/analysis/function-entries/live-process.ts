import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import {
  type MemorySnapshot,
  PAGE_SIZE,
  pageNumber,
} from '../../../src/analysis/emulator/memory/snapshot.ts';
import { Registers } from '../../../src/x86/registers.ts';

/** A mapping of a process, from /proc/PID/maps. */
interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly permissions: string;
  readonly path: string;
}

/** A function of a library, and where it lies in the process. */
export interface FunctionEntry {
  readonly name: string;
  readonly address: number;
}

/** A sleeping process with libraries loaded, relocated and initialised, whose memory and registers are real. */
export class LiveProcess implements Disposable {
  readonly #child: ChildProcess;
  readonly #memory: number;
  readonly #mappings: readonly Mapping[];

  private constructor(child: ChildProcess, memory: number, mappings: readonly Mapping[]) {
    this.#child = child;
    this.#memory = memory;
    this.#mappings = mappings;
  }

  /** A program that sleeps, with libraries. */
  static async withLibraries(libraries: readonly string[]): Promise<LiveProcess> {
    return LiveProcess.start(
      spawn('sleep', ['300'], { env: { LD_PRELOAD: libraries.join(':') }, stdio: 'ignore' }),
    );
  }

  /** Takes over a child, once it sleeps; what it becomes later is not seen. */
  static async start(child: ChildProcess): Promise<LiveProcess> {
    const folder = `/proc/${child.pid}`;
    for (let tries = 0; tries < 500 && !isAsleep(folder); tries++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    return new LiveProcess(child, openSync(`${folder}/mem`, 'r'), readMappings(folder));
  }

  [Symbol.dispose](): void {
    closeSync(this.#memory);
    this.#child.kill('SIGKILL');
  }

  /** Its memory as it is; pages are kept, as it does not change. */
  snapshot(): MemorySnapshot {
    const pages = new Map<number, Uint8Array | undefined>();
    return {
      readPage: (high, low) => {
        const number = pageNumber(high, low);
        if (!pages.has(number)) pages.set(number, this.#read(number * PAGE_SIZE, PAGE_SIZE));
        return pages.get(number);
      },
    };
  }

  #read(address: number, length: number): Uint8Array | undefined {
    if (!this.#mappings.some(({ start, end }) => address >= start && address < end)) return undefined;
    const bytes = new Uint8Array(length);
    try {
      return readSync(this.#memory, bytes, 0, length, address) === length ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  /** The registers with which it sleeps; pointer arguments point into its stack and heap. */
  registers(): Registers {
    const registers = new Registers();
    const fields = readFileSync(`/proc/${this.#child.pid}/syscall`, 'utf8').trim().split(' ');
    const stackPointer = Number(fields.at(-2));
    const heap = this.#mappings.find(({ path }) => path === '[heap]')?.start ?? stackPointer;
    const values = { rdi: heap + 0x2a0, rsi: stackPointer + 0x100, rdx: 16, rcx: heap + 0x400, r8: 0, r9: 1 };
    for (const [name, value] of Object.entries(values)) registers.set(name as 'rdi', BigInt(value));
    registers.set('rsp', BigInt(stackPointer));
    registers.set('rbp', BigInt(stackPointer + 0x40));
    registers.set('eflags', 0x246n);
    registers.set('fs_base', BigInt(this.#threadBlock()));
    return registers;
  }

  /** The stack, for the judge. */
  stack(): { start: bigint; end: bigint } {
    const stack = this.#mappings.find(({ path }) => path === '[stack]');
    return { start: BigInt(stack?.start ?? 0), end: BigInt(stack?.end ?? 0) };
  }

  /** glibc's thread control block holds its own address in its first and third word. */
  #threadBlock(): number {
    for (const { start, end, permissions, path } of this.#mappings) {
      if (path !== '' || !permissions.startsWith('rw')) continue;
      const bytes = this.#read(start, Math.min(end - start, 0x10_0000));
      if (bytes === undefined) continue;
      const view = new DataView(bytes.buffer);
      for (let at = 0; at + 24 <= bytes.length; at += 16) {
        const address = BigInt(start + at);
        if (view.getBigUint64(at, true) === address && view.getBigUint64(at + 16, true) === address)
          return start + at;
      }
    }
    throw new Error('no thread control block found');
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether an address lies in memory that is executable and belongs to no file: what a JIT made. */
  isJitCode(address: number): boolean {
    const isJit = ({ permissions, path }: Mapping): boolean => permissions.includes('x') && path === '';
    return this.#mappings.some(
      (mapping) => address >= mapping.start && address < mapping.end && isJit(mapping),
    );
  }

  /** Every function that a loaded library exports. */
  functions(library: string): FunctionEntry[] {
    const base = this.#mappings.find(({ path }) => path === library)?.start;
    if (base === undefined) throw new Error(`${library} is not loaded`);
    const seen = new Set<number>();
    const table = execFileSync('readelf', ['-W', '--dyn-syms', library], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    return table.split('\n').flatMap((line) => {
      const [, value = '', , type, , , section, name = ''] = line.trim().split(/\s+/);
      const address = base + Number.parseInt(value, 16);
      if (type !== 'FUNC' || section === 'UND' || seen.has(address)) return [];
      seen.add(address);
      return [{ name, address }];
    });
  }
}

function isAsleep(folder: string): boolean {
  return (
    existsSync(folder) &&
    /^State:\s+S/m.test(readFileSync(`${folder}/status`, 'utf8')) &&
    readMappings(folder).length > 20
  );
}

function readMappings(folder: string): Mapping[] {
  const lines = readFileSync(`${folder}/maps`, 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [range = '', permissions = '', , , , path = ''] = line.split(/\s+/);
    const [start = 0, end = 0] = range.split('-').map((text) => Number.parseInt(text, 16));
    return { start, end, permissions, path };
  });
}
