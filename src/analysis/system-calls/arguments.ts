import { hex } from '../../memory/address.ts';
import type { AddressSpace } from '../emulator/memory/address-space.ts';
import type { SystemCallArgument } from './call.ts';
import { quote, readString, readStrings } from './guest-strings.ts';
import {
  AT,
  CLONE,
  DOMAINS,
  FCNTL,
  flagNames,
  MAP,
  MEMFD,
  OPEN,
  PROTECTION,
  PTRACE,
  SIGNALS,
  SOCKET_TYPES,
} from './names.ts';
import { signatureOf } from './signatures.ts';
import { decodeSocketAddress } from './socket-address.ts';

/** One register as an argument: its two words. */
export interface RawArgument {
  readonly low: number;
  readonly high: number;
}

/** What decoding needs to look into. */
export interface DecodeContext {
  readonly memory: AddressSpace;
  readonly pointerSize: 4 | 8;
}

const SHOWN_DATA = 64;
/** Of a call that nothing is known about. */
const PLAIN = 'a:hex b:hex c:hex';

/** Decodes the arguments of a call by its signature. */
export function decodeArguments(
  name: string,
  raw: readonly RawArgument[],
  context: DecodeContext,
): SystemCallArgument[] {
  const signature = signatureOf(name) ?? PLAIN;
  if (signature === '') return [];
  return signature.split(' ').map((field, index) => {
    const [argumentName = '', type = ''] = field.split(':');
    const word = raw[index] ?? { low: 0, high: 0 };
    const size = raw[index + 1]?.low ?? 0;
    const decoded = decode(type, word, size, context);
    const value = (BigInt(word.high >>> 0) << 32n) | BigInt(word.low >>> 0);
    return { name: argumentName, type, value, ...decoded };
  });
}

interface Decoded {
  readonly text: string;
  readonly strings?: readonly string[];
}

/** Decodes one word; `next` is the low word of the argument behind it, the length of some. */
function decode(type: string, word: RawArgument, next: number, context: DecodeContext): Decoded {
  const { low } = word;
  switch (type) {
    case 'path':
      return pointed(word, readString(context.memory, word.high, low));
    case 'strings': {
      const strings = readStrings(context.memory, word.high, low, context.pointerSize);
      const text = (word.high | low) === 0 ? 'NULL' : `[${strings.map(quote).join(', ')}]`;
      return { text, strings };
    }
    case 'data': {
      const bytes = context.memory.peek(word.high, low, Math.min(next >>> 0, SHOWN_DATA));
      const text = String.fromCharCode(...bytes);
      return { text: quote(text), strings: [text] };
    }
    case 'sockaddr': {
      const address = decodeSocketAddress(context.memory.peek(word.high, low, Math.min(next >>> 0, 128)));
      return address === undefined
        ? { text: pointer(word) }
        : { text: address.text, strings: [address.text] };
    }
    case 'pointer':
      return { text: pointer(word) };
    case 'fd':
      return { text: low === -100 ? 'AT_FDCWD' : String(low) };
    case 'size':
      return { text: String((word.high >>> 0) * 0x1_0000_0000 + (low >>> 0)) };
    case 'hex':
      return { text: pointer(word) };
    default:
      return { text: named(type, low) };
  }
}

/** Words whose values have names. */
function named(type: string, low: number): string {
  switch (type) {
    case 'octal':
      return `0${(low >>> 0).toString(8)}`;
    case 'protection':
      return flagNames(low, PROTECTION, 'PROT_NONE');
    case 'map':
      return flagNames(low, MAP, '0');
    case 'open':
      return (low & 3) === 0 ? ['O_RDONLY', ...rest(low)].join('|') : flagNames(low, OPEN, '0');
    case 'memfd':
      return flagNames(low, MEMFD, '0');
    case 'at':
      return flagNames(low, AT, '0');
    case 'clone':
      return flagNames(low & ~0xff, CLONE, '0');
    case 'domain':
      return DOMAINS[low] ?? String(low);
    case 'socket':
      return SOCKET_TYPES[low & 0xf] ?? String(low);
    case 'signal':
      return SIGNALS[low] ?? String(low);
    case 'ptrace':
      return PTRACE[low] ?? hex(low >>> 0);
    case 'fcntl':
      return FCNTL[low] ?? String(low);
    default:
      return String(low);
  }
}

function rest(low: number): string[] {
  const names = flagNames(low, OPEN, '');
  return names === '' ? [] : [names];
}

function pointed(word: RawArgument, text: string | undefined): Decoded {
  return text === undefined ? { text: pointer(word) } : { text: quote(text), strings: [text] };
}

function pointer(word: RawArgument): string {
  if ((word.low | word.high) === 0) return 'NULL';
  return hex((BigInt(word.high >>> 0) << 32n) | BigInt(word.low >>> 0));
}
