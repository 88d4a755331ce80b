/**
 * The mailbox: two pages of guest memory, where stubs leave requests and the engine leaves verdicts. Every word
 * has one writer, as `lock` prefixes hold nothing against another process under an emulator with one vCPU.
 *
 * Offsets in bytes from its start. The first page holds what is shared, the second one the slots.
 */

/** Of the whole mailbox: 2^1 pages. */
export const MAILBOX_SIZE = 0x2000;

/** Words of the first page. Those of the engine and those of the guest lie on cache lines of their own. */
export const Header = {
  /** Engine: a generation, from 1 on; 0 when nobody answers. */
  enabled: 0x00,
  /** Engine: how long a request waits, in ticks of the time-stamp counter (64 bits). */
  limit: 0x08,
  /** Guest: the generation in which a request was not answered in time. Nothing is asked in that one again. */
  tripped: 0x40,
  /** Guest: requests that were not answered in time. */
  timeouts: 0x44,
  /** Guest: arrivals that found no free slot. */
  dropped: 0x48,
  /** Guest: armed pages that stubs made executable because nobody answered. */
  released: 0x4c,
  /** Guest: per stub, how many requests were answered and for how many ticks they waited (64 bits each). */
  costs: 0x400,
} as const;

/** Bytes of one stub's cost counters, and how many stubs there may be. */
export const COST_SIZE = 16;
export const MAX_STUBS = 64;

/** Slots for requests in flight: a power of two. */
export const SLOT_COUNT = 16;
export const SLOT_SIZE = 0x100;
export const SLOTS_OFFSET = 0x1000;

/** Words of a slot; 64 bits unless said otherwise. */
export const Slot = {
  /** Guest, 32 bits: free, claimed, or with a request. */
  state: 0x00,
  /** Guest, 32 bits: the number of the request, 28 bits, never reused while a verdict may be under way. */
  sequence: 0x04,
  /** Guest, 32 bits: the stub that asks. */
  stub: 0x08,
  /** Guest, 32 bits: how many kernel functions were called for this arrival so far. */
  calls: 0x0c,
  /** Guest: the `task_struct` that arrived. */
  task: 0x10,
  /** Guest: what the filter looked up, an `mm_struct` or a number for a program; 0 for none. */
  key: 0x18,
  /** Guest: rdi, rsi, rdx, rcx, r8, r9 at the function's entry. */
  arguments: 0x20,
  /** Guest: rsp at the function's entry. */
  stack: 0x50,
  /** Guest: what the last called function returned. */
  result: 0x58,
  /** Guest: when the arrival was, and until when its request waits, by the time-stamp counter. */
  arrived: 0x60,
  deadline: 0x68,
  /** Guest, 32 bits: the CPU that arrived, from 0 on. */
  cpu: 0x70,
  /** Engine, 32 bits: `sequence << 4 | action`. */
  verdict: 0x80,
  /** Engine: the value that the function returns in place of its own. */
  value: 0x88,
  /** Engine: the kernel function to call. */
  function: 0x90,
  /** Engine: its arguments, six. */
  callArguments: 0x98,
} as const;

export const SlotState = { free: 0, claimed: 1, request: 2 } as const;

/** Requests are numbered modulo this. */
export const SEQUENCE_LIMIT = 2 ** 28;

/** What a verdict tells the stub to do. */
export const Action = {
  /** The function runs as if nothing had been. */
  goOn: 0,
  /** The function is left out; `value` is its result. */
  return: 1,
  /** The function is left out; `force_sig(SIGKILL)` is called in its place. */
  kill: 2,
  /** Never a verdict: the stub's own, when none came. */
  unanswered: 3,
  /** The kernel function at `function` is called; then the stub asks again. */
  call: 4,
  /**
   * The leaf entry that maps the user address in argument 0, if it is what argument 1 says, becomes what argument 2
   * says; then the stub asks again, with 1 or 0 as result.
   */
  exchange: 5,
  /** The same, and the function is left out without another question. */
  exchangeAndReturn: 6,
} as const;
