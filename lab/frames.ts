/** One message of the control channel; the kinds are listed in `programs/system/agent.c`. */
export interface Frame {
  readonly job: number;
  readonly kind: string;
  readonly body: Buffer;
}

const HEADER = 9;

/** Writes a frame: u32 length of the body, u32 number of the job, u8 kind, the body. */
export function encodeFrame(job: number, kind: string, body: Uint8Array): Buffer {
  const frame = Buffer.alloc(HEADER + body.length);
  frame.writeUInt32LE(body.length, 0);
  frame.writeUInt32LE(job, 4);
  frame.write(kind, 8, 'latin1');
  frame.set(body, HEADER);
  return frame;
}

/** Puts frames together from a stream that is cut anywhere. */
export class FrameDecoder {
  #pending: Buffer[] = [];
  #length = 0;

  /** Takes the next bytes of the stream and returns the frames that they complete. */
  push(bytes: Buffer): Frame[] {
    this.#pending.push(bytes);
    this.#length += bytes.length;
    if (this.#length < HEADER) return [];
    let data = Buffer.concat(this.#pending);
    const frames: Frame[] = [];
    while (data.length >= HEADER && data.length >= HEADER + data.readUInt32LE(0)) {
      const end = HEADER + data.readUInt32LE(0);
      frames.push({
        job: data.readUInt32LE(4),
        kind: data.toString('latin1', 8, 9),
        body: data.subarray(HEADER, end),
      });
      data = data.subarray(end);
    }
    this.#pending = [data];
    this.#length = data.length;
    return frames;
  }
}
