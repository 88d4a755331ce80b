import { ByteWriter } from './writer.ts';

/** A PT_LOAD or PT_NOTE segment to be written. */
export interface ElfSegment {
  readonly type: 1 | 4;
  readonly physical: number | bigint;
  readonly bytes: Uint8Array;
  readonly virtual?: bigint;
  readonly memorySize?: number;
}

/** What of the header is not usual. */
export interface ElfOptions {
  readonly type?: number;
  readonly machine?: number;
  readonly elfClass?: number;
  /** Says the number of segments in a section header, as for 65535 and more. */
  readonly extendedNumbering?: boolean;
}

/** An ELF core: header, program headers, segments one after the other. */
export function elfCore(segments: readonly ElfSegment[], options: ElfOptions = {}): Buffer {
  const { type = 4, machine = 62, elfClass = 2, extendedNumbering = false } = options;
  const sectionOffset = 64 + 56 * segments.length;
  const writer = new ByteWriter()
    .bytes(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, elfClass, 1, 1), new Uint8Array(9))
    .le(2, type, machine)
    .le(4, 1)
    .le(8, 0, 64, extendedNumbering ? sectionOffset : 0)
    .le(4, 0)
    .le(2, 64, 56, extendedNumbering ? 0xffff : segments.length, 64, extendedNumbering ? 1 : 0, 0);
  let offset = sectionOffset + (extendedNumbering ? 64 : 0);
  for (const { type: kind, physical, bytes, virtual = 0n, memorySize = bytes.length } of segments) {
    writer.le(4, kind, 7).le(8, offset, virtual, physical, bytes.length, memorySize, 0);
    offset += bytes.length;
  }
  if (extendedNumbering) writer.le(4, 0, 0).le(8, 0, 0, 0, 0).le(4, 0, segments.length).le(8, 0, 0);
  return writer.bytes(...segments.map(({ bytes }) => bytes)).done();
}

/** One ELF note, its name and content padded to 4 bytes. */
export function elfNote(name: string, type: number, content: Uint8Array): Buffer {
  const nameSize = name.length + 1;
  return new ByteWriter()
    .le(4, nameSize, content.length, type)
    .text(name, Math.ceil(nameSize / 4) * 4)
    .bytes(content, new Uint8Array(-content.length & 3))
    .done();
}

/** QEMU's note about a vCPU: register n (in QEMU's order) is `base + n`. */
export function qemuCpuNote(base: bigint): Buffer {
  const state = new ByteWriter().le(4, 1, 440);
  for (let index = 0n; index < 18n; index++) state.le(8, base + index);
  for (let segment = 0; segment < 10; segment++) {
    state.le(4, 0x10 + segment, 0xffff, 0, 0).le(8, 0xffff_0000_0000_0000n + BigInt(segment));
  }
  for (let register = 0n; register < 5n; register++) state.le(8, 0xc0n + register);
  return elfNote('QEMU', 0, state.le(8, 0x1234n).done());
}
