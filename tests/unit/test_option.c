/* test_option.c - the option table: values with units, defaults, limits, parsing, the canonical text, --help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "core/option.h"

struct config {
    bool verbose;
    const char *label;
    int64_t count, wait_ns, bytes;
    double gain, rate_hz;
    struct psa_span length;
    char taken[64];
    bool count_given;
};

static int take(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct config *c = config;

    if (value && strcmp(value, "bad") == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is refused", option->name, value);
    strncat(c->taken, value ? value : "!", sizeof c->taken - strlen(c->taken) - 1);
    return 0;
}

#define AT(member) .offset = offsetof(struct config, member)
static const struct psa_option table[] = {
    { "verbose", 'v', PSA_OPT_FLAG, AT(verbose), .help = "say more", .free_of_state = true },
    { "label", 0, PSA_OPT_TEXT, AT(label), .metavar = "TEXT", .help = "what to call it" },
    { "count", 'n', PSA_OPT_COUNT, AT(count), .metavar = "N", .initial = "3", .help = "how many", .min = 1, .max = 10,
      .given = offsetof(struct config, count_given) },
    { "wait", 0, PSA_OPT_DURATION, AT(wait_ns), .metavar = "TIME", .initial = "250ms", .help = "how long" },
    { "bytes", 0, PSA_OPT_SIZE, AT(bytes), .metavar = "SIZE", .initial = "1MiB", .help = "how much" },
    { "gain", 0, PSA_OPT_REAL, AT(gain), .metavar = "X", .initial = "0.5", .help = "times", .min = -1, .max = 1 },
    { "rate", 0, PSA_OPT_RATE, AT(rate_hz), .metavar = "HZ", .help = "how often" },
    { "length", 'l', PSA_OPT_SPAN, AT(length), .metavar = "LENGTH", .initial = "1s", .help = "a count or a duration" },
    { "add", 0, PSA_OPT_CALL, .metavar = "WORD", .help = "add a word", .take = take },
    { "bang", 0, PSA_OPT_CALL, .help = "add a bang", .take = take },
    { "list", 0, PSA_OPT_ASK, .help = "print a list", .asks = 'l' },
    { .type = PSA_OPT_END },
};

static struct config config;
static struct psa_error error;
static struct psa_buf canonical;
static int operand;
static char asked;

static int parse(char **argv)
{
    struct psa_option_set set = { table, &config };
    int argc = 0;

    while (argv[argc]) argc++;
    memset(&config, 0, sizeof config);
    memset(&error, 0, sizeof error);
    canonical.n = 0;
    return psa_options_parse(&set, 1, argc, argv, &operand, &asked, &canonical, &error);
}
#define PARSE(...) parse((char *[]){ "psa-test", __VA_ARGS__, NULL })

static int free_canonical(void **state)
{
    (void)state;
    psa_buf_free(&canonical);
    return 0;
}

static void defaults_apply(void **state)
{
    (void)state;
    assert_int_equal(parse((char *[]){ "psa-test", NULL }), 0);
    assert_false(config.verbose);
    assert_null(config.label);
    assert_int_equal(config.count, 3);
    assert_int_equal(config.wait_ns, 250000000);
    assert_int_equal(config.bytes, 1048576);
    assert_true(config.gain == 0.5);
    assert_true(config.rate_hz == 0);
    assert_false(config.length.by_count);
    assert_int_equal(config.length.value, 1000000000);
    assert_int_equal(operand, 1);
    assert_int_equal(asked, 0);
}

static void arguments_count_over_defaults(void **state)
{
    (void)state;
    assert_int_equal(PARSE("file1", "-v", "--label", "x y", "-n5", "--wait=1.5s", "--bytes", "64KiB", "--gain", "-0.25",
                           "--rate", "1.5kHz", "-l", "100", "file2"),
                     0);
    assert_true(config.verbose);
    assert_string_equal(config.label, "x y");
    assert_int_equal(config.count, 5);
    assert_int_equal(config.wait_ns, 1500000000);
    assert_int_equal(config.bytes, 65536);
    assert_true(config.gain == -0.25);
    assert_true(config.rate_hz == 1500);
    assert_true(config.length.by_count);
    assert_int_equal(config.length.value, 100);
    assert_int_equal(operand, 14);
}

static void operands_follow_two_dashes(void **state)
{
    (void)state;
    assert_int_equal(PARSE("-v", "--", "-n", "--label"), 0);
    assert_int_equal(operand, 3);
    assert_int_equal(config.count, 3);
    assert_int_equal(PARSE("-", "-v"), 0);
    assert_int_equal(operand, 2);
    assert_true(config.verbose);
}

static void parsing_starts_anew_each_time(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(PARSE("a", "-n", "7", "b"), 0);
        assert_int_equal(config.count, 7);
        assert_int_equal(operand, 3);
    }
}

static void help_and_version_are_asked(void **state)
{
    (void)state;
    assert_int_equal(PARSE("-h"), 0);
    assert_int_equal(asked, 'h');
    assert_int_equal(PARSE("--version"), 0);
    assert_int_equal(asked, 'V');
}

static void calls_come_in_order(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--add", "a", "--bang", "--add=b"), 0);
    assert_string_equal(config.taken, "a!b");
    assert_int_equal(PARSE("--add", "bad"), -1);
    assert_string_equal(error.text, "--add: 'bad' is refused");
}

static void assert_usage_error(char **argv, const char *named)
{
    assert_int_equal(parse(argv), -1);
    assert_int_equal(error.status, PSA_EXIT_PERMANENT);
    if (!strstr(error.text, named)) fail_msg("'%s' does not name %s", error.text, named);
}
#define ASSERT_USAGE(named, ...) assert_usage_error((char *[]){ "psa-test", __VA_ARGS__, NULL }, named)

static void mistakes_are_named(void **state)
{
    (void)state;
    ASSERT_USAGE("--nonsense", "--nonsense");
    ASSERT_USAGE("-x", "-x");
    ASSERT_USAGE("--label", "--label");
    ASSERT_USAGE("--count", "--count", "many");
    ASSERT_USAGE("--count", "--count", "0");
    ASSERT_USAGE("--count", "--count", "11");
    ASSERT_USAGE("--count", "--count", "1.5");
    ASSERT_USAGE("--count", "--count", "");
    ASSERT_USAGE("--count", "--count", "99999999999999999999");
    ASSERT_USAGE("--wait", "--wait", "5 s");
    ASSERT_USAGE("--wait", "--wait", "5parsec");
    ASSERT_USAGE("--wait", "--wait", "1e30s");
    ASSERT_USAGE("--wait", "--wait", "s");
    ASSERT_USAGE("--bytes", "--bytes", "1XiB");
    ASSERT_USAGE("--gain", "--gain", "1,5");
    ASSERT_USAGE("--gain", "--gain", "nan");
    ASSERT_USAGE("--gain", "--gain", "1.01");
    ASSERT_USAGE("--rate", "--rate", "10rpm");
    ASSERT_USAGE("--length", "--length", "0");
    ASSERT_USAGE("--length", "--length", "-1s");
    ASSERT_USAGE("--length", "--length", "0.1ns");
}

/* What is too large for any range is a number all the same, and bounds are written as one would give them. */
static void ranges_are_readable(void **state)
{
    static const struct psa_option ranges[] = {
        { "pause", 0, PSA_OPT_DURATION, AT(wait_ns), .metavar = "TIME", .min = 1e5, .max = 86400e9 },
        { "start", 0, PSA_OPT_DURATION, AT(wait_ns), .metavar = "TIME", .min = 0, .max = 90e9 },
        { "most", 0, PSA_OPT_DURATION, AT(wait_ns), .metavar = "TIME", .min = 1, .max = 9e18 },
        { "rate", 0, PSA_OPT_RATE, AT(rate_hz), .metavar = "HZ", .min = 0.5, .max = 1e4 },
        { "count", 0, PSA_OPT_COUNT, AT(count), .metavar = "N", .min = 1, .max = 1e6 },
        { "gain", 0, PSA_OPT_REAL, AT(gain), .metavar = "X", .min = -1, .max = 1 },
        { "bytes", 0, PSA_OPT_SIZE, AT(bytes), .metavar = "SIZE" },
        { "length", 0, PSA_OPT_SPAN, AT(length), .metavar = "LENGTH" },
    };
    static const struct {
        size_t option;
        const char *text, *message;
    } cases[] = {
        { 0, "1ns", "x: '1ns' is not within 100us to 1d" },
        { 1, "2h", "x: '2h' is not within 0s to 90s" },
        { 2, "0", "x: '0' is not within 1ns to 2500000h" },
        { 0, "1e30s", "x: '1e30s' is too large" },
        { 0, "-1e999", "x: '-1e999' is too large" },
        { 3, "20kHz", "x: '20kHz' is not within 0.5 to 10000 Hz" },
        { 3, "1e400Hz", "x: '1e400Hz' is too large" },
        { 4, "0", "x: '0' is not within 1 to 1000000" },
        { 4, "99999999999999999999", "x: '99999999999999999999' is too large" },
        { 4, "-99999999999999999999", "x: '-99999999999999999999' is too large" },
        { 4, "1e3", "x: '1e3' is no whole number" },
        { 4, "-", "x: '-' is no whole number" },
        { 5, "1e999", "x: '1e999' is too large" },
        { 5, "1x", "x: '1x' is no number" },
        { 6, "1e40GB", "x: '1e40GB' is too large" },
        { 7, "99999999999999999999", "x: '99999999999999999999' is too large" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(psa_option_store(&ranges[cases[i].option], &config, "x", cases[i].text, &error), -1);
        assert_string_equal(error.text, cases[i].message);
    }
}

/* Like --help: what stands in front is parsed, what comes behind is not looked at. */
static void questions_stop_parsing(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--count", "7", "--list", "--no-such-option"), 0);
    assert_int_equal(asked, 'l');
    assert_int_equal(config.count, 7);
    assert_int_equal(PARSE("--count", "7"), 0);
    assert_int_equal(asked, 0);
}

/* A bare 2 counts samples, so a bare 1.5 or 1e3 must not be seconds; what was probably meant is offered. */
static void spans_without_unit_are_whole_numbers(void **state)
{
    struct psa_span span;

    (void)state;
    ASSERT_USAGE("write 1.5s", "--length", "1.5");
    ASSERT_USAGE("write 1e3s", "--length", "1e3");
    ASSERT_USAGE("write 0.25s", "--length", "0.25");
    ASSERT_USAGE("above zero", "--length", "-1.5");
    assert_int_equal(psa_parse_span("1.5s", "--x", &span, &error), 0);
    assert_false(span.by_count);
    assert_int_equal(span.value, 1500000000);
    assert_int_equal(psa_parse_span("2", "--x", &span, &error), 0);
    assert_true(span.by_count);
    assert_int_equal(span.value, 2);
}

/* An option that would be ignored is refused. */
static void company_is_checked(void **state)
{
    static const struct psa_option apart[] = {
        { "length", 0, PSA_OPT_FLAG, AT(verbose), .help = "a" },
        { "session", 0, PSA_OPT_FLAG, AT(verbose), .help = "b", .not_with = "length" },
        { "stride", 0, PSA_OPT_FLAG, AT(verbose), .help = "c", .needs = "length" },
        { "most", 0, PSA_OPT_FLAG, AT(verbose), .help = "d", .needs = "length|session|absent" },
        { .type = PSA_OPT_END },
    };
    static const struct {
        const char *argument[2], *refused;
    } cases[] = {
        { { "--length", "--stride" }, NULL },
        { { "--length", "--most" }, NULL },
        { { "--most", "--session" }, NULL },
        { { "--session", "--length" }, "--session means nothing beside --length" },
        { { "--session", "--stride" }, "--stride means nothing without --length" },
        { { "--stride", "--most" }, "--stride means nothing without --length" },
        { { "--most", NULL }, "--most means nothing without --length or --session" },
    };
    struct psa_option_set set = { apart, &config };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *argv[] = { "psa-test", (char *)cases[i].argument[0], (char *)cases[i].argument[1], NULL };
        int argc = argv[2] ? 3 : 2;
        int status = psa_options_parse(&set, 1, argc, argv, &operand, &asked, NULL, &error);

        assert_int_equal(status, cases[i].refused ? -1 : 0);
        if (cases[i].refused) assert_string_equal(error.text, cases[i].refused);
    }
}

static void units_multiply(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } durations[] = { { "1", 1000000000 },
                      { "7ns", 7 },
                      { "2us", 2000 },
                      { "0.5ms", 500000 },
                      { "1.5s", 1500000000 },
                      { "2m", 120000000000 },
                      { "1h", 3600000000000 },
                      { "1d", 86400000000000 },
                      { "0", 0 },
                      { "1e3ms", 1000000000 } };
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = { { "512", 512 },     { "1kB", 1000 },        { "1KiB", 1024 },
                  { "1MB", 1000000 }, { "2GiB", 2147483648 }, { "1.5KiB", 1536 } };
    int64_t value;
    double hz;

    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        assert_int_equal(psa_parse_duration(durations[i].text, "--x", &value, &error), 0);
        assert_int_equal(value, durations[i].ns);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(psa_parse_size(sizes[i].text, "--x", &value, &error), 0);
        assert_int_equal(value, sizes[i].bytes);
    }
    assert_int_equal(psa_parse_rate("0.1Hz", "--x", &hz, &error), 0);
    assert_true(hz == 0.1);
}

/* The text that says what a saved state means: every option with a meaning, given or not, in one order. */
static void canonical_text_tells_configurations_apart(void **state)
{
    char *first, *second;

    (void)state;
    assert_int_equal(PARSE("--gain", "0.25", "-n", "4"), 0);
    first = strndup(canonical.p, canonical.n);
    assert_int_equal(PARSE("-n", "4", "-v", "--gain", "0.25", "file"), 0);
    second = strndup(canonical.p, canonical.n);
    assert_string_equal(first, second); /* neither order nor options free of state count */
    free(second);
    assert_int_equal(PARSE("--gain", "25e-2", "-n", "4", "--wait", "0.25s"), 0);
    second = strndup(canonical.p, canonical.n);
    assert_string_equal(first, second); /* nor how a value is written */
    assert_non_null(strstr(first, "--count=4"));
    assert_non_null(strstr(first, "--wait=250000000ns"));
    assert_null(strstr(first, "verbose"));
    free(second);
    assert_int_equal(PARSE("-n", "5", "--gain", "0.25"), 0);
    second = strndup(canonical.p, canonical.n);
    assert_string_not_equal(first, second);
    free(first);
    free(second);
}

static void a_default_typed_is_given(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--wait", "1s"), 0);
    assert_true(config.count == 3 && !config.count_given);
    assert_int_equal(PARSE("-n", "3"), 0);
    assert_true(config.count == 3 && config.count_given);
}

/* The items of a list up to `end`, with | behind each. */
static const char *items_of(const char *list, const char *end)
{
    static char joined[64];
    struct psa_str item;

    joined[0] = 0;
    while ((item = psa_list_next(&list, end)).p) {
        strncat(joined, item.p, item.n);
        strcat(joined, "|");
    }
    return joined;
}

static void lists_are_cut_at_commas(void **state)
{
    const char *text = "a,bc,@d,e";

    (void)state;
    assert_string_equal(items_of(text, NULL), "a|bc|@d|e|");
    assert_string_equal(items_of(text, strchr(text, '@')), "a|bc||");
    assert_string_equal(items_of("a", NULL), "a|");
    assert_string_equal(items_of("", NULL), "|");
    assert_string_equal(items_of(text, text), "|");
}

static void help_shows_every_option(void **state)
{
    struct psa_option_set set = { table, &config };
    struct psa_buf out = { 0 };

    (void)state;
    psa_options_help(&set, 1, "psa-test", "[OPTION...] [FILE...]", "tests options", &out);
    psa_buf_put(&out, "", 1);
    assert_false(out.failed);
    assert_non_null(strstr(out.p, "psa-test [OPTION...] [FILE...]"));
    assert_non_null(strstr(out.p, "tests options"));
    assert_non_null(strstr(out.p, "  -v, --verbose"));
    assert_non_null(strstr(out.p, "      --label TEXT"));
    assert_non_null(strstr(out.p, "  -n, --count N"));
    assert_non_null(strstr(out.p, "how long (default: 250ms)"));
    assert_non_null(strstr(out.p, "  -h, --help"));
    assert_non_null(strstr(out.p, "  -V, --version"));
    psa_buf_free(&out);
}

static void values_in_an_argument_go_through_the_same_parser(void **state)
{
    struct psa_buf out = { 0 };

    (void)state;
    config = (struct config){ 0 };
    assert_int_equal(psa_option_store(&table[2], &config, "chip: count", "7", &error), 0);
    assert_int_equal(config.count, 7);
    assert_true(config.count_given);
    assert_int_equal(psa_option_store(&table[2], &config, "chip: count", "11", &error), -1);
    assert_string_equal(error.text, "chip: count: '11' is not within 1 to 10");
    psa_options_list(table, &out);
    psa_buf_put(&out, "", 1);
    assert_non_null(strstr(out.p, "      wait=TIME "));
    assert_non_null(strstr(out.p, "how long (default: 250ms)"));
    assert_null(strstr(out.p, "--"));
    psa_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_apply),
        cmocka_unit_test(arguments_count_over_defaults),
        cmocka_unit_test(operands_follow_two_dashes),
        cmocka_unit_test(parsing_starts_anew_each_time),
        cmocka_unit_test(help_and_version_are_asked),
        cmocka_unit_test(calls_come_in_order),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(spans_without_unit_are_whole_numbers),
        cmocka_unit_test(ranges_are_readable),
        cmocka_unit_test(questions_stop_parsing),
        cmocka_unit_test(company_is_checked),
        cmocka_unit_test(units_multiply),
        cmocka_unit_test(canonical_text_tells_configurations_apart),
        cmocka_unit_test(a_default_typed_is_given),
        cmocka_unit_test(lists_are_cut_at_commas),
        cmocka_unit_test(help_shows_every_option),
        cmocka_unit_test(values_in_an_argument_go_through_the_same_parser),
    };

    return cmocka_run_group_tests(tests, NULL, free_canonical);
}
