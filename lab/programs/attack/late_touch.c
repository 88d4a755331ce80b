/* Attack: a page of a large executable mapping that is first touched, written and run 1.5 s after the mapping was made. */
#include "../lab.h"

int main(void)
{
    watch_signals();
    unsigned char *memory = map_anonymous(64 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    usleep(1500000);
    unsigned char *late = memory + 37 * PAGE;
    make_payload(late, "late_touch", -1);
    jump_to(late);
    return 0;
}
