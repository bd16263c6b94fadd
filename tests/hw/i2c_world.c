/*
 * i2c_world.c - runs a command in a world that has I2C buses with chips on them: /dev/i2c-N and /sys of umockdev, the chips of
 * chips.h behind the ioctls of i2c-dev. The command must be linked dynamically: libumockdev-preload is put before it.
 *
 *     i2c_world [OPTION...] CONTROL CHIP... -- COMMAND [ARGUMENT...]
 *
 *     CONTROL    a FIFO whose lines are obeyed while the command runs, or - for none
 *     CHIP       KIND@[BUS:]ADDRESS[,WORD...]: mpu6050@0x68, "bmp180@2:0x77,flicker 4"; the bus is 1 unless said; words are
 *                those of chip_control() and the world's below, without the address. KIND none is an empty place.
 *     --smbus    the adapters do SMBus transfers only, as i2c-stub does: I2C_RDWR gives EOPNOTSUPP
 *     --byte     ... and of those only single bytes and words
 *     --single   ... and not even words
 *     --nack E   what the adapter says of a missing acknowledge: EREMOTEIO (default), ENXIO, ENODEV, EIO
 *     --clock HZ the device tree's clock-frequency. Transfers take their time at this clock, or at 400 kHz
 *     --report F one JSON line a chip at the end: what happened to it
 *
 * A line of CONTROL is a word, an address [BUS:]ADDRESS, and arguments: `absent 0x68`, `set 1:0x48 ain0 0.25`; the chip's words
 * or these of the world:
 *
 *     hang ADDRESS TIME      from now on its transfers hold the bus for that time (ms) and end in ETIMEDOUT
 *     unhang ADDRESS         no longer; the transfer under way ends at once
 *     stall ADDRESS TIME     the next transfer takes that time (ms) longer, and succeeds
 *     fail ADDRESS E N       the next N transfers end in this error: EIO, EAGAIN, ETIMEDOUT, EREMOTEIO, ENXIO, EPROTO
 *     bind ADDRESS DRIVER [NAME]  a kernel driver has the chip: EBUSY, its link in /sys; NAME: and an IIO device of that name
 *     unbind ADDRESS
 *     unplug ADDRESS         the whole adapter goes: ENODEV, and /dev/i2c-N with it
 *     plug ADDRESS           it is back
 *
 * Each bus is a thread, as an adapter is: its transfers are done one after the other, however many threads ask. The exit
 * status is the command's, 128 + N after signal N, and 125 when the world itself could not be made. SIGTERM, SIGINT, SIGHUP,
 * SIGUSR1 are handed to the command.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <umockdev.h>
#include <unistd.h>

#include "chips.h"

#define PLACES_MAX 16
#define BUSES_MAX 8
#define CLOCK_HZ 400000.0
#define FAILED 125

/* What an adapter with a real controller says, and what i2c-stub says. */
#define CAN_SMBUS (I2C_FUNC_SMBUS_QUICK | I2C_FUNC_SMBUS_BYTE | I2C_FUNC_SMBUS_BYTE_DATA | I2C_FUNC_SMBUS_WORD_DATA)
#define CAN_BLOCK I2C_FUNC_SMBUS_I2C_BLOCK
#define CAN_ALL (I2C_FUNC_I2C | CAN_SMBUS | CAN_BLOCK)

/* An address on a bus. */
struct place {
    struct bus *bus;
    uint8_t address;
    struct chip *chip; /* NULL: nothing there */
    bool bound;
    int64_t hang_ns, stall_ns;
    int fail_errno;
    unsigned fail_left;
    uint64_t transfers, failed, bytes, forced;
};

struct bus {
    struct world *world;
    int number;
    bool gone;
    GAsyncQueue *requests; /* of UMockdevIoctlClient */
    GMutex lock;           /* of its places and chips */
    GCond changed;
};

struct world {
    UMockdevTestbed *testbed;
    gchar *sys;
    unsigned long can;
    int nack;
    double clock_hz;
    bool clock_known;
    const char *control, *report;
    struct bus bus[BUSES_MAX];
    size_t n_bus;
    struct place place[PLACES_MAX];
    size_t n_place;
};

/* The handler of all buses; which one it is stands in the device node's name. */
typedef struct {
    UMockdevIoctlBase base;
    struct bus *bus;
} Adapter;
typedef struct {
    UMockdevIoctlBaseClass base_class;
} AdapterClass;
static GType adapter_get_type(void);
G_DEFINE_TYPE(Adapter, adapter, umockdev_ioctl_base_get_type())

static const struct {
    const char *name;
    int number;
} errors[] = { { "EREMOTEIO", EREMOTEIO }, { "ENXIO", ENXIO },   { "ENODEV", ENODEV },      { "EIO", EIO },
               { "EAGAIN", EAGAIN },       { "EPROTO", EPROTO }, { "ETIMEDOUT", ETIMEDOUT } };

static void die(const char *what, const char *about)
{
    fprintf(stderr, "i2c_world: %s: %s\n", what, about);
    exit(FAILED);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int error_named(const char *name)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (strcmp(errors[i].name, name) == 0) return errors[i].number;
    }
    return 0;
}

/* ---- a transfer -------------------------------------------------------------------------------------------------------- */

static struct place *place_at(struct bus *bus, unsigned long address)
{
    for (size_t i = 0; i < bus->world->n_place; i++) {
        struct place *place = &bus->world->place[i];
        if (place->bus == bus && place->address == address) return place;
    }
    return NULL;
}

/* Wait with the bus held, but not its lock: a word may end it. */
static void hold(struct place *place, int64_t for_ns, const int64_t *while_set)
{
    const gint64 end_us = g_get_monotonic_time() + for_ns / 1000;

    while (*while_set != 0 && g_cond_wait_until(&place->bus->changed, &place->bus->lock, end_us)) continue;
}

/* What befalls a transfer before the chip sees it: 0, or the errno. */
static int befall(struct place *place)
{
    if (place->bus->gone) return ENODEV;
    if (place->hang_ns > 0) {
        hold(place, place->hang_ns, &place->hang_ns);
        return ETIMEDOUT;
    }
    if (place->stall_ns > 0) {
        hold(place, place->stall_ns, &place->stall_ns);
        place->stall_ns = 0;
    }
    if (place->fail_left > 0) {
        place->fail_left--;
        return place->fail_errno;
    }
    return place->chip != NULL && chip_answers(place->chip) ? 0 : place->bus->world->nack;
}

/* `out` to the chip and `in` from it, either may be missing: 0, or the errno. As long as the bits take. */
static int transfer(struct bus *bus, unsigned long address, const uint8_t *out, size_t n_out, uint8_t *in, size_t n_in)
{
    struct place *place;
    struct timespec end;
    int64_t began, bits = 9 * (int64_t)(n_out + n_in + (n_out > 0 || n_in == 0) + (n_in > 0)) + 3;
    int error;

    g_mutex_lock(&bus->lock);
    place = place_at(bus, address);
    error = place == NULL ? bus->world->nack : befall(place);
    began = now_ns();
    if (error == 0) {
        chip_write(place->chip, out, n_out, began);
        if (n_in > 0) chip_read(place->chip, in, n_in, began);
    }
    if (place != NULL) {
        place->transfers++;
        place->failed += error != 0;
        place->bytes += error == 0 ? n_out + n_in : 0;
    }
    g_mutex_unlock(&bus->lock);
    if (error != 0) bits = 12;
    began += (int64_t)((double)bits / bus->world->clock_hz * 1e9);
    end = (struct timespec){ .tv_sec = began / 1000000000, .tv_nsec = began % 1000000000 };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
    return error;
}

/* ---- the ioctls of i2c-dev ----------------------------------------------------------------------------------------------- */

/* I2C_RDWR: a write and a read after it are one transfer, anything else each its own. Returns the messages done or -errno. */
static long do_rdwr(struct bus *bus, UMockdevIoctlData *arg)
{
    UMockdevIoctlData *head = umockdev_ioctl_data_resolve(arg, 0, sizeof(struct i2c_rdwr_ioctl_data), NULL), *list,
                      *p[42];
    struct i2c_rdwr_ioctl_data *data = head == NULL ? NULL : (void *)head->data;
    struct i2c_msg *msg;
    int error = 0;

    if (!(bus->world->can & I2C_FUNC_I2C)) return -EOPNOTSUPP;
    if (data == NULL || data->nmsgs == 0 || data->nmsgs > I2C_RDWR_IOCTL_MAX_MSGS) return -EINVAL;
    list = umockdev_ioctl_data_resolve(head, 0, data->nmsgs * sizeof *msg, NULL);
    if (list == NULL) return -EFAULT;
    msg = (void *)list->data;
    for (size_t i = 0; i < data->nmsgs; i++) {
        p[i] = umockdev_ioctl_data_resolve(list, i * sizeof *msg + offsetof(struct i2c_msg, buf), msg[i].len, NULL);
        if (p[i] == NULL && msg[i].len > 0) return -EFAULT;
    }
    for (size_t i = 0; i < data->nmsgs && error == 0; i++) {
        const bool both = !(msg[i].flags & I2C_M_RD) && i + 1 < data->nmsgs && msg[i + 1].flags & I2C_M_RD &&
                          msg[i + 1].addr == msg[i].addr;
        const size_t in = both ? i + 1 : i;
        const bool reads = both || msg[i].flags & I2C_M_RD;
        g_autofree uint8_t *got = g_malloc0(reads ? msg[in].len + 1U : 1);
        error = transfer(bus, msg[i].addr, msg[i].flags & I2C_M_RD ? NULL : p[i]->data,
                         msg[i].flags & I2C_M_RD ? 0 : msg[i].len, got, reads ? msg[in].len : 0);
        if (error == 0 && reads) umockdev_ioctl_data_update(p[in], 0, got, msg[in].len);
        i = in;
    }
    return error == 0 ? (long)data->nmsgs : -error;
}

/* Two spellings of one transfer: the older one, which libi2c uses for writes, reads 32 bytes always (i2c-dev.c). */
static bool is_block(const struct i2c_smbus_ioctl_data *ask)
{
    return ask->size == I2C_SMBUS_I2C_BLOCK_DATA || ask->size == I2C_SMBUS_I2C_BLOCK_BROKEN;
}

/* What an SMBus transfer is on the wire: SMBus 3.2, section 6.5; the kernel's emulation in i2c-core-smbus.c. Bytes out
 * (the command included) and in; false: not one that is played here. */
static bool smbus_shape(const struct i2c_smbus_ioctl_data *ask, const union i2c_smbus_data *data, size_t *n_out,
                        size_t *n_in)
{
    const bool reads = ask->read_write == I2C_SMBUS_READ;
    size_t n;

    *n_in = 0;
    *n_out = 1;
    switch (ask->size) {
    case I2C_SMBUS_QUICK: *n_out = 0; return true;
    case I2C_SMBUS_BYTE:
        *n_in = reads;
        *n_out = !reads;
        return true;
    case I2C_SMBUS_BYTE_DATA: n = 1; break;
    case I2C_SMBUS_WORD_DATA: n = 2; break;
    case I2C_SMBUS_I2C_BLOCK_DATA: n = data->block[0]; break;
    case I2C_SMBUS_I2C_BLOCK_BROKEN: n = reads ? I2C_SMBUS_BLOCK_MAX : data->block[0]; break;
    default: return false;
    }
    if (n == 0 || n > I2C_SMBUS_BLOCK_MAX) return false;
    if (reads) *n_in = n;
    else *n_out = 1 + n;
    return true;
}

static unsigned long smbus_need(uint32_t size)
{
    switch (size) {
    case I2C_SMBUS_QUICK: return I2C_FUNC_SMBUS_QUICK;
    case I2C_SMBUS_BYTE: return I2C_FUNC_SMBUS_BYTE;
    case I2C_SMBUS_BYTE_DATA: return I2C_FUNC_SMBUS_BYTE_DATA;
    case I2C_SMBUS_WORD_DATA: return I2C_FUNC_SMBUS_WORD_DATA;
    default: return I2C_FUNC_SMBUS_I2C_BLOCK;
    }
}

static long do_smbus(struct bus *bus, unsigned long address, UMockdevIoctlData *arg)
{
    UMockdevIoctlData *head = umockdev_ioctl_data_resolve(arg, 0, sizeof(struct i2c_smbus_ioctl_data), NULL), *body;
    const struct i2c_smbus_ioctl_data *ask = head == NULL ? NULL : (void *)head->data;
    union i2c_smbus_data data = { 0 };
    uint8_t out[2 + I2C_SMBUS_BLOCK_MAX], in[I2C_SMBUS_BLOCK_MAX] = { 0 };
    size_t n_out, n_in;
    int error;

    if (ask == NULL) return -EFAULT;
    body = ask->data == NULL ? NULL
                             : umockdev_ioctl_data_resolve(head, offsetof(struct i2c_smbus_ioctl_data, data),
                                                           is_block(ask) ? sizeof data : 2, NULL);
    if (body != NULL) memcpy(&data, body->data, (size_t)body->data_len);
    if ((bus->world->can & smbus_need(ask->size)) != smbus_need(ask->size)) return -EOPNOTSUPP;
    if (!smbus_shape(ask, &data, &n_out, &n_in)) return -EINVAL;
    out[0] = ask->command;
    if (n_out > 1) memcpy(out + 1, is_block(ask) ? data.block + 1 : data.block, n_out - 1);
    error = transfer(bus, address, out, n_out, in, n_in);
    if (error != 0) return -error;
    /* Words have their low byte first on the wire, as in this machine's memory. */
    if (n_in > 0 && body != NULL) umockdev_ioctl_data_update(body, is_block(ask) ? 1 : 0, in, (gint)n_in);
    return 0;
}

static void *run_bus(void *context)
{
    struct bus *bus = context;

    for (;;) {
        g_autoptr(GObject) object = g_async_queue_pop(bus->requests);
        UMockdevIoctlClient *client = (UMockdevIoctlClient *)object;
        const unsigned long request = umockdev_ioctl_client_get_request(client);
        const unsigned long address = GPOINTER_TO_SIZE(g_object_get_data(object, "address"));
        g_autoptr(GObject) arg = g_object_ref(G_OBJECT(umockdev_ioctl_client_get_arg(client)));
        const long result = request == I2C_RDWR ? do_rdwr(bus, (UMockdevIoctlData *)arg)
                                                : do_smbus(bus, address, (UMockdevIoctlData *)arg);
        umockdev_ioctl_client_complete(client, result < 0 ? -1 : result, result < 0 ? (int)-result : 0);
    }
    return NULL;
}

/* I2C_SLAVE: the address of this descriptor's SMBus transfers. Nothing goes over the wire. */
static int choose_address(struct bus *bus, UMockdevIoctlClient *client, bool force)
{
    unsigned long address;
    struct place *place;
    int error = 0;

    memcpy(&address, umockdev_ioctl_client_get_arg(client)->data, sizeof address);
    if (address > 0x7F) return EINVAL;
    g_mutex_lock(&bus->lock);
    place = place_at(bus, address);
    if (place != NULL && force) place->forced++;
    if (place != NULL && place->bound && !force) error = EBUSY;
    g_mutex_unlock(&bus->lock);
    if (error == 0) g_object_set_data(G_OBJECT(client), "address", GSIZE_TO_POINTER(address));
    return error;
}

/* Runs in umockdev's own thread, which must not wait: what takes bus time goes to the bus. */
static gboolean handle_ioctl(UMockdevIoctlBase *self, UMockdevIoctlClient *client)
{
    struct bus *bus = ((Adapter *)self)->bus;
    UMockdevIoctlData *value;
    unsigned long can = bus->world->can;
    int error = 0;

    switch (umockdev_ioctl_client_get_request(client)) {
    case I2C_RDWR:
    case I2C_SMBUS: g_async_queue_push(bus->requests, g_object_ref(client)); return TRUE;
    case I2C_SLAVE: error = choose_address(bus, client, false); break;
    case I2C_SLAVE_FORCE: error = choose_address(bus, client, true); break;
    case I2C_FUNCS:
        value = umockdev_ioctl_data_resolve(umockdev_ioctl_client_get_arg(client), 0, sizeof can, NULL);
        if (value != NULL) umockdev_ioctl_data_update(value, 0, (guint8 *)&can, sizeof can);
        else error = EFAULT;
        break;
    case I2C_TIMEOUT:
    case I2C_RETRIES: break;
    default: error = ENOTTY;
    }
    umockdev_ioctl_client_complete(client, error == 0 ? 0 : -1, error);
    return TRUE;
}

static void adapter_class_init(AdapterClass *class)
{
    class->base_class.handle_ioctl = handle_ioctl;
}

static void adapter_init(Adapter *adapter)
{
    adapter->bus = NULL;
}

/* ---- /sys and /dev -------------------------------------------------------------------------------------------------------- */

/* A file below the world's /sys. */
static void put_file(struct world *world, const char *path, const void *p, size_t n)
{
    g_autofree gchar *full = g_build_filename(world->sys, path, NULL), *folder = g_path_get_dirname(full);

    if (g_mkdir_with_parents(folder, 0755) != 0 || !g_file_set_contents(full, p, (gssize)n, NULL))
        die(full, "cannot write");
}

static void put_link(struct world *world, const char *path, const char *target)
{
    g_autofree gchar *full = g_build_filename(world->sys, path, NULL), *folder = g_path_get_dirname(full);

    unlink(full);
    if (g_mkdir_with_parents(folder, 0755) != 0 || symlink(target, full) != 0) die(full, "cannot link");
}

/* An adapter as the kernel shows it: /sys/bus/i2c/devices/i2c-N, /sys/class/i2c-dev/i2c-N, /dev/i2c-N. */
static void add_adapter(struct world *world, struct bus *bus)
{
    const int n = bus->number;
    const uint32_t clock = GUINT32_TO_BE((uint32_t)world->clock_hz);
    Adapter *adapter = g_object_new(adapter_get_type(), NULL);
    g_autofree gchar *node = g_strdup_printf("/dev/i2c-%d", n), *path, *target;
    g_autofree gchar *about = g_strdup_printf("P: /devices/platform/world/i2c-%d\n"
                                              "E: SUBSYSTEM=i2c\nA: name=world adapter %d\n\n"
                                              "P: /devices/platform/world/i2c-%d/i2c-dev/i2c-%d\n"
                                              "N: i2c-%d\nE: DEVNAME=/dev/i2c-%d\nE: MAJOR=89\nE: MINOR=%d\n"
                                              "E: SUBSYSTEM=i2c-dev\nA: name=world adapter %d\nA: dev=89:%d\n"
                                              "L: device=../../../i2c-%d\n\n",
                                              n, n, n, n, n, n, n, n, n, n);

    if (!umockdev_testbed_add_from_string(world->testbed, about, NULL)) die(node, "cannot add the adapter");
    path = g_strdup_printf("bus/i2c/devices/i2c-%d", n);
    target = g_strdup_printf("../../../devices/platform/world/i2c-%d", n);
    put_link(world, path, target);
    if (world->clock_known) {
        g_autofree gchar *of = g_strdup_printf("devices/platform/world/i2c-%d/of_node/clock-frequency", n);
        put_file(world, of, &clock, sizeof clock);
    }
    adapter->bus = bus;
    if (!umockdev_testbed_attach_ioctl(world->testbed, node, &adapter->base, NULL)) die(node, "cannot attach");
    g_thread_new("bus", run_bus, bus);
}

/* The kernel's device of a chip, its driver, its IIO device. */
static void bind_driver(struct place *place, const char *driver, const char *iio)
{
    struct world *world = place->bus->world;
    const int n = place->bus->number;
    g_autofree gchar *device = g_strdup_printf("devices/platform/world/i2c-%d/%d-%04x", n, n, place->address);
    g_autofree gchar *name = g_strconcat(device, "/name", NULL), *link = g_strconcat(device, "/driver", NULL);
    g_autofree gchar *target = g_strdup_printf("../../../../../bus/i2c/drivers/%s", driver);
    g_autofree gchar *bus_link = g_strdup_printf("bus/i2c/devices/%d-%04x", n, place->address);
    g_autofree gchar *bus_target = g_strdup_printf("../../../%s", device);
    g_autofree gchar *uevent = g_strdup_printf("bus/i2c/drivers/%s/uevent", driver);

    put_file(world, name, "chip\n", 5);
    put_file(world, uevent, "", 0);
    put_link(world, link, target);
    put_link(world, bus_link, bus_target);
    if (*iio != '\0') {
        g_autofree gchar *iio_name = g_strconcat(device, "/iio:device0/name", NULL),
                         *line = g_strconcat(iio, "\n", NULL);
        put_file(world, iio_name, line, strlen(line));
    }
    place->bound = true;
}

static void unbind_driver(struct place *place)
{
    g_autofree gchar *link = g_strdup_printf("%s/devices/platform/world/i2c-%d/%d-%04x/driver", place->bus->world->sys,
                                             place->bus->number, place->bus->number, place->address);

    unlink(link);
    place->bound = false;
}

/* The node in /dev goes and comes with the adapter. */
static void plug(struct bus *bus, bool in)
{
    gchar *root = umockdev_testbed_get_root_dir(bus->world->testbed);
    g_autofree gchar *node = g_strdup_printf("%s/dev/i2c-%d", root, bus->number),
                     *away = g_strconcat(node, "-away", NULL);

    g_free(root);
    if (bus->gone == !in) return;
    if (rename(in ? away : node, in ? node : away) != 0) fprintf(stderr, "i2c_world: %s: %s\n", node, strerror(errno));
    bus->gone = !in;
}

/* ---- words ----------------------------------------------------------------------------------------------------------------- */

/* One of the world's own words; the bus is locked. */
static bool obey_world(struct place *place, const char *word, const char *arguments)
{
    char first[64] = "", second[64] = "";
    double ms;
    unsigned n;
    const int64_t for_ns = sscanf(arguments, "%lf", &ms) == 1 ? (int64_t)(ms * 1e6) : 0;

    if (strcmp(word, "hang") == 0 && for_ns > 0) place->hang_ns = for_ns;
    else if (strcmp(word, "unhang") == 0) place->hang_ns = 0;
    else if (strcmp(word, "stall") == 0 && for_ns > 0) place->stall_ns = for_ns;
    else if (strcmp(word, "fail") == 0 && sscanf(arguments, "%63s %u", first, &n) == 2 && error_named(first) != 0) {
        place->fail_errno = error_named(first);
        place->fail_left = n;
    } else if (strcmp(word, "bind") == 0 && sscanf(arguments, "%63s %63s", first, second) >= 1)
        bind_driver(place, first, second);
    else if (strcmp(word, "unbind") == 0) unbind_driver(place);
    else if (strcmp(word, "unplug") == 0 || strcmp(word, "plug") == 0) plug(place->bus, *word == 'p');
    else return false;
    g_cond_broadcast(&place->bus->changed);
    return true;
}

static bool obey(struct place *place, const char *word, const char *arguments)
{
    g_autofree gchar *command = g_strconcat(word, " ", arguments, NULL);
    bool known;

    g_mutex_lock(&place->bus->lock);
    known = obey_world(place, word, arguments) || (place->chip != NULL && chip_control(place->chip, command, now_ns()));
    g_mutex_unlock(&place->bus->lock);
    return known;
}

/* "0x68", "2:0x68". */
static bool read_address(const char *text, int *bus, unsigned *address)
{
    const char *colon = strchr(text, ':');

    *bus = 1;
    if (colon != NULL && sscanf(text, "%d", bus) != 1) return false;
    return sscanf(colon == NULL ? text : colon + 1, "%i", (int *)address) == 1 && *bus >= 0 && *address <= 0x7F;
}

static void obey_line(struct world *world, const char *line)
{
    char word[32], address_text[32];
    int length = 0, number;
    unsigned address;

    if (sscanf(line, " %31s %31s %n", word, address_text, &length) == 2 &&
        read_address(address_text, &number, &address)) {
        for (size_t i = 0; i < world->n_place; i++) {
            struct place *place = &world->place[i];
            if (place->bus->number == number && place->address == address && obey(place, word, line + length)) return;
        }
    }
    fprintf(stderr, "i2c_world: not understood: %s\n", line);
}

/* ---- setting up --------------------------------------------------------------------------------------------------------- */

static struct bus *bus_numbered(struct world *world, int number)
{
    struct bus *bus;

    for (size_t i = 0; i < world->n_bus; i++) {
        if (world->bus[i].number == number) return &world->bus[i];
    }
    if (world->n_bus == BUSES_MAX) die("CHIP", "too many buses");
    bus = &world->bus[world->n_bus++];
    bus->world = world;
    bus->number = number;
    bus->requests = g_async_queue_new();
    g_mutex_init(&bus->lock);
    g_cond_init(&bus->changed);
    add_adapter(world, bus);
    return bus;
}

/* KIND@[BUS:]ADDRESS[,WORD...] */
static void add_chip(struct world *world, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    gchar *at = strchr(words[0], '@');
    struct place *place = &world->place[world->n_place];
    unsigned address;
    int number;

    if (at == NULL || !read_address(at + 1, &number, &address)) die(text, "not KIND@[BUS:]ADDRESS");
    if (world->n_place++ == PLACES_MAX) die(text, "too many chips");
    *at = '\0';
    place->bus = bus_numbered(world, number);
    place->address = (uint8_t)address;
    if (strcmp(words[0], "none") != 0) {
        place->chip = chip_new(words[0], place->address);
        if (place->chip == NULL) die(words[0], "no such chip");
    }
    for (gchar **word = words + 1; *word != NULL; word++) {
        gchar *space = strchr(*word, ' ');
        if (space != NULL) *space++ = '\0';
        if (!obey(place, *word, space == NULL ? "" : space)) die(*word, "no such word");
    }
}

/* Options and chips; returns where the command begins. */
static char **read_arguments(struct world *world, char **argument)
{
    for (; *argument != NULL && strncmp(*argument, "--", 2) == 0; argument++) {
        const char *option = *argument;
        if (strcmp(option, "--smbus") == 0) world->can = CAN_SMBUS | CAN_BLOCK;
        else if (strcmp(option, "--byte") == 0) world->can = CAN_SMBUS;
        else if (strcmp(option, "--single") == 0) world->can = CAN_SMBUS & ~(unsigned long)I2C_FUNC_SMBUS_WORD_DATA;
        else if (argument[1] == NULL) die(option, "needs a value");
        else if (strcmp(option, "--nack") == 0 && error_named(argument[1]) != 0) world->nack = error_named(*++argument);
        else if (strcmp(option, "--report") == 0) world->report = *++argument;
        else if (strcmp(option, "--clock") == 0 && sscanf(argument[1], "%lf", &world->clock_hz) == 1) {
            world->clock_known = true;
            argument++;
        } else die(option, "no such option");
    }
    if (*argument == NULL) die("usage", "i2c_world [OPTION...] CONTROL CHIP... -- COMMAND...");
    world->control = *argument++;
    for (; *argument != NULL && strcmp(*argument, "--") != 0; argument++) add_chip(world, *argument);
    if (*argument == NULL || argument[1] == NULL) die("usage", "no -- COMMAND");
    return argument + 1;
}

static pid_t start_command(char **command, const sigset_t *mask)
{
    const char *preload = getenv("LD_PRELOAD"), *asan = getenv("ASAN_OPTIONS");
    g_auto(GStrv) environment = g_get_environ();
    g_autofree gchar *libraries = g_strconcat("libumockdev-preload.so.0", preload != NULL ? ":" : "", preload, NULL);
    /* The sanitizer of a command built with it minds not being the first library. */
    g_autofree gchar *sanitizer = g_strconcat(asan != NULL ? asan : "", ":verify_asan_link_order=0", NULL);
    posix_spawnattr_t attributes;
    pid_t pid;
    int error;

    environment = g_environ_setenv(environment, "LD_PRELOAD", libraries, TRUE);
    environment = g_environ_setenv(environment, "ASAN_OPTIONS", sanitizer, TRUE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, mask);
    error = posix_spawnp(&pid, command[0], NULL, &attributes, command, environment);
    if (error != 0) die(command[0], strerror(error));
    posix_spawnattr_destroy(&attributes);
    return pid;
}

/* ---- running -------------------------------------------------------------------------------------------------------------- */

/* Whole lines of what has come; the rest waits for its end. */
static void read_control(struct world *world, int fd, GString *text)
{
    char buffer[512];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    char *end;

    if (n > 0) g_string_append_len(text, buffer, n);
    while ((end = strchr(text->str, '\n')) != NULL) {
        *end = '\0';
        if (*text->str != '\0') obey_line(world, text->str);
        g_string_erase(text, 0, end - text->str + 1);
    }
}

/* Until the command has ended: its exit status. */
static int accompany(struct world *world, pid_t pid, int signals)
{
    const bool control = strcmp(world->control, "-") != 0;
    g_autoptr(GString) text = g_string_new("");
    /* For writing too, so that it never ends. */
    struct pollfd fd[2] = { { .fd = signals, .events = POLLIN },
                            { .fd = control ? open(world->control, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1,
                              .events = POLLIN } };
    int status;

    if (control && fd[1].fd < 0) die(world->control, strerror(errno));
    for (;;) {
        struct signalfd_siginfo signal;
        if (poll(fd, 2, -1) < 0) continue;
        if (fd[1].revents & POLLIN) read_control(world, fd[1].fd, text);
        if (!(fd[0].revents & POLLIN) || read(signals, &signal, sizeof signal) != (ssize_t)sizeof signal) continue;
        if (signal.ssi_signo != SIGCHLD) kill(pid, (int)signal.ssi_signo);
        else if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

static void write_report(struct world *world)
{
    FILE *file = fopen(world->report, "w");

    if (file == NULL) die(world->report, strerror(errno));
    for (size_t i = 0; i < world->n_place; i++) {
        const struct place *place = &world->place[i];
        const struct chip_history history =
            place->chip == NULL ? (struct chip_history){ 0 } : chip_history(place->chip);
        fprintf(file,
                "{\"bus\":%d,\"address\":%d,\"samples\":%llu,\"fifo_lost\":%llu,\"early_reads\":%llu,\"resets\":%llu,"
                "\"transfers\":%llu,\"failed\":%llu,\"bytes\":%llu,\"forced\":%llu}\n",
                place->bus->number, place->address, (unsigned long long)history.samples,
                (unsigned long long)history.fifo_lost, (unsigned long long)history.early_reads,
                (unsigned long long)history.resets, (unsigned long long)place->transfers,
                (unsigned long long)place->failed, (unsigned long long)place->bytes, (unsigned long long)place->forced);
    }
    if (fclose(file) != 0) die(world->report, strerror(errno));
}

int main(int argc, char **argv)
{
    struct world *world = g_new0(struct world, 1);
    sigset_t handled, before;
    char **command;
    int status;

    (void)argc;
    sigemptyset(&handled);
    sigaddset(&handled, SIGCHLD);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGHUP);
    sigaddset(&handled, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &handled, &before); /* before any thread */
    world->testbed = umockdev_testbed_new();
    world->sys = umockdev_testbed_get_sys_dir(world->testbed);
    world->can = CAN_ALL;
    world->nack = EREMOTEIO;
    world->clock_hz = CLOCK_HZ;
    command = read_arguments(world, argv + 1);
    status = accompany(world, start_command(command, &before), signalfd(-1, &handled, SFD_CLOEXEC));
    if (world->report != NULL) write_report(world);
    g_object_unref(world->testbed); /* removes its folder */
    return status;
}
