import { EXIT } from './exit-status.ts';
import { note } from './notes.ts';

const STATUS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated, SIGHUP: EXIT.hungUp } as const;

/**
 * Keeps signals from ending the process while a guest still has to be given back: the first one is remembered, as
 * are errors that nobody caught, and whoever waits ends in order. Disposing gives the signals their usual effect.
 */
export class Interruption implements Disposable {
  /** Settles when a signal or an error asks for the end. */
  readonly happened: Promise<void>;
  /** What to exit with because of it; undefined as long as there was none. */
  status: number | undefined;
  #settle: () => void = () => {};
  readonly #onSignal = (signal: keyof typeof STATUS) => this.#end(STATUS[signal]);
  readonly #onError = (error: unknown) => {
    note(`internal error: ${error instanceof Error ? error.message : String(error)}; giving the guest back`);
    this.#end(EXIT.notUnderstood);
  };

  constructor() {
    this.happened = new Promise((resolve) => {
      this.#settle = resolve;
    });
    for (const signal of Object.keys(STATUS)) process.on(signal, this.#onSignal);
    process.on('uncaughtException', this.#onError);
    process.on('unhandledRejection', this.#onError);
  }

  [Symbol.dispose](): void {
    for (const signal of Object.keys(STATUS)) process.off(signal, this.#onSignal);
    process.off('uncaughtException', this.#onError);
    process.off('unhandledRejection', this.#onError);
  }

  #end(status: number): void {
    this.status ??= status;
    this.#settle();
  }
}
