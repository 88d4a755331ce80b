import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { type Btf, describeStruct, type MemberDescription, renderStruct } from '../linux/btf.ts';
import { type OpenOptions, openTarget } from '../target.ts';
import { formatOption, ramLayoutOption, targetArgument } from './options.ts';
import { type Format, printObject, printRows, type Row, TextOutput } from './output.ts';

type StructOptions = { format: Format } & OpenOptions;

/** `underwatch struct TARGET NAME`: a struct as the kernel's own types (BTF) describe it. */
export function structCommand(): Command {
  return new Command('struct')
    .description('show a struct or union of the kernel (BTF)')
    .addArgument(targetArgument())
    .argument('<NAME>', 'its name, or a glob (quote it) to list the names that match')
    .addOption(ramLayoutOption())
    .addOption(formatOption())
    .action(async (name: string, pattern: string, { format, ...opening }: StructOptions) => {
      await using target = await openTarget(name, opening);
      const { types } = target.kernel;
      if (/[*?]/.test(pattern)) await listNames(types, pattern, format);
      else await showStruct(types, pattern, format);
    });
}

async function listNames(types: Btf, pattern: string, format: Format): Promise<void> {
  const names = types.search(pattern);
  if (names.length === 0) throw new UsageError(`the kernel has no struct that matches '${pattern}'`);
  const rows = names.map((name) => ({ name, size: types.struct(name)?.size ?? null }));
  await printRows(
    rows,
    [
      { field: 'name', heading: 'NAME' },
      { field: 'size', heading: 'SIZE', align: 'right' },
    ],
    format,
  );
}

async function showStruct(types: Btf, name: string, format: Format): Promise<void> {
  const struct = types.struct(name);
  if (struct === undefined) throw new UsageError(`the kernel has no struct '${name}'`);
  const description = describeStruct(types, struct);
  if (format === 'table') {
    const output = new TextOutput();
    await output.line(renderStruct(description));
    await output.flush();
    return;
  }
  const { kind, size, members } = description;
  await printObject({ kind, name, size, members: members.map(memberRow) }, [], format);
}

function memberRow({ name, type, offset, size, bits, members }: MemberDescription): Row {
  return {
    name,
    type,
    offset,
    size,
    ...(bits === undefined ? {} : { bits: { first: bits.first, width: bits.width } }),
    ...(members === undefined ? {} : { members: members.map(memberRow) }),
  };
}
