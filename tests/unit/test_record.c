/*
 * test_record.c - decode and encode: what was not touched leaves byte for byte; both decoder paths agree; changes land
 * where record.h says; limits, refusals, control words, time.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/record.h"
#include "same_record.h"

static struct psa_decoder *decoder;
static struct psa_decoded out;

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
    enum psa_line_kind kind = psa_decode(decoder, psa_str_of(line), &out);

    if (kind == PSA_LINE_REFUSED) fail_msg("%s: %s", line, out.why);
    assert_int_equal(kind, PSA_LINE_RECORD);
    return out.record;
}

static void assert_encodes(const struct psa_record *record, const char *expected)
{
    struct psa_buf buf = { 0 };

    psa_encode(record, &buf);
    psa_buf_put(&buf, "", 1);
    assert_false(buf.failed);
    assert_int_equal(buf.p[buf.n - 2], '\n');
    buf.p[buf.n - 2] = '\0';
    assert_string_equal(buf.p, expected);
    psa_buf_free(&buf);
}

static void assert_refused(const char *line, enum psa_refusal refusal)
{
    enum psa_line_kind kind = psa_decode(decoder, psa_str_of(line), &out);

    if (kind != PSA_LINE_REFUSED || out.refusal != refusal)
        fail_msg("%s: kind %d, %s", line, (int)kind, psa_refusal_name(out.refusal));
    assert_true(out.why[0] != '\0');
    kind = psa_decode_general(decoder, psa_str_of(line), &out);
    assert_int_equal(kind, PSA_LINE_REFUSED);
    assert_int_equal(out.refusal, refusal);
}

/* ---- promise 1: nothing is changed that was not asked for ---------------------------------------------------------- */

static const char *const lossless[] = {
    "{}",
    " { } ",
    "{\"fields\":{}}",
    "{ \"fields\" : { } }",
    "{\"sensor_type\":\"accel_gyro\",\"sensor_model\":\"MPU6050\",\"sensor_id\":\"press-07\",\"fields\":{\"accel_x\":0."
    "123,"
    "\"accel_y\":-0.012,\"accel_z\":0.981,\"gyro_x\":0.01,\"gyro_y\":-0.02,\"gyro_z\":0},\"timestamp_ns\":"
    "1710000000000000000}",
    "{\"timestamp_ns\":9223372036854775807,\"fields\":{\"a\":1}}",
    "{\"timestamp_ns\":-9223372036854775808,\"fields\":{\"a\":1}}",
    "{\"big\":12345678901234567890,\"bigger\":123456789012345678901234567890,\"fields\":{\"n\":12345678901234567890}}",
    "{\"fields\":{\"a\":1.10,\"b\":1e999,\"c\":-0,\"d\":-0.0,\"e\":1E+2,\"f\":0.10000000000000000555,\"g\":1e-400}}",
    "\t{ \"fields\" : { \"a\" : 1 , \"b\" : [ 1 , null , 2.50 ] } , \"x\" : [ { } , [ ] ] } \t",
    "{\"a\":1,\"a\":2,\"fields\":{\"x\":1,\"x\":2,\"\\u0078\":3},\"a\":3}",
    "{\"fields\":{\"x\":1},\"fields\":{\"y\":2}}",
    "{\"fields\":{\"s\":\"text\",\"t\":true,\"o\":{\"p\":1},\"n\":null,\"e\":[],\"m\":[1,\"a\"],\"l\":[[1]]}}",
    "{\"\\ud800\":\"\\udc00\",\"fields\":{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}}",
    "{\"name\":\"cpu\",\"tags\":{\"host\":\"a\\/b\"},\"fields\":{\"usage\":1.50},\"timestamp\":1710000000}",
    "{\"unknown\":{\"deep\":[1,2,{\"x\":[true,false,null]}]},\"fields\":{\"a\":1},\"trailing\":\"\\u00e9\"}",
    "{\"\":1,\"fields\":{\"\":2}}",
    "{\"sensor_id\":7,\"sensor_type\":null,\"fields\":{\"a\":1}}",
    "{\"seq\":1,\"clock\":\"unsynced\",\"labels\":{\"fault\":1},\"publish_topic\":\"a/b\",\"fields\":{\"a\":0}}",
    "{\"timestamp\":\"2024-03-09T16:00:00.123456789Z\",\"fields\":{\"a\":0}}",
    "{\"ts_ms\":1710000000000.5,\"fields\":{\"a\":0}}",
    "{\r\"a\"\n:\r1}",
};

static void untouched_lines_leave_as_they_came(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) /* the second time each has a shape to be predicted from */
        for (size_t i = 0; i < sizeof lossless / sizeof *lossless; i++)
            assert_encodes(decoded(lossless[i]), lossless[i]);
    for (size_t i = 0; i < sizeof lossless / sizeof *lossless; i++) {
        assert_int_equal(psa_decode_general(decoder, psa_str_of(lossless[i]), &out), PSA_LINE_RECORD);
        assert_encodes(out.record, lossless[i]);
    }
}

/* A copy shares nothing with the line or the decoder. */
static void copies_leave_as_they_came(void **state)
{
    struct psa_record copy = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof lossless / sizeof *lossless; i++) {
        char *line = strdup(lossless[i]);
        struct psa_record *record;

        assert_int_equal(psa_decode(decoder, psa_str_of(line), &out), PSA_LINE_RECORD);
        record = out.record;
        assert_int_equal(psa_record_copy(&copy, record, true), 0);
        assert_int_equal(copy.timestamp_ns, record->timestamp_ns);
        memset(line, '?', strlen(line));
        free(line);
        decoded("{\"sensor_id\":\"other\",\"fields\":{\"z\":[9,9,9]}}");
        assert_encodes(&copy, lossless[i]);
    }
    decoded("{\"sensor_id\":\"s\",\"fields\":{\"a\":[1,2]},\"x\":1}");
    assert_int_equal(psa_record_copy(&copy, out.record, false), 0);
    assert_encodes(&copy, "{\"sensor_id\":\"s\",\"fields\":{},\"x\":1}");
    psa_record_free(&copy);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void members_are_read(void **state)
{
    struct psa_record *r = decoded("{\"sensor_type\":\"vibr\\u0061tion\",\"sensor_id\":\"p-\\n7\",\"rate_hz\":100,"
                                   "\"timestamp_ns\":1710000000000000001,\"fields\":{\"a\":1.5}}");

    (void)state;
    assert_true(psa_str_eq(r->sensor_type, "vibration"));
    assert_true(psa_str_eq(r->sensor_id, "p-\n7"));
    assert_true(r->has_time);
    assert_true(r->timestamp_ns == 1710000000000000001);
    assert_true(r->rate_hz == 100);
    r = decoded("{\"fields\":{}}");
    assert_int_equal(r->sensor_type.n, 0);
    assert_int_equal(r->sensor_id.n, 0);
    assert_false(r->has_time);
    assert_true(r->rate_hz == 0);
    assert_true(psa_record_is_status(decoded("{\"sensor_type\":\"status\"}")));
    assert_false(psa_record_is_status(decoded("{\"sensor_type\":\"statu\"}")));
    assert_true(decoded("{\"rate_hz\":-5}")->rate_hz == 0);
    assert_true(decoded("{\"rate_hz\":\"x\"}")->rate_hz == 0);
    assert_true(decoded("{\"rate_hz\":1e999}")->rate_hz == 0);
}

static void fields_have_kinds(void **state)
{
    static const char line[] =
        "{\"fields\":{\"n\":2.5,\"z\":null,\"a\":[1,null,1e999,-2],\"e\":[],\"s\":\"x\",\"o\":{},"
        "\"m\":[1,\"x\"],\"h\":1e999,\"t\":true,\"l\":[[1]],\"neg\":-0}}";
    static const enum psa_kind kinds[] = { PSA_NUMBER, PSA_NULL, PSA_ARRAY, PSA_ARRAY, PSA_OTHER, PSA_OTHER,
                                           PSA_OTHER,  PSA_NULL, PSA_OTHER, PSA_OTHER, PSA_NUMBER };

    (void)state;
    for (int round = 0; round < 2; round++) {
        struct psa_record *r = decoded(line);

        assert_int_equal(r->n_field, 11);
        for (size_t i = 0; i < 11; i++) assert_int_equal(r->field[i].kind, kinds[i]);
        assert_true(r->field[0].number == 2.5);
        assert_int_equal(r->field[2].n_array, 4);
        assert_true(r->field[2].array[0] == 1 && isnan(r->field[2].array[1]) && isnan(r->field[2].array[2]));
        assert_true(r->field[2].array[3] == -2);
        assert_int_equal(r->field[3].n_array, 0);
        assert_true(signbit(r->field[10].number));
        assert_true(psa_str_eq(r->field[4].text, "\"x\""));
    }
}

static void of_duplicates_the_last_counts(void **state)
{
    struct psa_record *r;

    (void)state;
    for (int round = 0; round < 2; round++) {
        r = decoded("{\"sensor_id\":\"a\",\"fields\":{\"x\":1,\"y\":2,\"\\u0078\":3},\"sensor_id\":\"b\"}");
        assert_true(psa_str_eq(r->sensor_id, "b"));
        assert_true(r->field[0].shadowed);
        assert_false(r->field[1].shadowed);
        assert_false(r->field[2].shadowed);
        assert_true(r->member[0].shadowed);
        assert_true(psa_record_field(r, psa_str_of("x"), 0)->number == 3);
        r = decoded("{\"fields\":{\"x\":1},\"fields\":{\"y\":2}}");
        assert_int_equal(r->n_field, 1);
        assert_true(psa_str_eq(r->field[0].name, "y"));
        r = decoded("{\"timestamp_ns\":1,\"timestamp_ns\":2}");
        assert_true(r->timestamp_ns == 2);
    }
}

static void time_is_read_in_its_three_spellings(void **state)
{
    static const struct {
        const char *line;
        int64_t ns;
    } row[] = {
        { "{\"timestamp_ns\":1710000000123456789}", 1710000000123456789 },
        { "{\"ts_ms\":1710000000123}", 1710000000123000000 },
        { "{\"timestamp_ns\":1.71e+18}", 1710000000000000000 },
        { "{\"ts_ms\":0}", 0 },
        { "{\"ts_ms\":0.5}", 500000 },
        { "{\"timestamp\":1710000000}", 1710000000000000000 },
        { "{\"timestamp\":1710000000.25}", 1710000000250000000 },
        { "{\"timestamp\":\"2024-03-09T16:00:00Z\"}", 1710000000000000000 },
        { "{\"timestamp\":\"2024-03-09T17:00:00.5+01:00\"}", 1710000000500000000 },
        { "{\"timestamp\":5,\"timestamp_ns\":7,\"ts_ms\":9}", 7 },
        { "{\"timestamp\":5,\"ts_ms\":9}", 9000000 },
    };

    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
            assert_true(decoded(row[i].line)->has_time);
            assert_true(out.record->timestamp_ns == row[i].ns);
        }
}

/* ---- refusals ---------------------------------------------------------------------------------------------------------- */

static void bad_lines_are_refused_by_name(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_refused("{\"fields\":{\"a\":1}", PSA_REFUSED_SYNTAX);
        assert_refused("{\"fields\":{\"a\":NaN}}", PSA_REFUSED_SYNTAX);
        assert_refused("garbage", PSA_REFUSED_SYNTAX);
        assert_refused("{\"a\":\"\xff\"}", PSA_REFUSED_SYNTAX);
        assert_refused("[1]", PSA_REFUSED_NOT_OBJECT);
        assert_refused("1", PSA_REFUSED_NOT_OBJECT);
        assert_refused("null", PSA_REFUSED_NOT_OBJECT);
        assert_refused("{\"fields\":[1]}", PSA_REFUSED_FIELDS);
        assert_refused("{\"fields\":null}", PSA_REFUSED_FIELDS);
        assert_refused("{\"fields\":{},\"fields\":1}", PSA_REFUSED_FIELDS);
        assert_refused("{\"timestamp_ns\":1.5}", PSA_REFUSED_TIME);
        assert_refused("{\"timestamp_ns\":15e-1}", PSA_REFUSED_TIME);
        assert_refused("{\"timestamp_ns\":\"1\"}", PSA_REFUSED_TIME);
        assert_refused("{\"timestamp_ns\":9223372036854775808}", PSA_REFUSED_TIME);
        assert_refused("{\"timestamp_ns\":-9223372036854775809}", PSA_REFUSED_TIME);
        assert_refused("{\"timestamp_ns\":true}", PSA_REFUSED_TIME);
        assert_refused("{\"ts_ms\":1e300}", PSA_REFUSED_TIME);
        assert_refused("{\"timestamp\":\"yesterday\"}", PSA_REFUSED_TIME);
        assert_refused("{\"timestamp\":\"2024-02-30T00:00:00Z\"}", PSA_REFUSED_TIME);
        decoded("{\"timestamp_ns\":5}"); /* a shape for the second round */
        decoded("{\"fields\":{\"a\":1}}");
    }
}

static void refusals_say_where(void **state)
{
    (void)state;
    assert_refused("{\"a\":\"\x01\"}", PSA_REFUSED_SYNTAX);
    assert_string_equal(out.why, "byte 7: a control character in a string");
    assert_refused("{\"a\" 1}", PSA_REFUSED_SYNTAX);
    assert_string_equal(out.why, "byte 6: no colon behind a member name");
    assert_refused("{\"a\":1} x", PSA_REFUSED_SYNTAX);
    assert_string_equal(out.why, "byte 9: something stands behind the object");
}

static void blank_lines_are_blank(void **state)
{
    (void)state;
    assert_int_equal(psa_decode(decoder, psa_str_of(""), &out), PSA_LINE_BLANK);
    assert_int_equal(psa_decode(decoder, psa_str_of(" \t "), &out), PSA_LINE_BLANK);
    assert_int_equal(psa_decode_general(decoder, psa_str_of(""), &out), PSA_LINE_BLANK);
}

static void limits_hold(void **state)
{
    struct psa_decode_limits limits = { .fields = 4, .depth = 3 };
    struct psa_decoder *small = psa_decoder_new(limits);

    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(psa_decode(small, psa_str_of("{\"fields\":{\"a\":1,\"b\":2,\"c\":3}}"), &out),
                         PSA_LINE_RECORD);
        assert_int_equal(psa_decode(small, psa_str_of("{\"fields\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}}"), &out),
                         PSA_LINE_REFUSED);
        assert_int_equal(out.refusal, PSA_REFUSED_LIMIT);
        assert_int_equal(psa_decode(small, psa_str_of("{\"a\":1,\"b\":2,\"c\":3,\"d\":4}"), &out), PSA_LINE_RECORD);
        assert_int_equal(psa_decode(small, psa_str_of("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}"), &out),
                         PSA_LINE_REFUSED);
        assert_int_equal(out.refusal, PSA_REFUSED_LIMIT);
        assert_int_equal(psa_decode(small, psa_str_of("{\"a\":[[1]]}"), &out), PSA_LINE_RECORD);
        assert_int_equal(psa_decode(small, psa_str_of("{\"a\":[[[1]]]}"), &out), PSA_LINE_REFUSED);
        assert_int_equal(out.refusal, PSA_REFUSED_LIMIT);
    }
    psa_decoder_free(small);
}

/* ---- control words -------------------------------------------------------------------------------------------------------- */

static void control_words_are_read(void **state)
{
    (void)state;
    assert_int_equal(psa_decode(decoder, psa_str_of("{\"psa\":{\"checkpoint\":\"42\"}}"), &out), PSA_LINE_CONTROL);
    assert_int_equal(out.control.kind, PSA_CHECKPOINT);
    assert_string_equal(out.control.id, "42");
    assert_true(psa_str_eq(out.control.text, "{\"psa\":{\"checkpoint\":\"42\"}}"));
    assert_int_equal(psa_decode(decoder, psa_str_of(" {\"psa\": {\"restore\":\"007\"} }"), &out), PSA_LINE_CONTROL);
    assert_int_equal(out.control.kind, PSA_RESTORE);
    assert_string_equal(out.control.id, "007");
    assert_int_equal(psa_decode(decoder, psa_str_of("{\"psa\":{\"heartbeat\":1710000000000000000}}"), &out),
                     PSA_LINE_CONTROL);
    assert_int_equal(out.control.kind, PSA_HEARTBEAT);
    assert_true(out.control.heartbeat_ns == 1710000000000000000);
    assert_refused("{\"psa\":{\"checkpoint\":\"../../etc\"}}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":{\"checkpoint\":\"\"}}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":{\"checkpoint\":42}}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":{\"checkpoint\":\"123456789012345678901234\"}}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":{\"heartbeat\":1.5}}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":{\"heartbeat\":9223372036854775808}}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":{\"heartbeat\":1,\"restore\":\"1\"}}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":{}}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":1}", PSA_REFUSED_CONTROL);
    assert_refused("{\"psa\":{\"dance\":1}}", PSA_REFUSED_CONTROL);
    decoded("{\"psa\":{\"heartbeat\":1},\"fields\":{}}"); /* not its only member: a record */
}

/* ---- changes --------------------------------------------------------------------------------------------------------------- */

static void changed_fields_change_in_place(void **state)
{
    static const double three[] = { 1, NAN, 0.1 };
    static const char line[] = "{ \"fields\" : { \"a\" : 1.10 , \"b\":2.20,\"c\": 3.30 } , \"x\" : 1.0 }";
    struct psa_record *r = decoded(line);

    (void)state;
    psa_field_set(&r->field[1], 0.5);
    assert_encodes(r, "{ \"fields\" : { \"a\" : 1.10 , \"b\":0.5,\"c\": 3.30 } , \"x\" : 1.0 }");
    r = decoded(line);
    psa_field_set(&r->field[0], NAN);
    psa_field_set(&r->field[1], INFINITY);
    psa_field_set_array(&r->field[2], three, 3);
    assert_int_equal(r->field[0].kind, PSA_NULL);
    assert_int_equal(r->field[1].kind, PSA_NULL);
    assert_int_equal(r->field[2].kind, PSA_ARRAY);
    assert_encodes(r, "{ \"fields\" : { \"a\" : null , \"b\":null,\"c\": [1,null,0.1] } , \"x\" : 1.0 }");
    assert_encodes(decoded(line), line); /* nothing of it stays in the decoder */
}

static void members_are_set_in_place_or_last(void **state)
{
    struct psa_record *r = decoded("{\"anomaly\": {\"old\":1} ,\"fields\":{\"a\":1}, \"x\":2 }");

    (void)state;
    assert_int_equal(psa_record_set(r, "anomaly", psa_str_of("{\"new\":2}")), 0);
    assert_int_equal(psa_record_set(r, "alert", psa_str_of("[]")), 0);
    assert_encodes(r, "{\"anomaly\": {\"new\":2} ,\"fields\":{\"a\":1}, \"x\":2,\"alert\":[] }");
    assert_true(psa_str_eq(psa_record_member(r, PSA_M_ALERT)->text, "[]"));
    assert_int_equal(psa_record_set(r, "alert", psa_str_of("{}")), 0);
    assert_encodes(r, "{\"anomaly\": {\"new\":2} ,\"fields\":{\"a\":1}, \"x\":2,\"alert\":{} }");
    r = decoded("{}");
    assert_int_equal(psa_record_set(r, "a", psa_str_of("1")), 0);
    assert_int_equal(psa_record_set(r, "b", psa_str_of("2")), 0);
    assert_encodes(r, "{\"a\":1,\"b\":2}");
    r = decoded("{\"a\":1,\"a\":2}");
    assert_int_equal(psa_record_set(r, "a", psa_str_of("3")), 0);
    assert_encodes(r, "{\"a\":1,\"a\":3}");
}

static void time_is_set_where_it_was(void **state)
{
    struct psa_record *r = decoded("{\"timestamp_ns\": 5 ,\"fields\":{}}");

    (void)state;
    assert_int_equal(psa_record_set_time(r, INT64_MAX), 0);
    assert_true(r->timestamp_ns == INT64_MAX);
    assert_encodes(r, "{\"timestamp_ns\": 9223372036854775807 ,\"fields\":{}}");
    r = decoded("{\"ts_ms\":5,\"fields\":{}}");
    assert_int_equal(psa_record_set_time(r, -7), 0);
    assert_encodes(r, "{\"timestamp_ns\":-7,\"fields\":{}}");
    r = decoded("{\"fields\":{},\"timestamp\":\"2024-03-09T16:00:00Z\"}");
    assert_int_equal(psa_record_set_time(r, 8), 0);
    assert_encodes(r, "{\"fields\":{},\"timestamp_ns\":8}");
    r = decoded("{\"fields\":{}}");
    assert_int_equal(psa_record_set_time(r, 9), 0);
    assert_int_equal(psa_record_set_rate(r, 62.5), 0);
    assert_true(r->has_time && r->timestamp_ns == 9 && r->rate_hz == 62.5);
    assert_encodes(r, "{\"fields\":{},\"timestamp_ns\":9,\"rate_hz\":62.5}");
}

static void fields_are_replaced_and_added(void **state)
{
    struct psa_record *r = decoded("{\"sensor_id\":\"s\", \"fields\": {\"a\":1,\"b\":[1,2]} ,\"x\":1}");
    struct psa_field *field;

    (void)state;
    field = psa_record_put_field(r, psa_str_of("c\"d"));
    psa_field_set(field, 3);
    psa_field_set(psa_record_put_field(r, psa_str_of("a")), 4);
    assert_encodes(r, "{\"sensor_id\":\"s\", \"fields\": {\"a\":4,\"b\":[1,2],\"c\\\"d\":3} ,\"x\":1}");
    assert_int_equal(psa_record_clear_fields(r), 0);
    assert_encodes(r, "{\"sensor_id\":\"s\", \"fields\": {} ,\"x\":1}");
    for (int i = 0; i < 100; i++) {
        char name[16];

        snprintf(name, sizeof name, "f%d", i);
        psa_field_set(psa_record_put_field(r, psa_str_of(name)), i);
    }
    assert_int_equal(r->n_field, 100);
    assert_true(psa_record_field(r, psa_str_of("f99"), 3)->number == 99);
    assert_null(psa_record_field(r, psa_str_of("f100"), 0));
    r = decoded("{\"x\":1}");
    psa_field_set(psa_record_put_field(r, psa_str_of("new")), 0.25);
    assert_encodes(r, "{\"x\":1,\"fields\":{\"new\":0.25}}");
    r = decoded("{\"fields\":{ }}");
    psa_field_set(psa_record_put_field(r, psa_str_of("n")), 1);
    psa_field_set(psa_record_put_field(r, psa_str_of("m")), 2);
    assert_encodes(r, "{\"fields\":{\"n\":1,\"m\":2 }}");
    r = decoded(" { } ");
    psa_field_set(psa_record_put_field(r, psa_str_of("n")), 1);
    assert_encodes(r, "{\"fields\":{\"n\":1} } ");
}

static void records_are_built_from_nothing(void **state)
{
    struct psa_record made = { .fields_at = PSA_NO_INDEX };

    (void)state;
    assert_int_equal(psa_record_set(&made, "sensor_id", psa_str_of("\"s\"")), 0);
    psa_field_set(psa_record_put_field(&made, psa_str_of("x")), 1e21);
    assert_int_equal(psa_record_set_time(&made, 1), 0);
    assert_encodes(&made, "{\"sensor_id\":\"s\",\"fields\":{\"x\":1e+21},\"timestamp_ns\":1}");
    psa_record_free(&made);
}

static void paths_reach_into_the_record(void **state)
{
    struct psa_record *r =
        decoded("{\"tags\":{\"host\":\"a\\u0062\",\"n\":5},\"sensor_id\":\"x\",\"fields\":{\"v\":1}}");

    (void)state;
    assert_true(psa_str_eq(psa_record_path(r, "tags.host"), "ab"));
    assert_true(psa_str_eq(psa_record_path(r, "tags.n"), "5"));
    assert_true(psa_str_eq(psa_record_path(r, "sensor_id"), "x"));
    assert_true(psa_str_eq(psa_record_path(r, "fields.v"), "1"));
    assert_null(psa_record_path(r, "v").p);
    assert_null(psa_record_path(r, "tags.x").p);
    assert_null(psa_record_path(r, "sensor_id.x").p);
}

/* ---- --flat ------------------------------------------------------------------------------------------------------------------ */

static void flat_records_become_records(void **state)
{
    struct psa_decoder *flat = psa_decoder_new((struct psa_decode_limits){ 4096, 64, true });
    static const char line[] =
        "{\"timestamp\":1710000000,\"sensor_id\":\"s\",\"temperature\":22.10,\"up\":true,\"p\": 5}";

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(psa_decode(flat, psa_str_of(line), &out), PSA_LINE_RECORD);
        assert_int_equal(out.record->n_field, 2);
        assert_true(out.record->field[0].number == 22.1);
        assert_true(psa_str_eq(out.record->field[1].name, "p"));
        assert_true(out.record->timestamp_ns == 1710000000000000000);
        assert_encodes(out.record,
                       "{\"timestamp\":1710000000,\"sensor_id\":\"s\",\"fields\":{\"temperature\":22.10,\"p\":5},"
                       "\"up\":true}");
        assert_int_equal(psa_decode(flat, psa_str_of("{\"a\":1,\"fields\":{\"b\":2}}"), &out), PSA_LINE_RECORD);
        assert_int_equal(out.record->n_field, 1);
        assert_encodes(out.record, "{\"a\":1,\"fields\":{\"b\":2}}");
        assert_int_equal(psa_decode(flat, psa_str_of("{\"sensor_id\":\"x\"}"), &out), PSA_LINE_RECORD);
        assert_int_equal(out.record->n_field, 0);
        assert_encodes(out.record, "{\"sensor_id\":\"x\"}");
    }
    psa_decoder_free(flat);
}

/* `fields` counts as a member itself: a record that no longer fits the limit with it is refused, not cut short. */
static void flat_records_keep_the_limit(void **state)
{
    struct psa_decoder *flat = psa_decoder_new((struct psa_decode_limits){ 4, 64, true });

    (void)state;
    assert_int_equal(psa_decode(flat, psa_str_of("{\"a\":1,\"b\":2,\"c\":3}"), &out), PSA_LINE_RECORD);
    assert_int_equal(out.record->n_field, 3);
    assert_int_equal(psa_decode(flat, psa_str_of("{\"a\":1,\"s\":\"x\",\"b\":2,\"c\":3}"), &out), PSA_LINE_REFUSED);
    assert_int_equal(out.refusal, PSA_REFUSED_LIMIT);
    psa_decoder_free(flat);
}

/* ---- the two paths -------------------------------------------------------------------------------------------------------------- */

static void assert_same_record(const struct psa_record *a, const struct psa_record *b, const char *line)
{
    if (!same_record(a, b)) fail_msg("the paths differ: %s", line);
}

/* Lines of one shape and of nearly that shape, each on both paths. */
static void both_paths_fill_the_same_record(void **state)
{
    static const char *const values[] = { "1",    "-0",    "22.5",         "1e999",       "12345678901234567890",
                                          "null", "[1,2]", "[]",           "\"a\"",       "true",
                                          "{}",   "0",     "[null,1e999]", "\"\\u0041\"", "1.0",
                                          "-1" };
    enum { N = sizeof values / sizeof *values };
    struct psa_decoder *general = psa_decoder_new(PSA_DECODE_LIMITS);
    struct psa_decoded plain;
    char line[256];

    (void)state;
    for (size_t i = 0; i < (size_t)N * N * N; i++) {
        const char *a = values[i % N], *b = values[i / N % N], *c = values[i / N / N];
        const char *space = i % 5 == 4 ? " " : "";

        snprintf(line, sizeof line, "{\"sensor_id\":%s,%s\"fields\":{\"a\":%s,\"b\":%s},\"seq\":%s%s}", a, space, b, c,
                 b, space);
        assert_int_equal(psa_decode(decoder, psa_str_of(line), &out), PSA_LINE_RECORD);
        assert_int_equal(psa_decode_general(general, psa_str_of(line), &plain), PSA_LINE_RECORD);
        assert_same_record(out.record, plain.record, line);
    }
    psa_decoder_free(general);
}

/* Cut a good line short, or put any byte in any place: both paths say the same, with the line's shape known. */
static void damaged_lines_are_judged_alike(void **state)
{
    static const char good[] =
        "{\"sensor_id\":\"p\xc3\xa9\",\"fields\":{\"a\":-1.5e2,\"b\":[1,2],\"c\":null},\"timestamp_ns\":1710}";
    struct psa_decoder *general = psa_decoder_new(PSA_DECODE_LIMITS);
    struct psa_decoded plain;
    size_t n = sizeof good - 1;
    char line[sizeof good];

    (void)state;
    for (size_t at = 0; at <= n; at++)
        for (int byte = -1; byte < 256; byte++) {
            struct psa_str damaged = { line, byte < 0 ? at : n };
            enum psa_line_kind kind, other;

            decoded(good);
            memcpy(line, good, sizeof good);
            if (byte >= 0) line[at] = (char)byte;
            kind = psa_decode(decoder, damaged, &out);
            other = psa_decode_general(general, damaged, &plain);
            if (kind != other) fail_msg("byte %zu, %d: %d, general %d", at, byte, (int)kind, (int)other);
            if (kind == PSA_LINE_REFUSED) assert_string_equal(out.why, plain.why);
            if (kind == PSA_LINE_RECORD) assert_same_record(out.record, plain.record, line);
        }
    psa_decoder_free(general);
}

/* More kinds of line than shapes are remembered, interleaved. */
static void many_shapes_take_turns(void **state)
{
    char line[64];

    (void)state;
    for (int i = 0; i < 500; i++) {
        snprintf(line, sizeof line, "{\"fields\":{\"f%d\":%d},\"seq\":%d}", i * 7 % 23, i, i);
        assert_encodes(decoded(line), line);
        assert_true(out.record->field[0].number == i);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, new_decoder, free_decoder)
    const struct CMUnitTest tests[] = {
        TEST(untouched_lines_leave_as_they_came),
        TEST(copies_leave_as_they_came),
        TEST(members_are_read),
        TEST(fields_have_kinds),
        TEST(of_duplicates_the_last_counts),
        TEST(time_is_read_in_its_three_spellings),
        TEST(bad_lines_are_refused_by_name),
        TEST(refusals_say_where),
        TEST(blank_lines_are_blank),
        TEST(limits_hold),
        TEST(control_words_are_read),
        TEST(changed_fields_change_in_place),
        TEST(members_are_set_in_place_or_last),
        TEST(time_is_set_where_it_was),
        TEST(fields_are_replaced_and_added),
        TEST(records_are_built_from_nothing),
        TEST(paths_reach_into_the_record),
        TEST(flat_records_become_records),
        TEST(flat_records_keep_the_limit),
        TEST(both_paths_fill_the_same_record),
        TEST(damaged_lines_are_judged_alike),
        TEST(many_shapes_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
