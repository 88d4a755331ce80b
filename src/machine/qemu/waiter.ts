import { TargetError } from '../../errors.ts';

interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** A promise that somebody else settles, once; with a time limit, it fails by itself. */
export class Waiter<T> {
  readonly promise: Promise<T>;
  #settle: Settle<T> | undefined;

  /** @param complaint begins the message of the TargetError once the time, in milliseconds, is over */
  constructor(timeout?: number, complaint?: string) {
    const promise = new Promise<T>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.promise = promise;
    if (timeout === undefined) return;
    const timer = setTimeout(() => {
      this.reject(new TargetError(`${complaint} within ${timeout / 1000} s`));
    }, timeout);
    this.promise = promise.finally(() => clearTimeout(timer));
  }

  get pending(): boolean {
    return this.#settle !== undefined;
  }

  resolve(value: T): void {
    this.#settle?.resolve(value);
    this.#settle = undefined;
  }

  reject(error: Error): void {
    this.#settle?.reject(error);
    this.#settle = undefined;
  }
}
