import { type GuestVirtualAddress, gvaOfWords } from '../../memory/address.ts';
import type { Cut } from '../cut.ts';
import type { Kernel } from '../kernel.ts';
import { asTreeError, vmaTrees } from './find.ts';
import { VmaCursor } from './vma-cursor.ts';
import { type Direction, MAX_VMAS, type VmaTree } from './vma-tree.ts';
import { VmaTreeError } from './vma-tree-error.ts';

/** Tries at one place, by each structure, before a walk gives up there. */
const TRIES_AT_ONE_PLACE = 4;
/** Tries of a whole walk: a guest that changes its VMAs all the time costs so many. */
const TRIES_IN_ALL = 4096;

/** Of the lower half of a 64-bit address space. */
const LAST_USER_PAGE = 2 ** 51 - 1;

/** Where and how far to walk. */
export interface VmaWalkOptions {
  readonly direction?: Direction;
  /** The first page that is looked at; by default the end of the address space that the walk begins at. */
  readonly from?: number;
  /** The most VMAs to visit; {@link MAX_VMAS} when not given. */
  readonly limit?: number;
}

/**
 * Visits the VMAs of an address space in order, each once, until `visit` returns false. The cursor is the same
 * object every time; `visit` may throw a VmaTreeError to have the VMA read again. What the guest changes in the
 * meantime is read again from the last good place on, then looked for in the kernel's second structure where it
 * has one. Returns undefined when the walk reached the end or was stopped by `visit`, else where and why it was
 * cut short.
 */
export function walkVmas(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  mm: GuestVirtualAddress,
  visit: (cursor: VmaCursor) => boolean | undefined,
  options: VmaWalkOptions = {},
): Cut | undefined {
  const walk = new VmaWalk(mm, visit, options);
  let cut: Cut | undefined;
  // The list, where there is one, has the neighbours of a VMA at hand; the red-black tree does not.
  for (const tree of vmaTrees(kernel, mm).reverse()) {
    const before = walk.visited;
    const end = walk.along(tree);
    // A structure that ends where another one had more to come does not prove that there is nothing.
    if (end === undefined) return walk.visited === before ? cut : undefined;
    cut = end;
    if (cut.reason === 'limit') return cut;
  }
  return cut;
}

/** One walk, which may go on along another structure where the first one failed. */
class VmaWalk {
  readonly #mm: GuestVirtualAddress;
  readonly #visit: (cursor: VmaCursor) => boolean | undefined;
  readonly #direction: Direction;
  readonly #limit: number;
  readonly #cursor = new VmaCursor();
  /** The first page that is still to be looked at. */
  #page: number;
  visited = 0;
  #tries = 0;

  constructor(
    mm: GuestVirtualAddress,
    visit: (cursor: VmaCursor) => boolean | undefined,
    options: VmaWalkOptions,
  ) {
    this.#mm = mm;
    this.#visit = visit;
    this.#direction = options.direction ?? 'forward';
    this.#limit = options.limit ?? MAX_VMAS;
    this.#page = options.from ?? (this.#direction === 'forward' ? 0 : LAST_USER_PAGE);
  }

  along(tree: VmaTree): Cut | undefined {
    for (let tries = 0; ; ) {
      const before = this.#page;
      try {
        return this.#run(tree);
      } catch (error) {
        const { cut } = asTreeError(error, this.#mm);
        tries = this.#page === before ? tries + 1 : 0;
        this.#tries += 1;
        if (cut.reason === 'limit' || tries === TRIES_AT_ONE_PLACE || this.#tries >= TRIES_IN_ALL) return cut;
      }
    }
  }

  #run(tree: VmaTree): Cut | undefined {
    const cursor = this.#cursor;
    const direction = this.#direction;
    let found = this.#page >= 0 && tree.seek(this.#page, direction, cursor);
    while (found) {
      if (this.visited === this.#limit)
        return { reason: 'limit', structure: 'vm_area_struct', address: gvaOfWords(cursor.high, cursor.low) };
      const next = direction === 'forward' ? cursor.endPage : cursor.startPage - 1;
      if (direction === 'forward' ? next <= this.#page : next >= this.#page)
        throw new VmaTreeError('torn', 'vm_area_struct', cursor.high, cursor.low);
      const goOn = this.#visit(cursor) !== false;
      this.visited += 1;
      this.#page = next;
      if (!goOn) return undefined;
      found = tree.step(direction, cursor);
    }
    return undefined;
  }
}
