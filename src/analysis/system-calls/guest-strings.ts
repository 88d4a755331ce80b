import type { AddressSpace } from '../emulator/memory/address-space.ts';

/** No path that Linux takes is longer (PATH_MAX). */
const LONGEST_STRING = 4096;
/** Most are shorter than this. */
const USUAL_STRING = 128;
const MOST_STRINGS = 64;

/** A NUL-terminated string, in Latin-1 so that no byte is lost; undefined when it does not end in readable memory. */
export function readString(memory: AddressSpace, high: number, low: number): string | undefined {
  for (const length of [USUAL_STRING, LONGEST_STRING]) {
    const bytes = memory.peek(high, low, length);
    const end = bytes.indexOf(0);
    if (end >= 0) return Buffer.from(bytes.subarray(0, end)).toString('latin1');
    if (bytes.length < length) return undefined;
  }
  return undefined;
}

/** A pointer of 4 or 8 bytes; undefined where it cannot be read. */
export function readPointer(
  memory: AddressSpace,
  high: number,
  low: number,
  size: number,
): { high: number; low: number } | undefined {
  const bytes = memory.peek(high, low, size);
  if (bytes.length < size) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { low: view.getInt32(0, true), high: size === 8 ? view.getInt32(4, true) : 0 };
}

/** The strings of an argv: until a null pointer, an unreadable string or the bound. */
export function readStrings(memory: AddressSpace, high: number, low: number, pointerSize: number): string[] {
  const strings: string[] = [];
  if ((high | low) === 0) return strings;
  for (let i = 0; i < MOST_STRINGS; i++) {
    const pointer = readPointer(memory, high, (low + i * pointerSize) | 0, pointerSize);
    if (pointer === undefined || (pointer.low | pointer.high) === 0) break;
    const text = readString(memory, pointer.high, pointer.low);
    if (text === undefined) break;
    strings.push(text);
  }
  return strings;
}

/** A string as it is shown: quoted, with everything unprintable escaped. */
export function quote(text: string): string {
  const escaped = text.replaceAll(
    /[^ !#-[\]-~]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${escaped}"`;
}
