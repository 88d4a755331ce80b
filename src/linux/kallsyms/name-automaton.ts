const START = 0;
const DEAD = -1;
const UNKNOWN = -2;

/**
 * Recognises a set of names in kallsyms' compressed form: an automaton whose letters are tokens, so that a
 * name that is not wanted is left after a token or two, and nothing is decoded. Transitions are worked out
 * when first taken.
 */
export class NameAutomaton {
  readonly #tokens: readonly string[];
  /** For each state, the next state by character code: a trie of the wanted names. State 0 comes before the type letter. */
  readonly #children: Map<number, number>[] = [new Map(), new Map()];
  /** For each state, which wanted name ends there, or -1. */
  readonly #accepts: number[] = [-1, -1];
  readonly #transitions: Int32Array;

  constructor(wanted: readonly string[], tokens: readonly string[]) {
    this.#tokens = tokens;
    wanted.forEach((name, which) => {
      this.#add(name, which);
    });
    this.#transitions = new Int32Array(this.#children.length * 256).fill(UNKNOWN);
  }

  /** Which wanted name the tokens `bytes[start..end)` spell after their type letter, or -1. */
  match(bytes: Uint8Array, start: number, end: number): number {
    const transitions = this.#transitions;
    let state = START;
    for (let at = start; at < end; at++) {
      const token = bytes[at] ?? 0;
      let next = transitions[state * 256 + token] ?? DEAD;
      if (next === UNKNOWN) next = this.#learn(state, token);
      if (next === DEAD) return -1;
      state = next;
    }
    return this.#accepts[state] ?? -1;
  }

  #add(name: string, which: number): void {
    let state = 1;
    for (let at = 0; at < name.length; at++) {
      const code = name.charCodeAt(at);
      let next = this.#children[state]?.get(code);
      if (next === undefined) {
        next = this.#children.length;
        this.#children.push(new Map());
        this.#accepts.push(-1);
        this.#children[state]?.set(code, next);
      }
      state = next;
    }
    this.#accepts[state] = which;
  }

  #learn(from: number, token: number): number {
    const text = this.#tokens[token] ?? '';
    let state: number = from === START ? 1 : from;
    for (let at = from === START ? 1 : 0; at < text.length && state !== DEAD; at++) {
      state = this.#children[state]?.get(text.charCodeAt(at)) ?? DEAD;
    }
    this.#transitions[from * 256 + token] = state;
    return state;
  }
}
