/*
 * acking_sink.c - a sink for psa-spool that remembers: what it is given goes into a log, and only then is counted on stdout.
 *
 *     acking_sink LOG [refuse=M] [die=P] [late=P] [seed=N] [end=N]
 *
 *     refuse=M   a record whose "n" is a multiple of M can never be delivered: `!N`, and `!` before it in the log
 *     die=P      of 1000 batches P end in its death: before, within or after the log, before or after the count, with some
 *                exit status or by SIGKILL
 *     late=P     of 1000 counts P come 20 ms late
 *     end=N      it takes N records, in this and earlier runs, and no more: it exits with status 1
 *
 * The log starts a run with a line `# start PID`. Two runs never overlap: a lock on the log makes the second wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t random_state = 1;
static unsigned long refuse, die, late, limit;
static unsigned long already; /* records in the log */
static int to_log;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void put(int fd, const char *from, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, from, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) exit(1);
        from += done;
        n -= (size_t)done;
    }
}

static void perish(void)
{
    if (next_random() % 2) raise(SIGKILL);
    _exit((int)(next_random() % 256));
}

static int is_refused(const char *line)
{
    const char *n = refuse ? strstr(line, "\"n\":") : NULL;
    return n && strtoul(n + 4, NULL, 10) % refuse == 0;
}

/* Handle `lines` complete lines in text[0..n). */
static void take(char *text, size_t n, uint64_t *count)
{
    static char said[1 << 16];
    char *log = malloc(2 * n + 1);
    size_t logged = 0, refusals = 0;
    int doom = die && next_random() % 1000 < die ? (int)(next_random() % 4) : -1;
    if (!log) exit(1);
    if (doom == 0) perish();
    for (char *line = text, *lf; line < text + n && (!limit || already < limit); line = lf + 1, already++) {
        lf = memchr(line, '\n', (size_t)(text + n - line));
        *lf = '\0';
        ++*count;
        if (is_refused(line)) {
            log[logged++] = '!';
            refusals += (size_t)snprintf(said + refusals, sizeof said - refusals, "!%llu refused\n",
                                         (unsigned long long)*count);
        }
        *lf = '\n';
        memcpy(log + logged, line, (size_t)(lf - line) + 1);
        logged += (size_t)(lf - line) + 1;
        if (doom == 1 && (next_random() % 4 == 0 || lf + 1 == text + n)) {
            put(to_log, log, logged);
            perish();
        }
    }
    put(to_log, log, logged);
    free(log);
    if (doom == 2) perish();
    if (late && next_random() % 1000 < late) poll(NULL, 0, 20);
    refusals += (size_t)snprintf(said + refusals, sizeof said - refusals, "%llu\n", (unsigned long long)*count);
    put(1, said, refusals);
    if (doom == 3) perish();
    if (limit && already >= limit) exit(1);
}

static void count_log(const char *name)
{
    char *line = NULL;
    size_t room = 0;
    FILE *log = fopen(name, "r");
    if (!log) exit(1);
    while (getline(&line, &room, log) > 0) already += line[0] != '#';
    free(line);
    fclose(log);
}

static void start(int argc, char **argv)
{
    char line[64];
    struct stat st;
    if (argc < 2) exit(2);
    for (int i = 2; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        unsigned long n = value ? strtoul(value + 1, NULL, 10) : 0;
        if (argv[i][0] == 'r') refuse = n;
        if (argv[i][0] == 'd') die = n;
        if (argv[i][0] == 'l') late = n;
        if (argv[i][0] == 's') random_state = n << 32;
        if (argv[i][0] == 'e') limit = n;
    }
    to_log = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (to_log < 0 || flock(to_log, LOCK_EX) != 0 || fstat(to_log, &st) != 0) exit(1);
    random_state += (uint64_t)st.st_size; /* another run, another fate */
    if (limit) count_log(argv[1]);
    put(to_log, line, (size_t)snprintf(line, sizeof line, "# start %ld\n", (long)getpid()));
    if (limit && already >= limit) exit(1);
}

int main(int argc, char **argv)
{
    static char text[1 << 21];
    size_t held = 0;
    uint64_t count = 0;
    start(argc, argv);
    for (;;) {
        ssize_t n = read(0, text + held, sizeof text - held);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return 1;
        if (n == 0) return held != 0; /* half a line is never counted */
        held += (size_t)n;
        char *last = memrchr(text, '\n', held);
        if (!last && held == sizeof text) return 1;
        if (!last) continue;
        size_t whole = (size_t)(last - text) + 1;
        take(text, whole, &count);
        memmove(text, text + whole, held - whole);
        held -= whole;
    }
}
