/* test_crc32c.c - core/crc32c against RFC 3720 B.4, and its two paths against each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/crc32c.h"

typedef uint32_t crc_function(uint32_t crc, const void *bytes, size_t n);

static void check_vectors(crc_function *crc)
{
    unsigned char bytes[32];

    assert_int_equal(crc(0, "", 0), 0);
    assert_int_equal(crc(0, "123456789", 9), 0xe3069283);
    for (int i = 0; i < 32; i++) bytes[i] = 0;
    assert_int_equal(crc(0, bytes, 32), 0x8a9136aa);
    for (int i = 0; i < 32; i++) bytes[i] = 0xff;
    assert_int_equal(crc(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(crc(0, bytes, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(crc(0, bytes, 32), 0x113fdb5c);
}

/* RFC 3720 prints the CRC's bytes as they go over the wire, lowest first; these are the numbers. The read command's
 * vector is an iSCSI PDU, section B.4. */
static void rfc_3720_vectors(void **state)
{
    static const unsigned char command[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
    };

    (void)state;
    check_vectors(psa_crc32c);
    check_vectors(psa_crc32c_table);
    assert_int_equal(psa_crc32c(0, command, 48), 0xd9963a56);
    assert_int_equal(psa_crc32c_table(0, command, 48), 0xd9963a56);
}

/* Straight from the definition, a bit at a time. */
static uint32_t bit_by_bit(uint32_t crc, const unsigned char *p, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

enum { BYTES = 300 };

static void fill(unsigned char bytes[BYTES])
{
    uint64_t x = 88172645463325252u;

    for (int i = 0; i < BYTES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (unsigned char)x;
    }
}

static void every_length_and_alignment(void **state)
{
    unsigned char bytes[BYTES];

    (void)state;
    fill(bytes);
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n < BYTES - from; n++) {
            uint32_t want = bit_by_bit(0, bytes + from, n);

            assert_int_equal(psa_crc32c(0, bytes + from, n), want);
            assert_int_equal(psa_crc32c_table(0, bytes + from, n), want);
        }
    }
}

static void goes_on_where_it_stopped(void **state)
{
    unsigned char bytes[BYTES];

    (void)state;
    fill(bytes);
    for (size_t cut = 0; cut <= BYTES; cut++) {
        uint32_t want = bit_by_bit(0, bytes, BYTES);

        assert_int_equal(psa_crc32c(psa_crc32c(0, bytes, cut), bytes + cut, BYTES - cut), want);
        assert_int_equal(psa_crc32c_table(psa_crc32c_table(0, bytes, cut), bytes + cut, BYTES - cut), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_3720_vectors),
        cmocka_unit_test(every_length_and_alignment),
        cmocka_unit_test(goes_on_where_it_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
