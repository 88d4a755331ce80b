/** A test at its full count, which takes minutes or hours. */
export interface LongTest {
  readonly name: string;
  /** What it shows, for people. */
  readonly summary: string;
  /** Resolves to whether all went as it should; what was found goes to `print`, a line at a time. */
  readonly run: (seed: number, print: (line: string) => void) => Promise<boolean>;
}
