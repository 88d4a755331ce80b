/* Attack: a payload run by a second thread, while the first waits. */
#include <pthread.h>

#include "../lab.h"

static void *second_thread(void *memory)
{
    jump_to(memory);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    watch_signals();
    unsigned char *memory = map_anonymous(PAGE, PROT_READ | PROT_WRITE);
    make_payload(memory, "thread", -1);
    check(mprotect(memory, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
    check(pthread_create(&thread, NULL, second_thread, memory) == 0, "pthread_create");
    pthread_join(thread, NULL);
    return 0;
}
