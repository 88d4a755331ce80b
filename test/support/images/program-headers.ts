import { closeSync, openSync, readSync, writeSync } from 'node:fs';

const HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;

/**
 * Puts the program headers of an ELF core right behind its header, in place of the section headers that QEMU writes
 * there: makedumpfile reads them nowhere else, and wants the header to say its own size, which QEMU gets wrong.
 */
export function moveProgramHeaders(path: string): void {
  const file = openSync(path, 'r+');
  try {
    const header = Buffer.alloc(HEADER_SIZE);
    readSync(file, header, 0, HEADER_SIZE, 0);
    const table = Buffer.alloc(header.readUInt16LE(56) * PROGRAM_HEADER_SIZE);
    readSync(file, table, 0, table.length, Number(header.readBigUInt64LE(32)));
    header.writeBigUInt64LE(BigInt(HEADER_SIZE), 32);
    header.writeBigUInt64LE(0n, 40);
    header.writeUInt16LE(HEADER_SIZE, 52);
    header.writeUInt32LE(0, 60);
    writeSync(file, Buffer.concat([header, table]), 0, HEADER_SIZE + table.length, 0);
  } finally {
    closeSync(file);
  }
}
