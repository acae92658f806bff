/*
 * Stands in for async-profiler's library, which is in no archive that tests may take it from: a JVM
 * loads it and calls it with the same words. It samples nothing, and needs no header of Java's.
 *
 *   start,event=cpu-clock  is refused, as where perf_event_open(2) may not be used
 *   start,event=EVENT,timeout=S  begins, unless it has begun; it is over S seconds later
 *   stop,file=F,collapsed,samples|total  writes stacks; their weights are the ms, or ns, since then
 *   version,file=F  writes "stand-in"
 *   log=F  is where it says what it has to say: standard output, if not given
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, REFUSED = 200 };

static double begun_s, over_s;
static char event[32];

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static FILE *open_or(const char *path, FILE *otherwise)
{
    FILE *opened = path && strcmp(path, "stdout") ? fopen(path, "w") : NULL;
    return opened ? opened : otherwise;
}

static void shut(FILE *file)
{
    if (file != stdout)
        fclose(file);
    else
        fflush(stdout);
}

static int refuse(FILE *log, const char *why)
{
    fprintf(log, "[ERROR] %s\n", why);
    return REFUSED;
}

static int start(FILE *log, const char *wanted, double timeout_s)
{
    if (begun_s && now_s() < over_s)
        return refuse(log, "Profiler already started");
    if (!strcmp(wanted, "cpu-clock"))
        return refuse(log, "Perf events unavailable");
    if (strcmp(wanted, "ctimer") && strcmp(wanted, "wall") && strcmp(wanted, "lock"))
        return refuse(log, "Unsupported event type");
    snprintf(event, sizeof event, "%s", wanted);
    begun_s = now_s();
    over_s = begun_s + timeout_s;
    fprintf(log, "Profiling started\n");
    return OK;
}

static int stop(FILE *log, FILE *out, int by_ns)
{
    double until_s = now_s() < over_s ? now_s() : over_s;
    long long each = (until_s - begun_s) * (by_ns ? 1e9 : 1e3);

    if (!begun_s)
        return refuse(log, "Profiler has not started");
    over_s = 0;
    fprintf(out, "[server tid=13];App.main_[0];App.handleRequest_[j];App.renderReply_[i] %lld\n", each * 3);
    fprintf(out, "[server tid=13];App.main_[0];App.handleRequest_[j];App.parseRequest_[1] %lld\n", each);
    return OK;
}

__attribute__((visibility("default"))) int Agent_OnAttach(void *vm, char *options, void *reserved)
{
    char *text = strdup(options ? options : ""), *rest = NULL, *word;
    const char *action = "", *wanted = "", *file = NULL, *log_path = NULL;
    double timeout_s = 1e9;
    int by_ns = 0, code = OK;
    FILE *log, *out;

    (void)vm;
    (void)reserved;
    for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(word, '=');
        if (value)
            *value++ = 0;
        if (!strcmp(word, "start") || !strcmp(word, "stop") || !strcmp(word, "version"))
            action = word;
        else if (!strcmp(word, "event") && value)
            wanted = value;
        else if (!strcmp(word, "timeout") && value)
            timeout_s = atof(value);
        else if (!strcmp(word, "file"))
            file = value;
        else if (!strcmp(word, "log"))
            log_path = value;
        else if (!strcmp(word, "total"))
            by_ns = 1;
    }
    log = open_or(log_path, stdout);
    out = open_or(file, log);
    if (!strcmp(action, "start"))
        code = start(log, wanted, timeout_s);
    else if (!strcmp(action, "stop"))
        code = stop(log, out, by_ns);
    else
        fprintf(out, "stand-in");
    if (out != log)
        shut(out);
    shut(log);
    free(text);
    return code;
}
