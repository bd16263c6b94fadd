/*
 * condition.c - see condition.h. The expression is compiled by libjq behind a line of definitions, the prelude:
 *
 *     def now: refused_now; def env: refused_env; ... null as $ENV | EXPRESSION
 *
 * jq leaves definitions that nobody uses out before it looks for names that are not defined (block_bind_referenced in its
 * grammar's rule for FuncDef; jq 1.6, which the tests have). So an expression that says `now` does not compile, and the name that is missing tells which it was; `.now`, a member, is none of its business.
 * Behind a definition the words import and include are no longer grammar. $ENV is no function: it is looked for in the text,
 * and bound besides.
 */
#include "stage/condition.h"

#include <ctype.h>
#include <jq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/record.h"

enum {
    FAULT_MAX = 256, /* bytes of jq's sentence, its NUL included */
    LINE_MAX_INT = INT32_MAX
};

struct psa_condition {
    jq_state *jq;
    const char *expression;
    struct psa_buf line;
    char fault[FAULT_MAX];
};

/* What looks at the world, and why it is refused. `of`: with arguments, if there is such a form. */
static const char clock_or_zone[] = "it reads a clock or a time zone; use .timestamp_ns";
static const char environment[] = "it reads the environment or files";
static const char input_output[] = "it reads or writes elsewhere, or ends the program";
static const struct refusal {
    const char *name, *of, *why;
} refusals[] = {
    { "now", NULL, clock_or_zone },
    { "localtime", NULL, clock_or_zone },
    { "strflocaltime", "(f)", clock_or_zone },
    { "env", NULL, environment },
    { "modulemeta", NULL, environment },
    { "get_search_list", NULL, environment },
    { "get_prog_origin", NULL, environment },
    { "get_jq_origin", NULL, environment },
    { "input", NULL, input_output },
    { "inputs", NULL, input_output },
    { "input_filename", NULL, input_output },
    { "input_line_number", NULL, input_output },
    { "debug", NULL, input_output },
    { "debug", "(f)", input_output },
    { "stderr", NULL, input_output },
    { "halt", NULL, input_output },
    { "halt_error", NULL, input_output },
    { "halt_error", "(f)", input_output },
};
enum { REFUSALS = sizeof refusals / sizeof *refusals };

/* %s, %Z and %z take the time zone of the machine. A definition's own name means itself, hence the second names. And what
 * libjq 1.6 ends the program by, on an assertion or for memory, becomes an error here: strftime of a number whose year no
 * int holds (gmtime says so), indices of an empty text. */
static const char dates[] =
    "def psa_zoneless(f; $bad): f | if type == \"string\" and test(\"%[-_0-9^#EO]*[\" + $bad + \"]\") "
    "then error(\"%\" + $bad[:1] + \" reads the time zone of the machine\") else . end; "
    "def psa_strftime(f): if type == \"number\" then gmtime else . end | strftime(f); "
    "def strftime(f): psa_strftime(psa_zoneless(f; \"sZz\")); "
    "def todateiso8601: strftime(\"%Y-%m-%dT%H:%M:%SZ\"); def todate: todateiso8601; def date: todateiso8601; "
    "def psa_strptime(f): strptime(f); def strptime(f): psa_strptime(psa_zoneless(f; \"s\")); ";

static const char texts[] = "def psa_sought: if . == \"\" then error(\"an empty text is nowhere\") else . end; "
                            "def psa_indices($i): indices($i); def indices($i): psa_indices($i | psa_sought); "
                            "def psa_index($i): index($i); def index($i): psa_index($i | psa_sought); "
                            "def psa_rindex($i): rindex($i); def rindex($i): psa_rindex($i | psa_sought); ";

static const char refused[] = "psa_refuses_";

static void put_prelude(struct psa_buf *program)
{
    for (size_t i = 0; i < REFUSALS; i++) {
        const struct refusal *refusal = &refusals[i];

        psa_buf_puts(program, "def ");
        psa_buf_puts(program, refusal->name);
        if (refusal->of) psa_buf_puts(program, refusal->of);
        psa_buf_puts(program, ": ");
        psa_buf_puts(program, refused);
        psa_buf_puts(program, refusal->name);
        psa_buf_puts(program, "; ");
    }
    psa_buf_puts(program, dates);
    psa_buf_puts(program, texts);
    psa_buf_puts(program, "null as $ENV | ");
}

/* ---- messages ------------------------------------------------------------------------------------------------------------ */

/* One line of jq's without what a person cannot read. */
static void clean(const char *text, size_t n, char out[FAULT_MAX])
{
    size_t kept = 0;

    for (size_t i = 0; i < n && kept < FAULT_MAX - 1; i++)
        out[kept++] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    while (kept && kept == FAULT_MAX - 1 && ((unsigned char)out[kept - 1] & 0x80)) kept--; /* a character cut in two */
    out[kept] = 0;
}

/* jq tells of a fault in several lines; the first says it: `jq: error: WHAT at <top-level>, line 2:`. */
static void keep_message(void *ctx, jv message)
{
    struct psa_condition *condition = ctx;
    jv shown = jv_get_kind(message) == JV_KIND_STRING ? message : jv_dump_string(message, 0);
    const char *text = jv_string_value(shown), *end, *at;

    if (!*condition->fault) {
        if (strncmp(text, "jq: ", 4) == 0) text += 4;
        if (strncmp(text, "error: ", 7) == 0) text += 7;
        end = text + strcspn(text, "\n");
        at = strstr(text, " at <top-level>");
        if (at && at < end && !strchr(condition->expression, '\n')) end = at; /* there is but one line */
        if (end > text && end[-1] == ':') end--;
        clean(text, (size_t)(end - text), condition->fault);
    }
    jv_free(shown);
}

static const struct refusal *refusal_of(const char *message)
{
    size_t n = strcspn(message, "/");
    const char *name = message + sizeof refused - 1;

    if (strncmp(message, refused, sizeof refused - 1) != 0) return NULL;
    for (size_t i = 0; i < REFUSALS; i++)
        if (strlen(refusals[i].name) == n - (sizeof refused - 1) &&
            strncmp(refusals[i].name, name, strlen(refusals[i].name)) == 0)
            return &refusals[i];
    return NULL;
}

static int refuse(const struct psa_condition *condition, const char *option, struct psa_error *error)
{
    const struct refusal *refusal = refusal_of(condition->fault);
    char shown[FAULT_MAX];

    clean(condition->expression, strlen(condition->expression), shown);
    if (refusal)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%s: '%s' has no place in a condition, which must mean the same in a "
                        "replay: %s",
                        option, refusal->name, refusal->why);
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: jq cannot read '%s': %s", option, shown,
                    *condition->fault ? condition->fault : "no expression");
}

/* ---- making -------------------------------------------------------------------------------------------------------------- */

/* Even within a string, where `"\($ENV)"` reads it too. */
static bool names_environment(const char *expression)
{
    for (const char *p = expression; (p = strchr(p, '$'));) {
        for (p++; isspace((unsigned char)*p);) p++;
        if (strncmp(p, "ENV", 3) == 0 && !isalnum((unsigned char)p[3]) && p[3] != '_') return true;
    }
    return false;
}

static int compile(struct psa_condition *condition, const char *option, struct psa_error *error)
{
    struct psa_buf program = { 0 };
    int status = 0;

    if (!condition->expression[strspn(condition->expression, " \t\r\n")])
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: the expression is empty", option);
    if (names_environment(condition->expression))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%s: '$ENV' has no place in a condition, which must mean the same in a replay: %s", option,
                        environment);
    condition->jq = jq_init();
    put_prelude(&program);
    psa_buf_puts(&program, condition->expression);
    psa_buf_put(&program, "", 1);
    if (!condition->jq || program.failed) {
        status = psa_fail_memory(error, "compiling a condition");
    } else {
        jq_set_error_cb(condition->jq, keep_message, condition);
        if (!jq_compile(condition->jq, program.p)) status = refuse(condition, option, error);
    }
    psa_buf_free(&program);
    return status;
}

struct psa_condition *psa_condition_new(const char *option, const char *expression, struct psa_error *error)
{
    struct psa_condition *condition = calloc(1, sizeof *condition);

    if (!condition) {
        psa_fail_memory(error, "compiling a condition");
        return NULL;
    }
    condition->expression = expression;
    if (compile(condition, option, error) == 0) return condition;
    psa_condition_free(condition);
    return NULL;
}

void psa_condition_free(struct psa_condition *condition)
{
    if (!condition) return;
    if (condition->jq) jq_teardown(&condition->jq);
    psa_buf_free(&condition->line);
    free(condition);
}

const char *psa_condition_text(const struct psa_condition *condition)
{
    return condition->expression;
}

/* ---- asking -------------------------------------------------------------------------------------------------------------- */

/* The value is no output: the end, or jq's word of why there is none. */
static bool take_fault(struct psa_condition *condition, jv value, const char **fault)
{
    jv message = jv_invalid_get_msg(value);

    if (jv_get_kind(message) == JV_KIND_NULL) {
        jv_free(message);
        return false;
    }
    *condition->fault = 0;
    keep_message(condition, message);
    *fault = condition->fault;
    return false;
}

bool psa_condition_holds(struct psa_condition *condition, const struct psa_record *record, const char **fault)
{
    condition->line.n = 0;
    psa_encode(record, &condition->line);
    if (!condition->line.failed) return psa_condition_holds_text(condition, psa_buf_str(&condition->line), fault);
    psa_buf_free(&condition->line); /* the next record may be shorter */
    *fault = "memory is out";
    return false;
}

bool psa_condition_holds_text(struct psa_condition *condition, struct psa_str text, const char **fault)
{
    jv value;
    jv_kind kind;

    *fault = NULL;
    if (text.n > LINE_MAX_INT) {
        *fault = "the record is too long for jq";
        return false;
    }
    value = jv_parse_sized(text.p, (int)text.n);
    if (!jv_is_valid(value)) return take_fault(condition, value, fault);
    jq_start(condition->jq, value, 0);
    value = jq_next(condition->jq);
    if (!jv_is_valid(value)) return take_fault(condition, value, fault);
    kind = jv_get_kind(value);
    jv_free(value);
    return kind != JV_KIND_FALSE && kind != JV_KIND_NULL;
}
