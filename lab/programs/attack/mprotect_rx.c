/* Attack: a payload copied to read-write memory, which mprotect then makes executable. */
#include "../lab.h"

int main(void)
{
    watch_signals();
    unsigned char *memory = map_anonymous(PAGE, PROT_READ | PROT_WRITE);
    make_payload(memory, "mprotect_rx", -1);
    check(mprotect(memory, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
    jump_to(memory);
    return 0;
}
