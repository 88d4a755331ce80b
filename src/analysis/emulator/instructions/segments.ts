import type { Cpu } from '../cpu.ts';
import { FIRST, SECOND } from '../decode/record.ts';
import {
  effectiveAddress,
  operandSize,
  readOperand,
  signExtend,
  updateOperand,
  writeOperand,
} from '../operands.ts';
import { DS, ES, FS, GS, SS } from '../registers.ts';
import { checkDataSelector } from '../selectors.ts';
import { EmulationStop } from '../stop.ts';
import type { Execute, InstructionGroup } from './group.ts';

/** LDS, LES, LFS, LGS, LSS: an offset to a register, and the selector behind it to a segment register. */
function loadFarPointer(segment: number): Execute {
  return (cpu, at) => {
    effectiveAddress(cpu, at);
    const size = operandSize(cpu, at, FIRST);
    const { memory, addressHigh, addressLow } = cpu;
    const low =
      size === 8
        ? memory.load64(addressHigh, addressLow)
        : size === 4
          ? memory.load32(addressHigh, addressLow)
          : memory.load16(addressHigh, addressLow);
    const high = size === 8 ? memory.highWord : 0;
    const selectorLow = (addressLow + size) | 0;
    const carries = selectorLow >= 0 && addressLow < 0;
    const selector = memory.load16(carries ? (addressHigh + 1) | 0 : addressHigh, selectorLow);
    checkDataSelector(segment, selector);
    cpu.selectors[segment] = selector;
    writeOperand(cpu, at, FIRST, low, high);
  };
}

/** Raises the privilege level in a selector to that of another. */
function arpl(cpu: Cpu, at: number): void {
  const source = readOperand(cpu, at, SECOND) & 3;
  const target = readOperand(cpu, at, FIRST);
  cpu.zeroWord = (target & 3) < source ? 0 : 1;
  if (cpu.zeroWord === 0) updateOperand(cpu, at, FIRST, (target & ~3) | source, 0);
}

/** Vector 5 when a signed index lies outside the pair of bounds in memory. */
function bound(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const index = signExtend(cpu, size, readOperand(cpu, at, FIRST), 0);
  effectiveAddress(cpu, at);
  const { memory, addressLow } = cpu;
  const load = (low: number): number =>
    size === 4 ? memory.load32(0, low) : (memory.load16(0, low) << 16) >> 16;
  if (index < load(addressLow) || index > load((addressLow + size) | 0)) {
    throw new EmulationStop({ kind: 'interrupt', vector: 5 });
  }
}

export const SEGMENTS: InstructionGroup = {
  title: 'Segment registers and bounds',
  instructions: {
    Lds: loadFarPointer(DS),
    Les: loadFarPointer(ES),
    Lfs: loadFarPointer(FS),
    Lgs: loadFarPointer(GS),
    Lss: loadFarPointer(SS),
    Arpl: arpl,
    Bound: bound,
  },
};
