/** The object of a VMA that is known by its address only. */
const UNKNOWN_OBJECT = -1;

/** One VMA that is armed. Addresses are page numbers (address / 4096), exact in a number with 5 levels, too. */
export interface TrackedVma {
  /** The guest's `vm_area_struct`, as a `kernelKey`. */
  readonly object: number;
  /** First page. */
  readonly start: number;
  /** The page behind the last. */
  readonly end: number;
  /** Its pages could be written at some time while it was tracked. */
  readonly wasWritable: boolean;
}

/**
 * The armed VMAs of one address space, as the engine last saw them: ordered by address, never overlapping,
 * found in O(log n) by address and in O(1) by guest object.
 *
 * The guest maps, splits, merges and unmaps without asking. The table takes what a trap tells: what is
 * tracked anew displaces whatever the table had there, and a decision is made on the guest's own VMA.
 */
export class VmaTable {
  readonly #ordered: TrackedVma[] = [];
  readonly #byObject = new Map<number, TrackedVma>();

  get size(): number {
    return this.#ordered.length;
  }

  [Symbol.iterator](): Iterator<TrackedVma> {
    return this.#ordered.values();
  }

  /** The tracked VMA that holds a page. */
  findByPage(page: number): TrackedVma | undefined {
    const candidate = this.#ordered[this.#firstEndingAfter(page)];
    return candidate !== undefined && candidate.start <= page ? candidate : undefined;
  }

  /** The first tracked VMA that has a page in `[start, end)`. */
  findByRange(start: number, end: number): TrackedVma | undefined {
    const candidate = this.#ordered[this.#firstEndingAfter(start)];
    return candidate !== undefined && candidate.start < end ? candidate : undefined;
  }

  findByObject(object: number): TrackedVma | undefined {
    return this.#byObject.get(object);
  }

  /** Takes a VMA in as it is now. What it displaces passes on that it was writable. */
  track(object: number, start: number, end: number, writable: boolean): TrackedVma {
    if (!(start < end)) throw new RangeError('a VMA has at least one page');
    const before = this.#byObject.get(object);
    let wasWritable = writable || (before?.wasWritable ?? false);
    if (before !== undefined) this.#drop(before);
    wasWritable = this.#cut(start, end) || wasWritable;
    const tracked = { object, start, end, wasWritable };
    this.#insert(tracked);
    return tracked;
  }

  /** Takes in a copy of another address space's VMA, whose own guest object is not known. */
  trackCopy({ start, end, wasWritable }: TrackedVma): void {
    this.#cut(start, end);
    this.#insert({ object: UNKNOWN_OBJECT, start, end, wasWritable });
  }

  /** Forgets the pages in `[start, end)`: they are no longer executable, or no longer there. */
  untrackRange(start: number, end: number): void {
    this.#cut(start, end);
  }

  untrack(object: number): boolean {
    const tracked = this.#byObject.get(object);
    if (tracked !== undefined) this.#drop(tracked);
    return tracked !== undefined;
  }

  clear(): void {
    this.#ordered.length = 0;
    this.#byObject.clear();
  }

  /** Removes a range from what is tracked, keeping what lies before and behind; tells whether any of it was writable. */
  #cut(start: number, end: number): boolean {
    let wasWritable = false;
    for (let hit = this.findByRange(start, end); hit !== undefined; hit = this.findByRange(start, end)) {
      wasWritable ||= hit.wasWritable;
      this.#drop(hit);
      if (hit.start < start) this.#insert({ ...hit, end: start });
      if (hit.end > end) this.#insert({ ...hit, start: end });
    }
    return wasWritable;
  }

  #insert(tracked: TrackedVma): void {
    this.#ordered.splice(this.#firstEndingAfter(tracked.start), 0, tracked);
    if (tracked.object !== UNKNOWN_OBJECT) this.#byObject.set(tracked.object, tracked);
  }

  #drop(tracked: TrackedVma): void {
    const index = this.#firstEndingAfter(tracked.start);
    this.#ordered.splice(index, 1);
    if (this.#byObject.get(tracked.object) === tracked) this.#byObject.delete(tracked.object);
  }

  /** The place of the first VMA whose end is above a page. */
  #firstEndingAfter(page: number): number {
    let low = 0;
    let high = this.#ordered.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ordered[middle]?.end ?? 0) <= page) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
