import { toJsonSchema } from '@valibot/to-json-schema';
import * as v from 'valibot';
import { CodeReportSchema } from './code-report.ts';

/** Version of the event format: raised when a field changes its meaning or goes away, not when one is added. */
export const EVENT_VERSION = 1;

const hexadecimal = v.pipe(
  v.string(),
  v.regex(/^0x[0-9a-f]{1,16}$/),
  v.description('Guest-virtual address or 64-bit value'),
);
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const identifier = v.pipe(v.number(), v.integer(), v.minValue(0));
const milliseconds = v.pipe(v.number(), v.minValue(0), v.description('Wall time in milliseconds'));

const AncestorSchema = v.strictObject({
  pid: v.pipe(identifier, v.description('Thread group id in the first pid namespace')),
  comm: v.string(),
});

const ProcessSchema = v.pipe(
  v.strictObject({
    pid: v.pipe(identifier, v.description('Id of the thread in the first pid namespace (task_struct.pid)')),
    tgid: v.pipe(identifier, v.description('Id of the process (task_struct.tgid)')),
    comm: v.string(),
    path: v.nullable(
      v.pipe(v.string(), v.description('Path of the executable; null where it could not be read')),
    ),
    uid: v.nullable(identifier),
    euid: v.nullable(identifier),
    gid: v.nullable(identifier),
    egid: v.nullable(identifier),
    parents: v.pipe(v.array(AncestorSchema), v.description('The parent, its parent and so on')),
  }),
  v.description('A process as it was when the event happened'),
);

const VmaSchema = v.pipe(
  v.strictObject({
    start: hexadecimal,
    end: hexadecimal,
    perms: v.pipe(v.string(), v.regex(/^[r-][w-][x-][sp]$/), v.description('As /proc/PID/maps prints them')),
    kind: v.picklist(['anonymous', 'stack', 'heap']),
  }),
  v.description('The virtual memory area that the code lies in'),
);

const InstructionSchema = v.strictObject({ address: hexadecimal, bytes: v.string(), text: v.string() });

const CodeSchema = v.pipe(
  v.strictObject({
    address: hexadecimal,
    bytes: v.pipe(
      v.string(),
      v.regex(/^([0-9a-f]{2})*$/),
      v.description('From the address on, in hexadecimal'),
    ),
    instructions: v.array(InstructionSchema),
  }),
  v.description('The code that was about to run; no byte where the page could not be read'),
);

const FindingSchema = v.pipe(
  v.strictObject({
    check: v.pipe(
      v.string(),
      v.description('stack, pivot, writable or written; code where the analysis speaks'),
    ),
    detail: v.string(),
    certain: v.pipe(v.boolean(), v.description('An uncertain finding is reported and kills nobody')),
  }),
  v.description('What one check found'),
);

/** What was done about a detection. */
export const ALERT_ACTIONS = ['killed', 'denied', 'allowed'] as const;

const common = {
  version: v.literal(EVENT_VERSION),
  time: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.description('When the event happened, by the clock of the host'),
  ),
};

const GuardStartedSchema = v.strictObject({
  ...common,
  type: v.literal('guard.started'),
  machine: v.string(),
  hypervisor: v.string(),
  kernel: v.pipe(v.string(), v.description('Release of the guest kernel')),
  transport: v.pipe(v.string(), v.description('How traps reach the engine')),
  hooks: v.array(v.strictObject({ symbol: v.string(), address: hexadecimal })),
  adopted: v.pipe(count, v.description('Processes that were running already')),
  stoppedMs: v.pipe(milliseconds, v.description('How long the machine stood still for it, in milliseconds')),
});

const ProcessProtectedSchema = v.strictObject({
  ...common,
  type: v.literal('process.protected'),
  process: ProcessSchema,
  how: v.picklist(['running', 'exec', 'fork']),
  action: v.picklist(['audit', 'block']),
});

const ProcessReleasedSchema = v.strictObject({
  ...common,
  type: v.literal('process.released'),
  tgid: identifier,
  comm: v.string(),
  examined: v.pipe(count, v.description('Pages examined in its address space')),
});

const AlertSchema = v.strictObject({
  ...common,
  type: v.literal('alert'),
  process: ProcessSchema,
  address: v.pipe(hexadecimal, v.description('Where an instruction was fetched')),
  vma: VmaSchema,
  registers: v.pipe(v.record(v.string(), hexadecimal), v.description("The thread's user-mode registers")),
  code: CodeSchema,
  analysis: v.pipe(
    v.nullable(CodeReportSchema),
    v.description('What the code would do if it ran; null where it could not be analysed'),
  ),
  findings: v.pipe(v.array(FindingSchema), v.minLength(1)),
  policy: v.picklist(['audit', 'block']),
  action: v.pipe(
    v.picklist(ALERT_ACTIONS),
    v.description(
      'killed: SIGKILL; denied: the fault was left to the process (init is never killed); allowed: the code runs',
    ),
  ),
  durationMs: v.pipe(milliseconds, v.description('From trap to answer, in milliseconds')),
});

const ProblemSchema = v.strictObject({
  ...common,
  type: v.literal('problem'),
  where: v.pipe(v.string(), v.description('What was being done')),
  message: v.string(),
  address: v.nullable(hexadecimal),
});

/** What the guard counted from start to stop. */
const CountersSchema = v.strictObject({
  traps: v.pipe(count, v.description('Times that a hook stopped the guest')),
  protected: v.pipe(count, v.description('Address spaces that were protected')),
  armed: v.pipe(count, v.description('Times that a VMA was armed')),
  examined: v.pipe(count, v.description('Instruction fetches that were examined')),
  allowed: count,
  alerts: count,
  repeated: v.pipe(count, v.description('Detections that an earlier alert had reported already')),
  killed: count,
  denied: count,
  problems: count,
});

const GuardStoppedSchema = v.strictObject({
  ...common,
  type: v.literal('guard.stopped'),
  reason: v.picklist(['asked', 'lost', 'failed']),
  counters: CountersSchema,
  restored: v.pipe(
    v.strictObject({ vmas: count, pages: count, complete: v.boolean() }),
    v.description('What was given back; complete is false where a part of the guest could not be reached'),
  ),
});

/** Every event that Underwatch reports. */
export const EventSchema = v.pipe(
  v.variant('type', [
    GuardStartedSchema,
    ProcessProtectedSchema,
    ProcessReleasedSchema,
    AlertSchema,
    ProblemSchema,
    GuardStoppedSchema,
  ]),
  v.title('Underwatch event'),
);

/** One event; `type` says which. */
export type GuardEvent = v.InferOutput<typeof EventSchema>;
/** Code was about to run where none should be. */
export type Alert = v.InferOutput<typeof AlertSchema>;
/** A process in an event. */
export type EventProcess = v.InferOutput<typeof ProcessSchema>;
/** A VMA in an event. */
export type EventVma = v.InferOutput<typeof VmaSchema>;
/** What one check found. */
export type Finding = v.InferOutput<typeof FindingSchema>;
/** Code bytes in an event. */
export type EventCode = v.InferOutput<typeof CodeSchema>;
/** What the guard counts. */
export type GuardCounters = v.InferOutput<typeof CountersSchema>;
/** What was given back at the end. */
export type Restored = v.InferOutput<typeof GuardStoppedSchema>['restored'];

type WithoutCommon<Event> = Event extends unknown ? Omit<Event, 'version' | 'time'> : never;
/** An event before it is dated. */
export type EventBody = WithoutCommon<GuardEvent>;

/** Dates an event. */
export function event(body: EventBody, now = new Date()): GuardEvent {
  return { version: EVENT_VERSION, time: now.toISOString(), ...body } as GuardEvent;
}

/** The JSON Schema of events, as shipped in `schema/event.schema.json`. */
export function eventJsonSchema(): object {
  return toJsonSchema(EventSchema, { errorMode: 'throw' });
}
