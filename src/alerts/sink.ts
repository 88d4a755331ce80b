import type { Writable } from 'node:stream';
import type { GuardEvent } from './event.ts';
import { renderJson, renderLine } from './render.ts';

/** Where events go. A sink never throws and never holds the guest up. */
export interface EventSink {
  emit(event: GuardEvent): void;
}

/** What is kept for a slow reader before events are dropped, in bytes. */
const BACKLOG_LIMIT = 16 * 1024 * 1024;

/** Writes each event as a line to a stream; a reader that went away or does not read loses events, not the guard. */
export class StreamSink implements EventSink {
  readonly #stream: Writable;
  readonly #render: (event: GuardEvent) => string;
  #gone = false;
  #dropped = 0;

  constructor(stream: Writable, format: 'text' | 'ndjson', colour = false) {
    this.#stream = stream;
    this.#render = format === 'ndjson' ? renderJson : (event) => renderLine(event, { colour });
    stream.on('error', () => {
      this.#gone = true;
    });
  }

  /** Events that could not be written. */
  get dropped(): number {
    return this.#dropped;
  }

  emit(event: GuardEvent): void {
    if (this.#gone || this.#stream.writableLength > BACKLOG_LIMIT) this.#dropped++;
    else this.#stream.write(`${this.#render(event)}\n`);
  }
}
