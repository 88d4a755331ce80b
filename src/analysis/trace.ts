import { gvaOfWords, hex } from '../memory/address.ts';
import type { AnalyzeOptions } from './analyze.ts';
import { Emulator } from './emulator/emulator.ts';
import { DEFAULT_BUDGET } from './judge.ts';
import { rawCodeInput } from './raw-code.ts';
import { Session } from './session.ts';
import { disassemble } from './traits.ts';

const LONGEST_INSTRUCTION = 15;

/** Every instruction that raw code runs, a line each: address, bytes, text. */
export function* traceCode(code: Uint8Array, options: AnalyzeOptions): Generator<string> {
  using emulator = new Emulator();
  const budget = options.maxInstructions ?? DEFAULT_BUDGET;
  const isOriginal = options.stopAtSystemCall === true;
  const session = new Session(emulator, {
    ...rawCodeInput(code, options.bits),
    budget,
    stopAtSystemCall: isOriginal,
    original: isOriginal,
  });
  for (let ended = false; !ended; ) {
    const { cpu, memory } = emulator;
    const address = gvaOfWords(cpu.ripHigh, cpu.ripLow);
    const bytes = memory.peek(cpu.ripHigh, cpu.ripLow, LONGEST_INSTRUCTION);
    if (bytes.length === 0) break;
    const { instruction, length } = disassemble(bytes, address, cpu.bits);
    yield `${hex(address)}  ${Buffer.from(bytes.subarray(0, length)).toString('hex').padEnd(30)}  ${instruction}`;
    ended = session.step(1);
  }
}
