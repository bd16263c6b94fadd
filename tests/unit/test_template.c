/*
 * test_template.c - templates: what is a place and what is text, values of every kind as a level of a topic and as JSON,
 * what is refused and where, topics of records, and that filling allocates nothing once its buffers have grown.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/record.h"
#include "core/template.h"

static struct psa_decoder *decoder;
static struct psa_decoded decoded_line;

static int new_decoder(void **state)
{
    (void)state;
    decoder = psa_decoder_new(PSA_DECODE_LIMITS);
    return decoder ? 0 : -1;
}

static int free_decoder(void **state)
{
    (void)state;
    psa_decoder_free(decoder);
    return 0;
}

static struct psa_record *decoded(const char *line)
{
    if (psa_decode(decoder, psa_str_of(line), &decoded_line) != PSA_LINE_RECORD)
        fail_msg("%s: %s", line, decoded_line.why);
    return decoded_line.record;
}

static struct psa_template *parsed(enum psa_template_kind kind, const char *text)
{
    struct psa_template *template = NULL;
    struct psa_error error = { 0 };

    if (psa_template_parse(&template, kind, text, "--template", &error) != 0) fail_msg("%s: %s", text, error.text);
    return template;
}

/* What was appended, as a string that lives until the next call. */
static const char *text_of(struct psa_buf *buf)
{
    static char text[200000];

    assert_false(buf->failed);
    assert_true(buf->n < sizeof text);
    if (buf->n) memcpy(text, buf->p, buf->n);
    text[buf->n] = '\0';
    psa_buf_free(buf);
    return text;
}

static void assert_fills(enum psa_template_kind kind, const char *text, const char *line, const char *expected)
{
    struct psa_template *template = parsed(kind, text);
    struct psa_buf out = { 0 };
    const char *filled;

    psa_buf_puts(&out, "before ");
    psa_template_fill(template, decoded(line), &out);
    filled = text_of(&out);
    assert_memory_equal(filled, "before ", 7);
    assert_string_equal(filled + 7, expected);
    if (kind == PSA_TEMPLATE_JSON) {
        const char *end = filled + strlen(filled);

        assert_ptr_equal(psa_json_space(psa_json_value(filled + 7, end, PSA_JSON_DEPTH, NULL), end), end);
    }
    psa_template_free(template);
}

static void assert_topic(const char *text, const char *line, const char *expected)
{
    assert_fills(PSA_TEMPLATE_TOPIC, text, line, expected);
}

static void assert_json(const char *text, const char *line, const char *expected)
{
    assert_fills(PSA_TEMPLATE_JSON, text, line, expected);
}

static void assert_refused(enum psa_template_kind kind, const char *text, const char *expected)
{
    struct psa_template *template = NULL;
    struct psa_error error = { 0 };

    if (psa_template_parse(&template, kind, text, "--template", &error) == 0) fail_msg("%s was taken", text);
    assert_null(template);
    assert_int_equal(error.status, PSA_EXIT_PERMANENT);
    assert_string_equal(error.text, expected);
}

/* ---- topics ------------------------------------------------------------------------------------------------------- */

static void topics_are_filled(void **state)
{
    (void)state;
    assert_topic("plain", "{}", "plain");
    assert_topic("{sensor_id}", "{\"sensor_id\":\"a\"}", "a");
    assert_topic("factory/{sensor_type}/{sensor_id}/x", "{\"sensor_id\":\"p-7\",\"sensor_type\":\"accel\"}",
                 "factory/accel/p-7/x");
    assert_topic("{a}{b}", "{\"a\":\"1\",\"b\":\"2\"}", "12");
    assert_topic("a/$b", "{}", "a/$b");
    assert_topic("/", "{}", "/");
    assert_topic("\xc3\xa9/{tags.host}", "{\"tags\":{\"host\":\"\xc3\xa9\xf0\x9f\x98\x80\"}}",
                 "\xc3\xa9/\xc3\xa9\xf0\x9f\x98\x80");
    assert_topic("{tags.a-b.c_d1}", "{\"tags\":{\"a-b\":{\"c_d1\":\"deep\"}}}", "deep");
    assert_topic("{fields.t}/{fields.s}", "{\"fields\":{\"t\":1.50,\"s\":\"x\"}}", "1.50/x");
    assert_topic("{fields.a.b}", "{\"fields\":{\"a.b\":3}}", "3");
    assert_topic("{n}/{t}/{a}/{o}", "{\"n\":-0,\"t\":true,\"a\":[1, 2],\"o\":{\"k\":\"/\"}}",
                 "-0/true/[1, 2]/{\"k\":\"_\"}");
    assert_topic("{a}", "{\"a\":\"first\",\"a\":\"last\"}", "last");
}

static void missing_values_are_unknown(void **state)
{
    (void)state;
    assert_topic("x/{a}", "{}", "x/unknown");
    assert_topic("x/{a}/y", "{\"a\":\"\"}", "x/unknown/y");
    assert_topic("x/{a}", "{\"a\":null}", "x/unknown");
    assert_topic("x/{a}", "{\"a\":\"null\"}", "x/null");
    assert_topic("x/{a.b}", "{\"a\":7}", "x/unknown");
    assert_topic("x/{a.b}", "{\"a\":{\"c\":1}}", "x/unknown");
    assert_topic("x/{fields.b}", "{\"fields\":{\"c\":1}}", "x/unknown");
}

static void values_cannot_leave_their_level(void **state)
{
    (void)state;
    assert_topic("x/{a}", "{\"a\":\"+#/$\"}", "x/____");
    assert_topic("{a}", "{\"a\":\"$SYS/x\"}", "_SYS_x");
    assert_topic("{a}", "{\"a\":\"a\\u0000b\\u001fc\\u007fd\\u0080e\\u009ff\\u00a0g\"}", "a_b_c_d_e_f\xc2\xa0g");
    assert_topic("{a}", "{\"a\":\"\x7f\xc2\x85|\"}", "__|");
    assert_topic("{a}", "{\"a\":\"\\u002b\\/\\\\\\\"\\n\"}", "__\\\"_");
    assert_topic("{a}", "{\"a\":\"a\\ud800b\\udfffc\"}", "a_b_c");
    assert_topic("{a}", "{\"a\":\"\\ud83d\\ude00\"}", "\xf0\x9f\x98\x80");
    assert_topic("{a}", "{\"a\":\"\\ufffe\\uffff\\ufdd0\\ufdef\\ufdcf\\ufdf0\\ufffd\"}",
                 "____\xef\xb7\x8f\xef\xb7\xb0\xef\xbf\xbd");
    assert_topic("{a}", "{\"a\":\"\xf0\x9f\xbf\xbe\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbd\"}", "__\xf4\x8f\xbf\xbd");
}

static void bad_topics_are_refused(void **state)
{
    const enum psa_template_kind topic = PSA_TEMPLATE_TOPIC;

    (void)state;
    assert_refused(topic, "", "--template is empty");
    assert_refused(topic, "a/+/{b}", "--template has a + or #, which are wildcards");
    assert_refused(topic, "a/#", "--template has a + or #, which are wildcards");
    assert_refused(topic, "$SYS/a", "--template begins with $, which is the broker's own");
    assert_refused(topic, "a\nb", "--template has a control character");
    assert_refused(topic, "a\xc2\x9f", "--template has a control character");
    assert_refused(topic, "a\xff", "--template is not UTF-8");
    assert_refused(topic, "a\xc0\x80", "--template is not UTF-8");
    assert_refused(topic, "a\xe2\x82", "--template is not UTF-8");
    assert_refused(topic, "a\xf4\x90\x80\x80", "--template is not UTF-8");
    assert_refused(topic, "a\xed\xa0\x80", "--template has half a surrogate pair");
    assert_refused(topic, "a\xef\xbf\xbf", "--template has a Unicode noncharacter");
    assert_refused(topic, "a/{.}", "--template: {.}, the whole record, is no level of a topic");
    for (const char *const *text = (const char *const[]){ "{", "a{}", "{a", "{a b}", "a}", "{a..b}", "{a.}", "{.a}",
                                                          "{7}", "{{a}}", "{-a}", "{a.7}", NULL };
         *text; text++)
        assert_refused(topic, *text, "--template: a brace that is not part of a place such as {sensor_id}");
}

/* ---- JSON --------------------------------------------------------------------------------------------------------- */

static void json_is_filled(void **state)
{
    (void)state;
    assert_json("{}", "{\"a\":1}", "{}");
    assert_json("{a}", "{\"a\":\"x\"}", "\"x\"");
    assert_json("{.}", "{ \"a\" : 1.10 }", "{ \"a\" : 1.10 }");
    assert_json("[{.},{a}]\n", "{\"a\":[1, 2]}", "[{\"a\":[1, 2]},[1, 2]]\n");
    assert_json("{\"a\":{a}, \"b\":{b}}", "{\"a\":19999999999999999999}", "{\"a\":19999999999999999999, \"b\":null}");
    assert_json("{\"v\":{fields.t},\"s\":{fields.s}}", "{\"fields\":{\"t\":1.50,\"s\":\"\\u0041\"}}",
                "{\"v\":1.50,\"s\":\"\\u0041\"}");
    assert_json("{fields}", "{\"fields\": { \"a\" : 1.0 ,\t\"b\": [1,null] } }", "{\"a\" : 1.0,\"b\": [1,null]}");
    assert_json("{fields}", "{\"fields\":{}}", "{}");
    assert_json("{fields}", "{}", "null");
}

static void json_strings_are_filled(void **state)
{
    (void)state;
    assert_json("{\"text\":\"{a}: {b}\"}", "{\"a\":\"x\",\"b\":1.50}", "{\"text\":\"x: 1.50\"}");
    assert_json("\"{a}\"", "{}", "\"\"");
    assert_json("\"<{a}>\"", "{\"a\":\"\"}", "\"<>\"");
    assert_json("\"<{a}>\"", "{\"a\":null}", "\"<null>\"");
    assert_json("\"{a}\"", "{\"a\":\"q\\\" b\\\\ n\\n c\\u0001 \\ud800 \\/\"}",
                "\"q\\\" b\\\\ n\\n c\\u0001 \\ud800 \\/\"");
    assert_json("\"{a}!\"", "{\"a\":{\"k\":\"v\\n\"}}", "\"{\\\"k\\\":\\\"v\\\\n\\\"}!\"");
    assert_json("[\"{.}\"]", "{\"a\":\"\\\"\"}", "[\"{\\\"a\\\":\\\"\\\\\\\"\\\"}\"]");
    assert_json("{\"{a}\":1}", "{\"a\":\"key\"}", "{\"key\":1}");
    assert_json("\"{fields}\"", "{\"fields\":{\"a\":1}}", "\"{\\\"a\\\":1}\"");
}

/* A brace that begins no place is itself; one that would is an escape; a quote behind a backslash ends nothing. */
static void other_text_stays(void **state)
{
    (void)state;
    assert_json("\"{} {a b} {7} {a\"", "{\"a\":1}", "\"{} {a b} {7} {a\"");
    assert_json("\"\\u007ba}\"", "{\"a\":1}", "\"\\u007ba}\"");
    assert_json("[\"\\\"{a}\", {a}]", "{\"a\":\"x\"}", "[\"\\\"x\", \"x\"]");
    assert_json("[\"\\\\\", {a}]", "{\"a\":\"x\"}", "[\"\\\\\", \"x\"]");
}

static void bad_json_is_refused(void **state)
{
    const enum psa_template_kind json = PSA_TEMPLATE_JSON;

    (void)state;
    assert_refused(json, "{\"a\":{b c}}",
                   "--template is not JSON with its places filled: line 1, byte 7: no member name in quotes");
    assert_refused(json, "{\n\"a\":{b}\n\"c\":1}",
                   "--template is not JSON with its places filled: line 3, byte 11: no comma or } behind a member");
    assert_refused(json, "{} x",
                   "--template is not JSON with its places filled: line 1, byte 4: more text behind the value");
    assert_refused(json, "{{a}:1}",
                   "--template is not JSON with its places filled: line 1, byte 2: no member name in quotes");
    for (const char *const *text =
             (const char *const[]){ "", "5{a}", "-{a}", "1.{a}", "{a}5", "{a}{b}", "\"\\u00{a}41\"", "\"\\{a}\"",
                                    "\"{a}", "nul{a}", "[1,]", "\"\xff\"", NULL };
         *text; text++) {
        struct psa_template *template = NULL;
        struct psa_error error = { 0 };

        if (psa_template_parse(&template, json, *text, "--template", &error) == 0) fail_msg("%s was taken", *text);
        assert_non_null(strstr(error.text, "is not JSON"));
    }
}

static void places_are_known(void **state)
{
    struct psa_template *template = parsed(PSA_TEMPLATE_TOPIC, "sensor_type/{sensor_id}/{tags.host}");

    (void)state;
    assert_true(psa_template_has(template, "sensor_id"));
    assert_true(psa_template_has(template, "tags.host"));
    assert_false(psa_template_has(template, "sensor_type"));
    assert_false(psa_template_has(template, "tags"));
    psa_template_free(template);
    psa_template_free(NULL);
}

/* A value computed in this process has no text. */
static void computed_values_are_printed(void **state)
{
    static const double samples[] = { 1, 0.5 };
    struct psa_template *template = parsed(PSA_TEMPLATE_JSON, "[{fields.a},\"{fields.b}\",{fields}]");
    struct psa_record *record = decoded("{\"fields\":{\"a\":1,\"b\":2}}");
    struct psa_buf out = { 0 };

    (void)state;
    psa_field_set(&record->field[0], 0.1);
    psa_field_set_array(&record->field[1], samples, 2);
    psa_template_fill(template, record, &out);
    assert_string_equal(text_of(&out), "[0.1,\"[1,0.5]\",{\"a\":0.1,\"b\":[1,0.5]}]");
    psa_template_free(template);
}

/* ---- a record's topic --------------------------------------------------------------------------------------------- */

static void assert_topic_of(bool suffix, const char *line, const char *topic, const char *fault)
{
    struct psa_template *template = parsed(PSA_TEMPLATE_TOPIC, "factory/{sensor_type}");
    struct psa_buf out = { 0 };
    const char *why = "stale";

    psa_buf_puts(&out, "<");
    assert_int_equal(psa_topic_of(template, suffix, decoded(line), &out, &why), fault == NULL);
    if (fault) assert_string_equal(why, fault);
    else assert_null(why);
    assert_string_equal(text_of(&out) + 1, topic);
    psa_template_free(template);
}

static void records_have_topics(void **state)
{
    (void)state;
    assert_topic_of(true, "{\"sensor_type\":\"dht11\"}", "factory/dht11", NULL);
    assert_topic_of(true, "{\"alert\":{},\"anomaly\":{}}", "factory/unknown/alert", NULL);
    assert_topic_of(true, "{\"anomaly\":{}}", "factory/unknown/inference", NULL);
    assert_topic_of(true, "{\"alert\":null,\"anomaly\":null}", "factory/unknown", NULL);
    assert_topic_of(false, "{\"alert\":{},\"anomaly\":{}}", "factory/unknown", NULL);
    assert_topic_of(true, "{\"publish_topic\":\"a/\\u00e9/$c\",\"alert\":{}}", "a/\xc3\xa9/$c", NULL);
    assert_topic_of(true, "{\"publish_topic\":\"/\"}", "/", NULL);
}

static void bad_publish_topics_are_refused(void **state)
{
    (void)state;
    assert_topic_of(true, "{\"publish_topic\":7}", "", "publish_topic is not a string");
    assert_topic_of(true, "{\"publish_topic\":null}", "", "publish_topic is not a string");
    assert_topic_of(true, "{\"publish_topic\":\"\"}", "", "publish_topic is empty");
    assert_topic_of(true, "{\"publish_topic\":\"$SYS/a\"}", "",
                    "publish_topic begins with $, which is the broker's own");
    assert_topic_of(true, "{\"publish_topic\":\"a/+\"}", "", "publish_topic has a + or #, which are wildcards");
    assert_topic_of(true, "{\"publish_topic\":\"a\\u0023\"}", "", "publish_topic has a + or #, which are wildcards");
    assert_topic_of(true, "{\"publish_topic\":\"a\\u0000\"}", "", "publish_topic has a control character");
    assert_topic_of(true, "{\"publish_topic\":\"\\udc00\"}", "", "publish_topic has half a surrogate pair");
    assert_topic_of(true, "{\"publish_topic\":\"\\uffff\"}", "", "publish_topic has a Unicode noncharacter");
}

static void topics_have_a_limit(void **state)
{
    static const char head[] = "{\"sensor_type\":\"", tail[] = "\"}";
    char *line = malloc(70000);
    char *topic = malloc(70000);

    (void)state;
    for (size_t n = 65535 - 8; n <= 65535 - 7; n++) { /* behind factory/ */
        bool fits = n == 65535 - 8;

        memcpy(line, head, sizeof head - 1);
        memset(line + sizeof head - 1, 'x', n);
        memcpy(line + sizeof head - 1 + n, tail, sizeof tail);
        memcpy(topic, "factory/", 8);
        memset(topic + 8, 'x', n);
        topic[8 + n] = '\0';
        assert_topic_of(true, line, fits ? topic : "",
                        fits ? NULL : "the topic is longer than 65535 bytes, MQTT's limit");
    }
    free(line);
    free(topic);
}

/* Once the buffer and the decoder's arena have grown, filling takes nothing from the heap. */
static void filling_allocates_nothing(void **state)
{
    struct psa_template *topic = parsed(PSA_TEMPLATE_TOPIC, "a/{tags.host}/{sensor_id}");
    struct psa_template *json = parsed(PSA_TEMPLATE_JSON, "{\"t\":\"{tags}\",\"r\":{.},\"i\":\"{sensor_id}\"}");
    struct psa_buf out = { 0 };
    size_t used = 0;
    const char *why;

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct psa_record *record = decoded("{\"sensor_id\":\"a\\n\",\"tags\":{\"host\":\"\\u00e9/b\"}}");

        out.n = 0;
        assert_true(psa_topic_of(topic, true, record, &out, &why));
        psa_template_fill(json, record, &out);
        if (i == 10) used = mallinfo2().uordblks;
    }
    assert_int_equal(mallinfo2().uordblks, used);
    psa_buf_free(&out);
    psa_template_free(topic);
    psa_template_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_filled),
        cmocka_unit_test(missing_values_are_unknown),
        cmocka_unit_test(values_cannot_leave_their_level),
        cmocka_unit_test(bad_topics_are_refused),
        cmocka_unit_test(json_is_filled),
        cmocka_unit_test(json_strings_are_filled),
        cmocka_unit_test(other_text_stays),
        cmocka_unit_test(bad_json_is_refused),
        cmocka_unit_test(places_are_known),
        cmocka_unit_test(computed_values_are_printed),
        cmocka_unit_test(records_have_topics),
        cmocka_unit_test(bad_publish_topics_are_refused),
        cmocka_unit_test(topics_have_a_limit),
        cmocka_unit_test(filling_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, new_decoder, free_decoder);
}
