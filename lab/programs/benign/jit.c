/*
 * Benign: a just-in-time compiler that keeps W^X. It compiles and runs argument 1 (200) different functions of one
 * argument, f(x) = ((x * a) + b) ^ c, each written to read-write memory that mprotect then makes read-execute. Every
 * other function goes into the same page, flipped back and forth; the others into a mapping each.
 */
#include "../lab.h"

typedef uint32_t (*compiled)(uint32_t);

static size_t compile(unsigned char *target, uint32_t a, uint32_t b, uint32_t c)
{
    unsigned char code[] = {
        0x69, 0xc7, 0, 0, 0, 0, /* imul eax, edi, a */
        0x05, 0, 0, 0, 0,       /* add eax, b */
        0x35, 0, 0, 0, 0,       /* xor eax, c */
        0xc3,                   /* ret */
    };
    memcpy(code + 2, &a, 4);
    memcpy(code + 7, &b, 4);
    memcpy(code + 12, &c, 4);
    memcpy(target, code, sizeof code);
    return sizeof code;
}

static int run(unsigned char *page, uint32_t number)
{
    uint32_t a = number * 2654435761u, b = number * 40503u + 7, c = ~number;
    compiled function;
    void *entry = page + (number % 64) * 32;
    check(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
    compile(entry, a, b, c);
    check(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
    memcpy(&function, &entry, sizeof function);
    return function(number) == (((number * a) + b) ^ c);
}

int main(int argc, char **argv)
{
    uint32_t wanted = argc > 1 ? (uint32_t)atoi(argv[1]) : 200, right = 0;
    unsigned char *shared = map_anonymous(PAGE, PROT_READ | PROT_WRITE);
    for (uint32_t number = 0; number < wanted; number++) {
        unsigned char *page = number % 2 == 0 ? map_anonymous(PAGE, PROT_READ | PROT_WRITE) : shared;
        right += (uint32_t)run(page, number);
    }
    say("jit ok %u/%u", right, wanted);
    return right == wanted ? 0 : 1;
}
