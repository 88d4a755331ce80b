import type { MemberDescription, StructDescription } from './describe.ts';

/** Column at which offset and size stand. */
const COMMENT_COLUMN = 64;

/** A struct as C, each member with its offset and size in bytes in a comment. */
export function renderStruct(struct: StructDescription): string {
  return [
    `${struct.kind} ${struct.name} {`,
    ...struct.members.flatMap((member) => renderMember(member, 1)),
    `}; /* size: ${struct.size} */`,
  ].join('\n');
}

function renderMember(member: MemberDescription, depth: number): string[] {
  const indent = '  '.repeat(depth);
  const place = `/* ${String(member.offset).padStart(5)} ${String(member.size).padStart(5)} */`;
  if (member.members === undefined) {
    const { bits } = member;
    const suffix = bits === undefined ? '' : `:${bits.width}`;
    return [`${`${indent}${member.declaration}${suffix};`.padEnd(COMMENT_COLUMN)} ${place}`];
  }
  return [
    `${indent}${member.type.split(' ')[0]} {`,
    ...member.members.flatMap((inner) => renderMember(inner, depth + 1)),
    `${`${indent}}${member.name === '' ? '' : ` ${member.name}`};`.padEnd(COMMENT_COLUMN)} ${place}`,
  ];
}
