/*
 * day.c - many slow sensors for a long time: `day KEYS SECONDS FIELDS` prints a reading a second of each of so many keys, in turn.
 *
 * A reading is a function of key, second and field alone, so that the stream is the same every time and nothing is kept: noise
 * (the sum of four uniform numbers, nearly Gaussian), upon a wave of 24 hours; one reading in about 16,384 stands out by 8 standard
 * deviations. After each tenth of the seconds a line with its number goes to stderr, once the readings before it are written.
 * It makes several million readings a second, so that what is measured is who reads them.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ROOM = 1 << 16,   /* bytes written at once */
    LINE_MAX_B = 512, /* longest reading */
    FIELDS_MAX = 4,
    TENTHS = 10,
    SCALE = 10000 /* values have four decimals */
};

static const uint64_t first_s = 1710000000;
static const char *const field_name[FIELDS_MAX] = { "vibration_g", "temperature_C", "current_A", "pressure_Pa" };
static const int centre[FIELDS_MAX] = { 2, 60, 14, 101325 };

struct out {
    char bytes[ROOM + LINE_MAX_B];
    size_t n;
};

struct key {
    char head[96]; /* up to the first value */
    size_t n_head;
    char nanoseconds[10]; /* its phase within the second, 9 digits */
};

/* SplitMix64's mixing (Steele, Lea, Flood 2014, DOI 10.1145/2714064.2660195). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void put_bytes(struct out *out, const char *p, size_t n)
{
    memcpy(out->bytes + out->n, p, n);
    out->n += n;
}

static int flush(struct out *out)
{
    size_t done = 0;

    while (done < out->n) {
        ssize_t n = write(STDOUT_FILENO, out->bytes + done, out->n - done);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        done += (size_t)n;
    }
    out->n = 0;
    return 0;
}

/* ten_thousandths / SCALE with all four decimals. */
static void put_value(struct out *out, int64_t ten_thousandths)
{
    char text[24], *p = text + sizeof text;
    uint64_t rest = (uint64_t)(ten_thousandths < 0 ? -ten_thousandths : ten_thousandths);

    for (int i = 0; i < 4; i++, rest /= 10) *--p = (char)('0' + rest % 10);
    *--p = '.';
    do *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (ten_thousandths < 0) *--p = '-';
    put_bytes(out, p, (size_t)(text + sizeof text - p));
}

/* Four 16-bit parts of a hash: mean 131070, standard deviation 37837. Here that is scaled to 0.05. */
static int64_t noise(uint64_t key, uint64_t second, uint64_t field)
{
    uint64_t z = mix(mix(key * 0x9e3779b97f4a7c15 + field) + second * 0xd1342543de82ef95);
    int64_t sum = (int64_t)((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48)) - 131070;
    int64_t value = sum * 500 / 37837;

    return mix(z) % 16384 == 0 ? value + 4000 : value;
}

static void put_reading(struct out *out, const struct key *key, uint64_t k, uint64_t second, const char *second_text,
                        int n_field, const int64_t *wave)
{
    put_bytes(out, key->head, key->n_head);
    for (int f = 0; f < n_field; f++) {
        if (f > 0) {
            put_bytes(out, ",\"", 2);
            put_bytes(out, field_name[f], strlen(field_name[f]));
            put_bytes(out, "\":", 2);
        }
        put_value(out, (int64_t)centre[f] * SCALE + wave[f] + noise(k, second, (uint64_t)f));
    }
    put_bytes(out, "},\"timestamp_ns\":", 17);
    put_bytes(out, second_text, 10);
    put_bytes(out, key->nanoseconds, 9);
    put_bytes(out, "}\n", 2);
}

static int play(const struct key *key, uint64_t n_key, uint64_t seconds, int n_field)
{
    static struct out out;
    char second_text[24];
    int64_t wave[FIELDS_MAX];

    for (uint64_t s = 0; s < seconds; s++) {
        snprintf(second_text, sizeof second_text, "%llu", (unsigned long long)(first_s + s));
        for (int f = 0; f < n_field; f++) wave[f] = llround(1000.0 * (f + 1) * sin(2 * M_PI * (double)s / 86400));
        for (uint64_t k = 0; k < n_key; k++) {
            put_reading(&out, &key[k], k, s, second_text, n_field, wave);
            if (out.n >= ROOM && flush(&out) != 0) return -1;
        }
        if ((s + 1) * TENTHS / seconds != s * TENTHS / seconds) {
            if (flush(&out) != 0) return -1;
            dprintf(STDERR_FILENO, "%llu\n", (unsigned long long)((s + 1) * TENTHS / seconds));
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t n_key = argc == 4 ? strtoull(argv[1], NULL, 10) : 0, seconds = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    long n_field = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    struct key *key;

    if (n_key < 1 || n_key > 10000000 || seconds < TENTHS || n_field < 1 || n_field > FIELDS_MAX) {
        fprintf(stderr, "usage: day KEYS SECONDS FIELDS: 1 to 10000000 keys, %d seconds at least, 1 to %d fields\n",
                TENTHS, FIELDS_MAX);
        return 2;
    }
    key = calloc(n_key, sizeof *key);
    if (!key) return 1;
    for (uint64_t k = 0; k < n_key; k++) {
        key[k].n_head = (size_t)snprintf(key[k].head, sizeof key[k].head,
                                         "{\"sensor_type\":\"machine\",\"sensor_id\":\"m%05llu\",\"fields\":{\"%s\":",
                                         (unsigned long long)k, field_name[0]);
        snprintf(key[k].nanoseconds, sizeof key[k].nanoseconds, "%09u", (unsigned)(k * 1000000000 / n_key));
    }
    if (play(key, n_key, seconds, (int)n_field) != 0) {
        if (errno != EPIPE) perror("day: stdout");
        free(key);
        return 1;
    }
    free(key);
    return 0;
}
