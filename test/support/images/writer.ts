import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Bytes put together piece by piece; numbers in either byte order. */
export class ByteWriter {
  readonly #pieces: Uint8Array[] = [];
  length = 0;

  bytes(...pieces: readonly Uint8Array[]): this {
    for (const piece of pieces) {
      this.#pieces.push(piece);
      this.length += piece.length;
    }
    return this;
  }

  text(text: string, size = text.length): this {
    const bytes = Buffer.alloc(size);
    bytes.write(text, 'latin1');
    return this.bytes(bytes);
  }

  u8(value: number): this {
    return this.bytes(Uint8Array.of(value));
  }

  le(size: 2 | 4 | 8, ...values: readonly (number | bigint)[]): this {
    for (const value of values) this.bytes(number(value, size));
    return this;
  }

  be(size: 2 | 4 | 8, ...values: readonly (number | bigint)[]): this {
    for (const value of values) this.bytes(number(value, size).reverse());
    return this;
  }

  /** Fills up with zeros to a file offset. */
  padTo(offset: number): this {
    return this.bytes(new Uint8Array(offset - this.length));
  }

  done(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}

function number(value: number | bigint, size: 2 | 4 | 8): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return Uint8Array.from(bytes.subarray(0, size));
}

/** A folder for image files that goes away with its user. */
export class ImageFolder implements Disposable {
  readonly path = mkdtempSync(path.join(tmpdir(), 'underwatch-image-'));

  write(name: string, content: Uint8Array): string {
    const file = path.join(this.path, name);
    writeFileSync(file, content);
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
