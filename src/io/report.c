/* report.c - see report.h. */
#include "io/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"

/* Is stderr the journal? systemd names its device and inode in JOURNAL_STREAM (systemd.exec(5)). */
static bool journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

/* Bytes of the character at p that a terminal may show: one of UTF-8 and no control character; 0: none. */
static size_t shown_bytes(const char *p, size_t left)
{
    const unsigned char c = (unsigned char)*p;

    if (c < 0x80) return c >= 0x20 && c != 0x7f;
    if (c == 0xc2 && left > 1 && (unsigned char)p[1] < 0xa0) return 0; /* U+0080 to U+009F */
    return psa_utf8_length(p, left);
}

/* One line, whole, in one write. */
static void print(int priority, const char *name, const char *place, const char *text)
{
    char line[1600];
    int n = snprintf(line, sizeof line - 1, "%s%s: %s%s", journal() ? priority == 3 ? "<3>" : "<4>" : "", name, place,
                     text);

    if (n > (int)sizeof line - 2) n = (int)sizeof line - 2;
    for (int i = 0; i < n;) {
        const size_t shown = shown_bytes(line + i, (size_t)(n - i));

        if (!shown) line[i] = '?';
        i += shown ? (int)shown : 1;
    }
    line[n++] = '\n';
    (void)!write(STDERR_FILENO, line, (size_t)n); /* with stderr gone there is nobody left to tell */
}

static size_t find(const struct psa_report *report, const char *name, const char *cause)
{
    size_t i = 0;

    while (i < report->n && (strcmp(report->of[i].name, name) != 0 || strcmp(report->of[i].cause, cause) != 0)) i++;
    return i;
}

static uint64_t count(struct psa_report *report, const char *name, const char *cause)
{
    size_t i = find(report, name, cause);

    if (i == report->n) {
        if (i == PSA_REPORT_CAUSES) return ++report->of[PSA_REPORT_CAUSES - 1].n;
        report->of[i].name = name;
        snprintf(report->of[i].cause, sizeof report->of[i].cause, "%s", cause);
        report->n++;
    }
    return ++report->of[i].n;
}

void psa_report_say(struct psa_report *report, const char *name, const char *source, uint64_t line, const char *cause,
                    const char *text)
{
    char place[300] = "";

    if (count(report, name, cause) > PSA_REPORT_SHOWN) return;
    if (source && line) snprintf(place, sizeof place, "%s:%llu: ", source, (unsigned long long)line);
    else if (source) snprintf(place, sizeof place, "%s: ", source);
    print(4, name, place, text);
}

static void say_total(const struct psa_report *report, size_t i)
{
    char text[200];

    if (report->of[i].n <= PSA_REPORT_SHOWN) return;
    snprintf(text, sizeof text, "%llu such messages in all (the first %d were shown)",
             (unsigned long long)report->of[i].n, PSA_REPORT_SHOWN);
    psa_report_say(&(struct psa_report){ 0 }, report->of[i].name, report->of[i].cause, 0, "", text);
}

void psa_report_mended(struct psa_report *report, const char *name, const char *cause)
{
    size_t i = find(report, name, cause);

    if (i == report->n) return;
    say_total(report, i);
    report->of[i].n = 0;
}

void psa_report_totals(struct psa_report *report)
{
    for (size_t i = 0; i < report->n; i++) say_total(report, i);
}

void psa_report_error(const char *name, const struct psa_error *error)
{
    print(3, name, "", error->text);
}
