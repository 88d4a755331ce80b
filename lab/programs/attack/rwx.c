/* Attack: a payload in memory mapped readable, writable and executable at once; it leaves with status 42. */
#include "../lab.h"

int main(void)
{
    watch_signals();
    unsigned char *memory = map_anonymous(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    make_payload(memory, "rwx", 42);
    jump_to(memory);
    return 0;
}
