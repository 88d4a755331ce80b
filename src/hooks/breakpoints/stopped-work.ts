interface Item {
  run(): Promise<void>;
  abandon(error: Error): void;
}

/** Work that waits for the machine to stand still, in the order in which it was asked for. */
export class StoppedWork {
  readonly #items: Item[] = [];

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Queues work and gives its outcome, once {@link drain} has run it. */
  add<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const run = async () => {
        try {
          resolve(await work());
        } catch (error) {
          reject(error);
        }
      };
      this.#items.push({ run, abandon: reject });
    });
  }

  /** Runs all that waits, and what is added meanwhile. Never rejects: each outcome goes to who asked. */
  async drain(): Promise<void> {
    for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) await item.run();
  }

  /** Gives up what waits. */
  abandon(error: Error): void {
    for (const item of this.#items.splice(0)) item.abandon(error);
  }
}
