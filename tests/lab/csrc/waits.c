/* A program in the lab's target containers that waits, faults, allocates and calls the kernel.
 *
 *   waits
 *
 * In each round two functions do the same thing, the first three times as much as the second: so
 * whatever is counted or timed, the shares are 3/4 and 1/4 of what both do.
 *
 *   waits for time       wait_for_disk, wait_for_peer    30 ms, 10 ms
 *   waits for a lock     update_index, read_index        30 ms, 10 ms, held by hold_index
 *   page faults          warm_cache, copy_reply          30, 10 new pages
 *   allocations          fill_cache, build_reply         3, 1 blocks of 1000 bytes
 *   system calls         ask_often, ask_once             30, 10 of getppid(2)
 *
 * Most libraries keep no frame pointers, and what has no frame hides its caller: so between each of
 * these functions and the library stands a level that is hidden.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define PAGE 4096
#define BLOCK 1000

static pthread_mutex_t index_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int held;
static volatile unsigned long sink;

NOINLINE static void pause_ms(long ms)
{
    struct timespec t = {0, ms * 1000000L};
    nanosleep(&t, NULL);
    sink++;
}

NOINLINE void wait_for_disk(void)
{
    pause_ms(30);
    sink++;
}

NOINLINE void wait_for_peer(void)
{
    pause_ms(10);
    sink++;
}

NOINLINE static void let_go(void)
{
    pthread_mutex_unlock(&index_lock);
    sink++;
}

NOINLINE void *hold_index(void *ms)
{
    pthread_mutex_lock(&index_lock);
    held = 1;
    pause_ms((long)ms);
    let_go();
    sink++;
    return NULL;
}

NOINLINE static void take(void)
{
    pthread_mutex_lock(&index_lock);
    sink++;
    pthread_mutex_unlock(&index_lock);
}

NOINLINE void update_index(void)
{
    take();
    sink++;
}

NOINLINE void read_index(void)
{
    take();
    sink++;
}

NOINLINE static void while_held(long ms, void (*work)(void))
{
    pthread_t holder;
    held = 0;
    if (pthread_create(&holder, NULL, hold_index, (void *)ms))
        return;
    while (!held)
        sched_yield();
    work();
    pthread_join(holder, NULL);
}

NOINLINE static void touch(char *at)
{
    *at = 1;
    sink++;
}

NOINLINE void warm_cache(char *pages)
{
    for (int i = 0; i < 30; i++)
        touch(pages + i * PAGE);
    sink++;
}

NOINLINE void copy_reply(char *pages)
{
    for (int i = 30; i < 40; i++)
        touch(pages + i * PAGE);
    sink++;
}

NOINLINE static void *get_block(void)
{
    void *block = malloc(BLOCK);
    sink++;
    return block;
}

NOINLINE void fill_cache(void **blocks)
{
    for (int i = 0; i < 3; i++)
        blocks[i] = get_block();
    sink++;
}

NOINLINE void build_reply(void **blocks)
{
    blocks[3] = get_block();
    sink++;
}

NOINLINE static void ask(void)
{
    syscall(SYS_getppid);
    sink++;
}

NOINLINE void ask_often(void)
{
    for (int i = 0; i < 30; i++)
        ask();
    sink++;
}

NOINLINE void ask_once(void)
{
    for (int i = 0; i < 10; i++)
        ask();
    sink++;
}

NOINLINE void handle_round(void)
{
    void *blocks[4];
    char *pages = mmap(NULL, 40 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        exit(1);
    madvise(pages, 40 * PAGE, MADV_NOHUGEPAGE);
    warm_cache(pages);
    copy_reply(pages);
    munmap(pages, 40 * PAGE);
    fill_cache(blocks);
    build_reply(blocks);
    for (int i = 0; i < 4; i++)
        free(blocks[i]);
    ask_often();
    ask_once();
    wait_for_disk();
    wait_for_peer();
    while_held(30, update_index);
    while_held(10, read_index);
    sink++;
}

int main(void)
{
    for (;;)
        handle_round();
}
