import { gpa } from '../../memory/address.ts';
import type { FileRange } from './file/bytes.ts';

const FOUR_GIB = 2 ** 32;

/** The machine types of QEMU whose RAM is split around the PCI hole, each in its own way. */
export const RAM_LAYOUTS = ['q35', 'pc', 'microvm'] as const;

/** One of {@link RAM_LAYOUTS}. */
export type RamLayout = (typeof RAM_LAYOUTS)[number];

/**
 * Where a PC's RAM, one contiguous block of `size` bytes, appears in guest-physical memory: up to the PCI hole, and
 * the rest from 4 GiB on. Boundaries as in QEMU's hw/i386/pc_q35.c (`pc_q35_init`), pc_piix.c (`pc_init1`) and
 * microvm.c; a `max-ram-below-4g` given by hand, and the move to 1 TiB for huge guests on AMD, are not covered.
 */
export function ramRanges(machine: string, size: number): readonly FileRange[] {
  const low = lowMemory(machine, size);
  if (size <= low) return [{ start: gpa(0), size, offset: 0 }];
  return [
    { start: gpa(0), size: low, offset: 0 },
    { start: gpa(FOUR_GIB), size: size - low, offset: low },
  ];
}

function lowMemory(machine: string, size: number): number {
  if (machine.includes('q35')) return size >= 0xb000_0000 ? 0x8000_0000 : 0xb000_0000;
  return size >= 0xe000_0000 || machine.includes('microvm') ? 0xc000_0000 : 0xe000_0000;
}

/**
 * Whether a RAM block of QEMU's is the guest's RAM and not a device's or the firmware's: those are named after a
 * file or a bus path, or are of the PC's own (`pc.bios`, `pc.rom`, `system.flash0`, `vga.vram`).
 */
export function isSystemRam(block: string): boolean {
  const backend = block.replace(/^\/objects\//, '');
  return !/\/|^pc\.(?!ram)|flash|bios|rom|vram|vga|acpi|smram/.test(backend);
}
