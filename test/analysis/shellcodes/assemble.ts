import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Assembles Intel syntax with GNU as to flat bytes. */
export function assemble(source: string, bits: 32 | 64): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'underwatch-shellcode-'));
  try {
    const [input, object, output] = ['in.s', 'out.o', 'out.bin'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(input, `.code${bits}\n.intel_syntax noprefix\n${source}\n`);
    execFileSync('as', [bits === 64 ? '--64' : '--32', '-o', object, input], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    execFileSync('objcopy', ['-O', 'binary', '-j', '.text', object, output]);
    return new Uint8Array(readFileSync(output));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
