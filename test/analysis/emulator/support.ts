import { Emulator } from '../../../src/analysis/emulator/emulator.ts';
import { BytesSnapshot, layered, ZeroSnapshot } from '../../../src/analysis/emulator/memory/snapshot.ts';
import { RSP } from '../../../src/analysis/emulator/registers.ts';

export const CODE = 0x40_0000;
export const STACK = 0x7ff0_0000;
const STACK_SIZE = 0x4000;

/** Bytes from hexadecimal text with blanks. */
export function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
}

/** An emulator with code at {@link CODE}, a stack in the middle of zeroed pages, and nothing else. */
export function emulatorWith(code: Uint8Array | string, bits: 32 | 64 = 64): Emulator {
  const emulator = new Emulator();
  load(emulator, code, bits);
  return emulator;
}

export function load(emulator: Emulator, code: Uint8Array | string, bits: 32 | 64 = 64): void {
  const image = typeof code === 'string' ? bytes(code) : code;
  const stack = new ZeroSnapshot(STACK, STACK + STACK_SIZE);
  emulator.reset(layered(new BytesSnapshot(CODE, image), stack), bits);
  emulator.cpu.ripLow = CODE;
  emulator.cpu.set(RSP, STACK + STACK_SIZE / 2, 0);
}
