/** How long one thread may be sent back to the same instruction, in milliseconds. */
const LIMIT = 1000;
/** Threads that are remembered; more are not sent back at the same time. */
const MAX_THREADS = 1024;

/**
 * Instructions that were sent back to be tried again, because the guest was changing what had to be looked at.
 * That must come to an end: after a second the fault is left to the process.
 */
export class Retries {
  readonly #since = new Map<bigint, { readonly address: bigint; readonly from: number; last: number }>();

  /** Whether the thread may be sent back to that address once more. */
  allow(task: bigint, address: bigint, now: number): boolean {
    const entry = this.#since.get(task);
    if (entry === undefined || entry.address !== address || now - entry.last > LIMIT) {
      if (this.#since.size >= MAX_THREADS) this.#since.clear();
      this.#since.set(task, { address, from: now, last: now });
      return true;
    }
    entry.last = now;
    return now - entry.from <= LIMIT;
  }

  /** The thread was answered otherwise. */
  settle(task: bigint): void {
    this.#since.delete(task);
  }
}
