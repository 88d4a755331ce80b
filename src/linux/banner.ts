import { type PhysicalMemory, PhysicalMemoryError } from '../memory/physical-memory.ts';

/** What `linux_banner` begins with (Linux `init/version.c`). */
export const BANNER_START = 'Linux version ';
/** Longest banner that is read: a release, who built it, the compiler, and the build's number and date. */
const MAX_BANNER = 1024;

/** The kernel's banner at a guest-physical address, without its newline; undefined when there is none. */
export function readBanner(memory: PhysicalMemory, address: number): string | undefined {
  const bytes = Buffer.alloc(MAX_BANNER);
  try {
    memory.read(address, bytes);
  } catch (error) {
    if (error instanceof PhysicalMemoryError) return undefined;
    throw error;
  }
  if (bytes.toString('latin1', 0, BANNER_START.length) !== BANNER_START) return undefined;
  const end = bytes.findIndex((byte) => byte === 0 || byte === 0x0a);
  const text = bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
  return releaseOf(text) === '' ? undefined : text;
}

/** `6.1.0-56-cloud-amd64` of `Linux version 6.1.0-56-cloud-amd64 (…) …`; empty where it is not a release. */
export function releaseOf(banner: string): string {
  const release = banner.slice(BANNER_START.length).split(' ', 1)[0] ?? '';
  return /^\d+\.\d+/.test(release) ? release : '';
}
