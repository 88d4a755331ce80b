/* Attack: a payload in a local array, on a stack that the linker asked to be executable. */
#include "../lab.h"

int main(void)
{
    unsigned char payload[PAYLOAD_MAX];
    watch_signals();
    make_payload(payload, "exec_stack", -1);
    jump_to(payload);
    return 0;
}
