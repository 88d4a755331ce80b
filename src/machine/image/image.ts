import { TargetError } from '../../errors.ts';
import type { Machine, VcpuState } from '../machine.ts';
import type { PageSource } from './store/page-source.ts';

/** A memory image: guest-physical memory at one moment, with what the file says besides. */
export interface Image extends Machine {
  /** What the content was recognised as: `kdump-compressed (flattened)`. */
  readonly format: string;
  /** What is missing or was assumed, a sentence each: an image cut short, overlapping segments, a guessed layout. */
  readonly notes: readonly string[];
  /** The kernel's VMCOREINFO (text, a line an item) where the image carries it; never required. */
  readonly vmcoreinfo?: string;
  /** The vCPUs' registers where the image carries them (QEMU's notes); else none. */
  readonly vcpus: readonly VcpuState[];
}

/** What a format's reader gives: everything but the name and the cache. */
export interface ImageContent {
  readonly format: string;
  readonly source: PageSource;
  readonly notes: readonly string[];
  readonly vmcoreinfo?: string;
  readonly vcpus?: readonly VcpuState[];
}

/** The file is no memory image, or one that cannot be read; the message says which and why. */
export class ImageError extends TargetError {}

/** Reads a string's worth of address ranges for notes: `0x1000 to 0x2000`. */
export function extent(start: number, end: number): string {
  return `0x${start.toString(16)} to 0x${end.toString(16)}`;
}
