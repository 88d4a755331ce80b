import { type EventBody, event, type GuardEvent } from './event.ts';
import type { EventSink } from './sink.ts';

/** Dates events at once and delivers them a little later, so that a guest that waits for an answer does not wait for a sink. */
export class EventQueue {
  readonly #sink: EventSink;
  #waiting: GuardEvent[] = [];
  #scheduled = false;

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  emit(body: EventBody): GuardEvent {
    const dated = event(body);
    this.#waiting.push(dated);
    if (!this.#scheduled) setImmediate(() => this.flush());
    this.#scheduled = true;
    return dated;
  }

  /** Delivers what waits. */
  flush(): void {
    const events = this.#waiting;
    this.#waiting = [];
    this.#scheduled = false;
    for (const waiting of events) this.#sink.emit(waiting);
  }
}
