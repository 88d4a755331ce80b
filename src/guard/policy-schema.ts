import { toJsonSchema } from '@valibot/to-json-schema';
import * as v from 'valibot';
import { Glob, GlobError } from './glob.ts';

/** What is done about a detection: `audit` reports it and lets the code run, `block` kills the process. */
export const ACTIONS = ['audit', 'block'] as const;

/** The checks of the execution handler, each of which a rule can switch off. */
export const CHECKS = ['stack', 'pivot', 'writable', 'written'] as const;

/** What a rule can allow: `jit` is memory that was written before it became executable. */
export const ALLOWANCES = ['jit'] as const;

function mapping<const Entries extends v.ObjectEntries>(entries: Entries) {
  const keys = Object.keys(entries).join(', ');
  return v.strictObject(entries, (issue) => {
    if (issue.expected === 'never') return `unknown key ${issue.received}; the keys here are: ${keys}`;
    if (issue.received === 'undefined') return `the key ${issue.expected} is missing`;
    return `expected a mapping with the keys: ${keys}`;
  });
}

function oneOf<const Options extends readonly string[]>(options: Options) {
  return v.picklist(options, (issue) => `expected ${options.join(' or ')}, not ${issue.received}`);
}

function globOver(what: string) {
  return v.pipe(
    v.string((issue) => `expected a glob (text), not ${issue.received}`),
    v.rawCheck(({ dataset, addIssue }) => {
      const problem = dataset.typed ? globProblem(dataset.value) : undefined;
      if (problem !== undefined) addIssue({ message: `bad glob: ${problem}` });
    }),
    v.description(
      `${what}; * is any run without a slash, ** any run, ? one character, [a-z] a set, \\ escapes`,
    ),
  );
}

function globProblem(source: string): string | undefined {
  try {
    new Glob(source);
    return undefined;
  } catch (error) {
    if (error instanceof GlobError) return error.message;
    throw error;
  }
}

const switchOff = v.pipe(
  v.optional(
    v.boolean((issue) => `expected true or false, not ${issue.received}`),
    true,
  ),
  v.description('Whether the check is made'),
);

const MatchSchema = v.pipe(
  mapping({
    path: v.optional(globOver('Glob over the absolute path of the executable, as the guest sees it')),
    name: v.optional(globOver("Glob over the process's name (comm, at most 15 bytes)")),
  }),
  v.check(
    (match) => match.path !== undefined || match.name !== undefined,
    'a match needs a path, a name or both',
  ),
  v.description('Which processes the rule is for; where both are given, both must match'),
);

const RuleSchema = v.pipe(
  mapping({
    match: MatchSchema,
    action: v.pipe(
      oneOf(ACTIONS),
      v.description('audit: report and let run; block: kill by SIGKILL before the first instruction runs'),
    ),
    checks: v.optional(
      v.pipe(
        mapping({ stack: switchOff, pivot: switchOff, writable: switchOff, written: switchOff }),
        v.description(
          'Checks to switch off: code on a stack; stack pointer outside every stack of the thread; page still writable; page written before it became executable',
        ),
      ),
      {},
    ),
    allow: v.optional(
      v.pipe(
        v.array(oneOf(ALLOWANCES), (issue) => `expected a list, not ${issue.received}`),
        v.description(
          'jit: memory that is written, then made executable, runs on; it is examined again each time it becomes executable',
        ),
      ),
      [],
    ),
  }),
  v.description('One rule; the first that matches a process is the one that counts'),
);

/** The shape of a policy file. */
export const PolicySchema = v.pipe(
  mapping({
    version: v.pipe(
      v.literal(1, (issue) => `expected 1, not ${issue.received}`),
      v.description('Version of this format'),
    ),
    processes: v.pipe(
      v.array(RuleSchema, (issue) => `expected a list of rules, not ${issue.received}`),
      v.minLength(1, 'at least one rule is needed'),
    ),
  }),
  v.title('Underwatch policy'),
);

/** What a policy file says, once it has been checked. */
export type PolicyFile = v.InferOutput<typeof PolicySchema>;

/** The JSON Schema of policy files, as shipped in `schema/policy.schema.json`. */
export function policyJsonSchema(): object {
  return toJsonSchema(PolicySchema, { typeMode: 'input', ignoreActions: ['check', 'raw_check'] });
}
