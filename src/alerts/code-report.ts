import * as v from 'valibot';

const hexadecimal = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/));
const bytes = v.pipe(v.string(), v.regex(/^([0-9a-f]{2})*$/));
const texts = v.array(v.string());

const TraitSchema = v.pipe(
  v.strictObject({
    name: v.string(),
    address: hexadecimal,
    instruction: v.string(),
    bytes,
    text: v.pipe(v.string(), v.description('What exactly was seen')),
  }),
  v.description('What the code did that ordinary code in its place would not'),
);

const SystemCallSchema = v.strictObject({
  name: v.string(),
  abi: v.picklist(['x64', 'i386', 'x32']),
  number: v.number(),
  address: v.pipe(hexadecimal, v.description('Of the instruction that enters the kernel')),
  arguments: v.pipe(
    v.record(v.string(), v.string()),
    v.description('By their names, as a person reads them'),
  ),
  result: v.pipe(
    v.nullable(v.string()),
    v.description('What the emulation answered; null where it does not return'),
  ),
  text: v.pipe(v.string(), v.description('The call on one line')),
});

const ChainSchema = v.pipe(
  v.strictObject({ name: v.string(), text: v.string() }),
  v.description('What a row of system calls amounts to'),
);

/** What code would do if it ran: the answer of the analysis in events, and of `underwatch analyze`. */
export const CodeReportSchema = v.strictObject({
  verdict: v.picklist(['benign', 'suspicious', 'malicious']),
  reasons: v.pipe(texts, v.description('Why, as sentences; the strongest first')),
  mode: v.pipe(v.picklist([32, 64]), v.description('Bits')),
  instructions: v.pipe(v.number(), v.description('Emulated instructions')),
  stop: v.pipe(v.string(), v.description('Why the emulation ended')),
  traits: v.array(TraitSchema),
  syscalls: v.array(SystemCallSchema),
  chains: v.array(ChainSchema),
  strings: v.pipe(texts, v.description('Texts that the code wrote: on the stack, or by decoding')),
  rules: v.pipe(texts, v.description('YARA rules that match')),
  payload: v.optional(v.strictObject({ address: hexadecimal, bytes })),
  milliseconds: v.pipe(v.number(), v.minValue(0), v.description('Time spent on it')),
});

/** What code would do if it ran, as plain JSON; addresses are hexadecimal strings. */
export type CodeReport = v.InferOutput<typeof CodeReportSchema>;
