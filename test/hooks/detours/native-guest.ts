import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from '../../../lab/compile.ts';
import { FilterTable } from '../../../src/hooks/detours/filter-table.ts';
import type { Hook } from '../../../src/hooks/detours/hook.ts';
import { Mailbox, type Request } from '../../../src/hooks/detours/mailbox.ts';
import { jumpTo } from '../../../src/hooks/detours/prologue.ts';
import { perCpu } from '../../../src/hooks/detours/stub-assembler.ts';
import type { StubEnvironment } from '../../../src/hooks/detours/stubs/environment.ts';
import { hookStub } from '../../../src/hooks/detours/stubs/hook-stub.ts';
import { sharedRoutines } from '../../../src/hooks/detours/stubs/shared-routines.ts';
import { gva } from '../../../src/memory/address.ts';
import { MappedMemory } from '../../../src/memory/mapped-memory.ts';

/** Where the file that stands for RAM is mapped: the "direct map" of these stubs. */
export const RAM = 0x1_0000_0000n;
const RAM_SIZE = 0x10000;
/** Places in RAM. */
export const At = {
  mailbox: 0x1000,
  perCpu: 0x4000,
  task: 0x5000,
  mm: 0x6000,
  root: 0x8000,
  scratch: 0xc000,
} as const;
const TASK_MM = 0x40;
const MM_PGD = 0x50;
export const VMA_FLAGS = 0x20;
export const VMA_PROTECTION = 0x18;

/** Where code is mapped, and what it is made of. */
const CODE = 0x2_0000_0000n;
const SHARED = CODE + 0x2000n;
const STUB = CODE + 0x3000n;
const FUNCTION = CODE + 0x4000n;
const FORCE_SIG = CODE + 0x5000n;
export const OTHER = CODE + 0x6000n;

/**
 * The function: ftrace's NOP; `lea rax,[rdi+rsi]` and `mov r10,rdx`, which a detour displaces; then all arguments added
 * up, so that a wrong one shows: `add rax,r10; add rax,rcx; add rax,r8; add rax,r9; ret`.
 */
const FUNCTION_CODE = '0f1f440000 488d0437 4989d2 4c01d0 4801c8 4c01c0 4c01c8 c3';
const PROLOGUE = { site: gva(FUNCTION + 5n), displaced: Buffer.from('488d04374989d2', 'hex') };
/** `lea rax,[rdi+0x5000]; ret`: what was given to it shows. */
const FORCE_SIG_CODE = '488d8700500000 c3';
/** `mov rax,rdi; sub rax,rsi; xor edi,edi; xor esi,esi; xor edx,edx; xor ecx,ecx; xor r8d,r8d; xor r9d,r9d; ret`. */
const OTHER_CODE = '4889f8 4829f0 31ff 31f6 31d2 31c9 4531c0 4531c9 c3';

/** A function with a detour that runs in a process of this machine, with the mailbox in a file. */
export class NativeGuest implements Disposable {
  readonly memory: MappedMemory;
  readonly mailbox: Mailbox;
  readonly addressSpaces: FilterTable;
  readonly programs: FilterTable;
  readonly #folder = mkdtempSync(join(tmpdir(), 'underwatch-test-'));
  readonly #code = Buffer.alloc(0x8000, 0xcc);

  constructor() {
    writeFileSync(this.#ram, Buffer.alloc(RAM_SIZE));
    this.memory = MappedMemory.ofFile(this.#ram);
    this.mailbox = new Mailbox(this.memory, At.mailbox);
    const code = this.#code;
    // The table is read-only for the guest: it is part of the code here, and written before the guest starts.
    const inCode = { write: (address: number, bytes: Uint8Array) => code.set(bytes, address) };
    this.addressSpaces = new FilterTable(inCode, 0);
    this.programs = new FilterTable(inCode, 0x1000);
    this.set64(At.perCpu + 0x10, RAM + BigInt(At.task));
    this.set64(At.perCpu + 0x18, 3n);
    this.set64(At.task + TASK_MM, RAM + BigInt(At.mm));
    this.set64(At.mm + MM_PGD, RAM + BigInt(At.root));
  }

  get mm(): bigint {
    return RAM + BigInt(At.mm);
  }

  set64(physical: number, value: bigint): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    this.memory.write(physical, bytes);
  }

  get64(physical: number): bigint {
    return (BigInt(this.memory.u32(physical + 4)) << 32n) | BigInt(this.memory.u32(physical));
  }

  /** Puts a detour at the function. */
  detour(hook: Hook, levels: 4 | 5 = 4): void {
    const environment = this.#environment(levels);
    const shared = sharedRoutines(environment).assemble(gva(SHARED));
    const routines = { request: shared.addressOf('request'), releaseLeaf: shared.addressOf('releaseLeaf') };
    this.#place(SHARED, shared.bytes);
    this.#place(STUB, hookStub(7, hook, PROLOGUE, environment, routines).assemble(gva(STUB)).bytes);
    this.#placeFunctions();
  }

  /** Calls the function; while it runs, `answer` is given every request. Gives its result, or undefined if it broke. */
  async call(
    values: readonly bigint[],
    answer: (request: Request) => void = () => {},
  ): Promise<bigint | undefined> {
    const code = join(this.#folder, 'code');
    writeFileSync(code, this.#code);
    const program = await compile('../../test/hooks/detours/programs/run_stub.c');
    const gs = RAM + BigInt(At.perCpu);
    const args = [
      this.#ram,
      RAM,
      code,
      CODE,
      gs,
      FUNCTION,
      ...values,
      ...Array(6 - values.length).fill(0n),
    ].map(String);
    let output: string | undefined;
    execFile(program, args, { timeout: 10_000 }, (error, stdout) => {
      output = error === null ? stdout : '';
    });
    while (output === undefined) {
      const request = this.mailbox.next(0);
      if (request !== undefined) answer(request);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const match = /^(0x[0-9a-f]+) kept$/m.exec(output);
    return match?.[1] === undefined ? undefined : BigInt(match[1]);
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true });
  }

  get #ram(): string {
    return join(this.#folder, 'ram');
  }

  #environment(pagingLevels: 4 | 5): StubEnvironment {
    return {
      currentTask: perCpu(0x10n),
      cpuNumber: perCpu(0x18n),
      taskMm: TASK_MM,
      mmPgd: MM_PGD,
      vmaFlags: VMA_FLAGS,
      vmaProtection: VMA_PROTECTION,
      directMap: RAM,
      pagingLevels,
      forceSig: FORCE_SIG,
      mailbox: gva(RAM + BigInt(At.mailbox)),
      filterTable: gva(CODE),
      programTable: gva(CODE + 0x1000n),
      doorbellPort: undefined,
    };
  }

  #placeFunctions(): void {
    this.#place(FUNCTION, fromHex(FUNCTION_CODE));
    this.#place(PROLOGUE.site, jumpTo(PROLOGUE, STUB));
    this.#place(FORCE_SIG, fromHex(FORCE_SIG_CODE));
    this.#place(OTHER, fromHex(OTHER_CODE));
  }

  #place(address: bigint, bytes: Uint8Array): void {
    this.#code.set(bytes, Number(address - CODE));
  }
}

function fromHex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}
