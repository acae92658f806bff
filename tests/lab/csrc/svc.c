/* The program in the lab's target containers: known functions with known shares of CPU time.
 *
 *   svc serve PER_MILLE   handle requests for ever, using PER_MILLE/1000 of a core
 *   svc deep DEPTH PER_MILLE   the same work, DEPTH calls below main
 *   svc burn SECONDS      handle requests without a pause, then exit 0
 *
 * A request costs 2 + 6 + 2 units of the same leaf in three callers, and one twentieth of its
 * time in the kernel. Work is measured in CPU time of the thread once, at the start, so the
 * shares hold on any machine.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define UNIT_NS 100000L     /* one unit of user work */
#define KERNEL_NS 52600L    /* a twentieth of (10 units + itself) */
#define CHUNK 16384

static volatile unsigned long sink;
static long loops_per_unit = 10000;
static long reads_per_request = 1;
static int zero_fd = -1;
static char chunk[CHUNK];
static unsigned int jitter = 12345;

static long now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

NOINLINE void hot_leaf(long loops)
{
    for (long i = 0; i < loops; i++)
        sink += (unsigned long)(i * i);
}

NOINLINE void parse_request(void)
{
    hot_leaf(2 * loops_per_unit);
    sink++;
}

NOINLINE void render_reply(void)
{
    for (int part = 0; part < 6; part++)
        hot_leaf(loops_per_unit);
    sink++;
}

NOINLINE void compress_body(void)
{
    hot_leaf(2 * loops_per_unit);
    sink++;
}

/* A level between write_log and read(2): libc's read has no frame, which hides its caller. */
NOINLINE void drain(void)
{
    if (read(zero_fd, chunk, CHUNK) != CHUNK)
        sink++;
    sink++;
}

NOINLINE void write_log(void)
{
    for (long i = 0; i < reads_per_request; i++)
        drain();
    sink++;
}

NOINLINE void handle_request(void)
{
    parse_request();
    render_reply();
    compress_body();
    write_log();
    sink++;
}

static long timed(void (*work)(long), long amount)
{
    long best = 0;
    for (int i = 0; i < 5; i++) {
        long start = now_ns(CLOCK_THREAD_CPUTIME_ID);
        work(amount);
        long took = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
        if (!best || took < best)
            best = took;
    }
    return best > 0 ? best : 1;
}

static void many_drains(long n)
{
    while (n-- > 0)
        drain();
}

static void calibrate(void)
{
    zero_fd = open("/dev/zero", O_RDONLY);
    loops_per_unit = (long)(1000000.0 * UNIT_NS / timed(hot_leaf, 1000000)) + 1;
    reads_per_request = (long)(200.0 * KERNEL_NS / timed(many_drains, 200) + 0.5);
    if (reads_per_request < 1)
        reads_per_request = 1;
}

/* Keeps the work out of step with a profiler's clock. */
static unsigned int any(unsigned int below)
{
    jitter = jitter * 1103515245u + 12345u;
    return (jitter >> 16) % below;
}

/* Sleeps so that busy_ns is per_mille of the whole. */
static void rest(long busy_ns, long per_mille)
{
    if (per_mille >= 1000)
        return;
    double pause = (double)busy_ns * (1000 - per_mille) / per_mille;
    pause *= 0.5 + any(1000) / 1000.0;
    struct timespec t = {(time_t)(pause / 1e9), (long)pause % 1000000000L};
    nanosleep(&t, NULL);
}

NOINLINE int serve(long per_mille, double seconds)
{
    long end = now_ns(CLOCK_MONOTONIC) + (long)(seconds * 1e9);
    while (seconds <= 0 || now_ns(CLOCK_MONOTONIC) < end) {
        long start = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (unsigned int i = 3 + any(9); i > 0; i--)
            handle_request();
        rest(now_ns(CLOCK_THREAD_CPUTIME_ID) - start, per_mille);
    }
    sink++;
    return 0;
}

NOINLINE int descend(long depth, long per_mille)
{
    int code = depth > 0 ? descend(depth - 1, per_mille) : serve(per_mille, 0);
    sink++;
    return code;
}

int main(int argc, char **argv)
{
    jitter += (unsigned int)getpid() * 7919u;
    calibrate();
    if (argc == 3 && !strcmp(argv[1], "serve"))
        return serve(atol(argv[2]), 0);
    if (argc == 4 && !strcmp(argv[1], "deep"))
        return descend(atol(argv[2]), atol(argv[3]));
    if (argc == 3 && !strcmp(argv[1], "burn"))
        return serve(1000, atof(argv[2]));
    return 2;
}
