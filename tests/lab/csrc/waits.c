/* A program in the lab's target containers that waits, faults, allocates and calls the kernel.
 *
 *   waits              in rounds, for ever
 *   waits count KIND   one kind as often as it can, for ever: compute, switch, fault, malloc or
 *                      syscall; ten times a second it prints the time and its own CPU time, both
 *                      in nanoseconds, and how often it has done it
 *
 * In each round two functions do the same thing, the first three times as much as the second: so
 * whatever is counted or timed, the shares are 3/4 and 1/4 of what both do.
 *
 *   waits for time       wait_for_disk, wait_for_peer    30 ms, 10 ms
 *   waits for a lock     update_index, read_index        30 ms, 10 ms, held by hold_index
 *   page faults          warm_cache, copy_reply          30, 10 new pages
 *   allocations          fill_cache, build_reply         3, 1 blocks of 1000 bytes, by functions
 *                                                        that call each other in some libraries
 *   system calls         ask_often, ask_once             30, 10 of getppid(2)
 *
 * Most libraries keep no frame pointers, and what has no frame hides its caller: so between each of
 * these functions and the library stands a level that is hidden.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
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

NOINLINE static void *get_zeros(void)
{
    void *block = calloc(BLOCK / 10, 10);
    sink++;
    return block;
}

NOINLINE static void *get_more(void *block)
{
    block = realloc(block, BLOCK);
    sink++;
    return block;
}

NOINLINE static void *get_aligned(void)
{
    void *block = NULL;
    if (posix_memalign(&block, 64, BLOCK))
        exit(1);
    sink++;
    return block;
}

NOINLINE void fill_cache(void **blocks)
{
    blocks[0] = get_block();
    blocks[1] = get_zeros();
    blocks[2] = get_more(NULL);
    sink++;
}

NOINLINE void build_reply(void **blocks)
{
    blocks[3] = get_aligned();
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

#define MANY 1000

static sem_t ping, pong;

static long now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* The other side of a switch: one CPU for both, so that each wait is a switch. */
static void *answer(void *unused)
{
    for (;;) {
        sem_wait(&ping);
        sem_post(&pong);
    }
    return unused;
}

static void prepare_switches(void)
{
    pthread_t other;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    sem_init(&ping, 0, 0);
    sem_init(&pong, 0, 0);
    if (pthread_create(&other, NULL, answer, NULL))
        exit(1);
}

NOINLINE void count_compute(void)
{
    for (int i = 0; i < MANY * 10; i++)
        sink += (unsigned long)(i * i);
}

NOINLINE void count_switch(void)
{
    for (int i = 0; i < MANY / 2; i++) {
        sem_post(&ping);
        sem_wait(&pong);
    }
}

NOINLINE void count_fault(void)
{
    char *pages = mmap(NULL, MANY * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        exit(1);
    madvise(pages, MANY * PAGE, MADV_NOHUGEPAGE);
    for (int i = 0; i < MANY; i++)
        touch(pages + i * PAGE);
    munmap(pages, MANY * PAGE);
}

NOINLINE void count_malloc(void)
{
    for (int i = 0; i < MANY; i++)
        free(get_block());
}

NOINLINE void count_syscall(void)
{
    for (int i = 0; i < MANY; i++)
        ask();
}

static int count(const char *kind)
{
    static const struct {
        const char *name;
        void (*work)(void);
    } kinds[] = {
        {"compute", count_compute}, {"switch", count_switch},   {"fault", count_fault},
        {"malloc", count_malloc},   {"syscall", count_syscall},
    };
    void (*work)(void) = NULL;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, kind))
            work = kinds[i].work;
    if (!work)
        return 2;
    if (work == count_switch)
        prepare_switches();
    setlinebuf(stdout);
    for (long done = 0, told = 0;; done += MANY) {
        long now = now_ns(CLOCK_MONOTONIC);
        if (now - told >= 100000000L) {
            printf("%ld %ld %ld\n", now, now_ns(CLOCK_PROCESS_CPUTIME_ID), done);
            told = now;
        }
        work();
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "count"))
        return count(argv[2]);
    for (;;)
        handle_round();
}
