/**
 * The framing of GDB's remote serial protocol (GDB manual, appendix E.1) as a pure state machine: bytes in,
 * packets out. Acknowledgements are taken in and never sent: QEMU stops a running machine at any byte that
 * arrives, a late `+` included.
 */

const DOLLAR = 0x24;
const PERCENT = 0x25;
const HASH = 0x23;
const ESCAPE = 0x7d;
const REPEAT = 0x2a;
const ESCAPE_XOR = 0x20;
/** A run length is sent as a printable character: the count of repeats plus 29. */
const REPEAT_BIAS = 29;

/** What the bytes held. A malformed packet carries what was wrong with it; its content is not to be used. */
export type GdbEvent =
  | { readonly kind: 'packet' | 'notification'; readonly payload: Uint8Array }
  | { readonly kind: 'malformed'; readonly reason: string };

type State = 'between' | 'payload' | 'escape' | 'repeat' | 'checksum-high' | 'checksum-low';

/** Cuts a byte stream into packets; any chunking, any garbage. Memory is bounded by the limit. */
export class GdbPacketParser {
  readonly #limit: number;
  #state: State = 'between';
  #kind: 'packet' | 'notification' = 'packet';
  #payload: Uint8Array;
  #length = 0;
  #sum = 0;
  #high = 0;
  #fault: string | undefined;

  /** @param limit the longest payload accepted, in bytes, runs and escapes expanded */
  constructor(limit = 1024 * 1024) {
    this.#limit = limit;
    this.#payload = new Uint8Array(Math.min(limit, 4096));
  }

  /** What this chunk completes. */
  feed(chunk: Uint8Array): GdbEvent[] {
    const events: GdbEvent[] = [];
    for (const byte of chunk) {
      const event = this.#take(byte);
      if (event !== undefined) events.push(event);
    }
    return events;
  }

  #take(byte: number): GdbEvent | undefined {
    switch (this.#state) {
      case 'between':
        if (byte === DOLLAR || byte === PERCENT) this.#begin(byte);
        return undefined;
      case 'payload':
        return this.#takePayload(byte);
      case 'escape':
        this.#sum += byte;
        this.#append(byte ^ ESCAPE_XOR, 1);
        this.#state = 'payload';
        return undefined;
      case 'repeat':
        this.#sum += byte;
        this.#repeat(byte);
        this.#state = 'payload';
        return undefined;
      case 'checksum-high':
        this.#high = hexDigit(byte);
        this.#state = 'checksum-low';
        return undefined;
      case 'checksum-low':
        return this.#finish(hexDigit(byte));
    }
  }

  #takePayload(byte: number): GdbEvent | undefined {
    if (byte === HASH) {
      this.#state = 'checksum-high';
      return undefined;
    }
    if (byte === DOLLAR) {
      this.#begin(byte);
      return { kind: 'malformed', reason: 'a packet that another one interrupts' };
    }
    this.#sum += byte;
    if (byte === ESCAPE) this.#state = 'escape';
    else if (byte === REPEAT) this.#state = 'repeat';
    else this.#append(byte, 1);
    return undefined;
  }

  #begin(byte: number): void {
    this.#kind = byte === DOLLAR ? 'packet' : 'notification';
    this.#state = 'payload';
    this.#length = 0;
    this.#sum = 0;
    this.#fault = undefined;
  }

  #repeat(byte: number): void {
    const count = byte - REPEAT_BIAS;
    if (this.#length === 0 || count < 3 || byte > 126) this.#fault ??= 'a run length that is not one';
    else this.#append(this.#payload[this.#length - 1] ?? 0, count);
  }

  #append(byte: number, count: number): void {
    const length = this.#length + count;
    if (length > this.#limit) {
      this.#fault ??= `a packet longer than ${this.#limit} bytes`;
      return;
    }
    if (length > this.#payload.length) this.#grow(length);
    this.#payload.fill(byte, this.#length, length);
    this.#length = length;
  }

  #grow(length: number): void {
    const grown = new Uint8Array(Math.min(this.#limit, Math.max(length, 2 * this.#payload.length)));
    grown.set(this.#payload.subarray(0, this.#length));
    this.#payload = grown;
  }

  #finish(low: number): GdbEvent {
    this.#state = 'between';
    if (this.#fault !== undefined) return { kind: 'malformed', reason: this.#fault };
    if (((this.#high << 4) | low) !== (this.#sum & 0xff))
      return { kind: 'malformed', reason: 'a wrong checksum' };
    return { kind: this.#kind, payload: this.#payload.slice(0, this.#length) };
  }
}

/** The byte, sent by itself, that stops a running machine. */
export const INTERRUPT = Uint8Array.of(0x03);

/** Frames a payload: escapes, `$`, `#` and checksum. */
export function encodePacket(payload: string | Uint8Array): Uint8Array {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const framed = new Uint8Array(2 * bytes.length + 4);
  let length = 0;
  let sum = 0;
  framed[length++] = DOLLAR;
  for (const byte of bytes) {
    const special = byte === DOLLAR || byte === HASH || byte === ESCAPE || byte === REPEAT;
    if (special) {
      framed[length++] = ESCAPE;
      sum += ESCAPE;
    }
    const sent = special ? byte ^ ESCAPE_XOR : byte;
    framed[length++] = sent;
    sum += sent;
  }
  framed.set(Buffer.from(`#${(sum & 0xff).toString(16).padStart(2, '0')}`), length);
  return framed.subarray(0, length + 3);
}

/** A value as a packet shows a register: bytes in hexadecimal, lowest first. */
export function littleEndianHex(value: bigint, bytes: number): string {
  let text = '';
  for (let i = 0; i < bytes; i++) {
    text += Number((value >> BigInt(8 * i)) & 0xffn)
      .toString(16)
      .padStart(2, '0');
  }
  return text;
}

/** The digit's value; -1 for what is no digit, which makes a checksum that equals none. */
function hexDigit(byte: number): number {
  const value = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(value) ? -1 : value;
}
