import type { Doorbell } from '../../machine/machine.ts';

/** What tells the engine that a request may wait: a doorbell that the guest rings, or the clock. */
export interface Rings {
  readonly transport: 'doorbell' | 'poll';
  /** The I/O port that a stub writes to; undefined where nobody listens to one. */
  readonly port: number | undefined;
  /** Calls `look` whenever a request may wait, until stopped; it gives how many requests there were. */
  start(look: () => number): void;
  /** For good. */
  stop(): void;
}

/** How long after a request the next one is looked for without pause, in milliseconds. */
const EAGER = 3;

/** Looks as often as timers allow, and without pause for a moment after each request. */
export class PolledRings implements Rings {
  readonly transport = 'poll';
  readonly port = undefined;
  #stopped = false;

  start(look: () => number): void {
    let eagerUntil = 0;
    const tick = () => {
      if (this.#stopped) return;
      const now = performance.now();
      if (look() > 0) eagerUntil = now + EAGER;
      if (now < eagerUntil) setImmediate(tick);
      else setTimeout(tick, 1);
    };
    tick();
  }

  stop(): void {
    this.#stopped = true;
  }
}

/**
 * Looks when the guest rings. Ringing without a request gains nothing and costs one look for all bytes that arrived
 * together.
 */
export class DoorbellRings implements Rings {
  readonly transport = 'doorbell';
  readonly port: number;
  readonly #device: Doorbell;
  #look: (() => number) | undefined;

  /** The device is this object's alone from now on. */
  constructor(device: Doorbell) {
    this.#device = device;
    this.port = device.port;
    device.onRing(() => this.#look?.());
  }

  start(look: () => number): void {
    this.#look = look;
  }

  stop(): void {
    this.#look = undefined;
    this.#device[Symbol.dispose]();
  }
}
