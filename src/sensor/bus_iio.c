/*
 * bus_iio.c - the kernel's IIO devices by libiio 0.x, see bus_iio.h.
 *
 * The library is loaded when the first device is opened: linked, it and the twenty libraries behind it would cost
 * every sensord 4 MB. It finds devices, channels and attributes, converts samples, and does everything on other
 * machines. On this one, two things are done without it:
 * - A channel's attribute is read again and again from one descriptor: a pread() in place of fopen(), fread() and
 *   fclose(), and nothing is allocated.
 * - The buffer. libiio 0.24 writes 0 to buffer/enable before it opens the device, and so ends the capture of
 *   another program that has it; and it prints a warning for each capture and an error for each channel of a device
 *   that is unplugged.
 *
 * Files: the kernel's Documentation/ABI/testing/sysfs-bus-iio and Documentation/driver-api/iio/buffers.rst.
 */
#include "sensor/bus_iio.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <iio.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/number.h"
#include "core/time.h"
#include "sensor/driver.h"

#define LIBRARY "libiio.so.0"

/* Wake-ups a second that a capture may cost: samples of faster ones come several at a time, up to 20 ms late. */
static const double wakes_hz = 50;
/* Samples in the buffer where nothing says how fast they come, and the least and most there are otherwise. */
enum { SAMPLES_UNKNOWN = 256, SAMPLES_MIN = 64, SAMPLES_MAX = 16384 };
/* What the library waits for another machine, in ms: less than the worker's patience. */
enum { WAIT_MS = 2000 };

/* ---- the library ---------------------------------------------------------------------------------------------- */

#define FUNCTIONS(X)                 \
    X(iio_create_local_context)      \
    X(iio_create_context_from_uri)   \
    X(iio_context_destroy)           \
    X(iio_context_get_devices_count) \
    X(iio_context_get_device)        \
    X(iio_context_set_timeout)       \
    X(iio_device_get_id)             \
    X(iio_device_get_name)           \
    X(iio_device_get_label)          \
    X(iio_device_is_trigger)         \
    X(iio_device_get_channels_count) \
    X(iio_device_get_channel)        \
    X(iio_device_find_attr)          \
    X(iio_device_attr_read)          \
    X(iio_device_attr_write)         \
    X(iio_device_get_trigger)        \
    X(iio_device_set_trigger)        \
    X(iio_device_create_buffer)      \
    X(iio_channel_get_id)            \
    X(iio_channel_get_name)          \
    X(iio_channel_get_index)         \
    X(iio_channel_is_output)         \
    X(iio_channel_is_scan_element)   \
    X(iio_channel_find_attr)         \
    X(iio_channel_attr_get_filename) \
    X(iio_channel_attr_read)         \
    X(iio_channel_attr_write)        \
    X(iio_channel_enable)            \
    X(iio_channel_disable)           \
    X(iio_channel_convert)           \
    X(iio_channel_get_data_format)   \
    X(iio_buffer_destroy)            \
    X(iio_buffer_refill)             \
    X(iio_buffer_first)              \
    X(iio_buffer_step)               \
    X(iio_buffer_end)

struct library {
    void *handle;
#define POINTER(name) __typeof__(name) *name; /* NOLINT(bugprone-macro-parentheses): it declares */
    FUNCTIONS(POINTER)
#undef POINTER
};

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
#define ENTRY(name) { #name, offsetof(struct library, name) },
    FUNCTIONS(ENTRY)
#undef ENTRY
};

/* ---- a device ------------------------------------------------------------------------------------------------- */

/* How to get at a channel. */
struct source {
    struct iio_channel *channel;
    const char *attribute; /* "raw" or "input"; NULL: only the buffer has it */
    int fd;                /* of the attribute, on this machine; -1: not open */
};

/* What a capture takes from the buffer. */
struct lane {
    struct iio_channel *channel;
    const struct iio_data_format *format;
    size_t at;         /* in a sample, on this machine */
    const char *first; /* in the samples in hand */
};

struct kernel_iio {
    struct psa_iio base;
    struct library lib;
    struct iio_context *context;
    bool remote;
    const struct iio_device *device;
    struct psa_iio_channel *channel;
    struct source *source;
    struct iio_channel *time; /* the timestamps' channel, or NULL */
    int stop_fd;

    /* a capture */
    struct iio_buffer *buffer; /* on another machine */
    int fd;                    /* of /dev/iio:deviceN on this one; -1: no capture */
    char *samples;             /* what was read from it */
    size_t samples_size;
    struct lane lane[PSA_SENSOR_FIELDS_MAX + 1]; /* the last one has the times */
    size_t n_lane;                               /* without it */
    ptrdiff_t step;                              /* bytes of a sample */
    clockid_t clock;                             /* of the timestamps */
    int64_t ahead_ns;                            /* of CLOCK_MONOTONIC, at the refill */
    const struct iio_device *old_trigger;
    bool trigger_set, clock_set;
    char old_clock[32];
};

static int kernel_read(struct psa_iio *base, size_t channel, double *number, struct psa_fault *fault);
static int kernel_capture(struct psa_iio *base, const struct psa_iio_capture *how, struct psa_iio_stream *stream,
                          struct psa_fault *fault);
static int kernel_wait(struct psa_iio *base, int64_t then_ns, size_t *n, struct psa_fault *fault);
static void kernel_sample(struct psa_iio *base, size_t i, int64_t *at_ns, double *number);
static void kernel_release(struct psa_iio *base);
static void kernel_close(struct psa_iio *base);

static const struct psa_iio_calls kernel_calls = {
    .read = kernel_read,
    .capture = kernel_capture,
    .wait = kernel_wait,
    .sample = kernel_sample,
    .release = kernel_release,
    .close = kernel_close,
};

static struct kernel_iio *of(struct psa_iio *base)
{
    return (struct kernel_iio *)base;
}

/* ---- faults --------------------------------------------------------------------------------------------------- */

/* The fault of an errno at `what` of the device, or at a path. */
static int fail(const struct kernel_iio *iio, int number, const char *what, struct psa_fault *fault)
{
    const char *id = iio->lib.iio_device_get_id(iio->device);
    char place[160];

    if (*what == '/') snprintf(place, sizeof place, "%s", what);
    else snprintf(place, sizeof place, "%s: %s", id, what);
    switch (number) {
    case ENOENT:
    case ENODEV:
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "%s: the kernel's driver has let go of it (%s)", place,
                             number == ENODEV ? "ENODEV" : "ENOENT");
    case EBUSY:
        return psa_fault_set(fault, PSA_FAULT_BUSY,
                             "%s: in use (EBUSY): another program captures; see fuser -v /dev/%s", place, id);
    case EROFS:
        return psa_fault_set(
            fault, PSA_FAULT_DENIED,
            "%s: /sys is read-only here (EROFS): a systemd unit needs ProtectKernelTunables=no to capture", place);
    case EACCES:
    case EPERM:
        return psa_fault_set(
            fault, PSA_FAULT_DENIED,
            "%s: no permission (%s): a udev rule must give it to this user's group; see sensord(1), iio", place,
            number == EACCES ? "EACCES" : "EPERM");
    default: return psa_fault_errno(fault, number, place);
    }
}

/* Add ", NAME" to a list for a message; what does not fit is left out. */
static void add_name(char *list, size_t size, const char *name)
{
    const size_t n = strlen(list), more = strlen(name) + (n > 0 ? 2 : 0);

    if (n + more + 1 > size) return;
    snprintf(list + n, size - n, "%s%s", n > 0 ? ", " : "", name);
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

static int load(struct library *lib, struct psa_fault *fault)
{
    /* It stays in memory once it was there: some of the libraries behind it do not survive being unloaded. */
    lib->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (lib->handle == NULL) {
        psa_fault_set(fault, PSA_FAULT_ABSENT, LIBRARY " is not installed, which iio: needs: apt-get install libiio0");
        return -1;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(lib->handle, functions[i].name);
        if (function == NULL) {
            psa_fault_set(fault, PSA_FAULT_WRONG, LIBRARY " has no %s: it must be libiio 0.24 or a later 0.x",
                          functions[i].name);
            return -1;
        }
        memcpy((char *)lib + functions[i].offset, &function, sizeof function);
    }
    return 0;
}

static int open_context(struct kernel_iio *iio, const char *uri, struct psa_fault *fault)
{
    iio->remote = uri != NULL && strncmp(uri, "local:", 6) != 0;
    errno = 0;
    iio->context = iio->remote ? iio->lib.iio_create_context_from_uri(uri) : iio->lib.iio_create_local_context();
    if (iio->context != NULL) {
        (void)!iio->lib.iio_context_set_timeout(iio->context, WAIT_MS);
        return 0;
    }
    if (iio->remote)
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "no IIO devices at %s: %s; does iiod run there?", uri,
                             strerror(errno));
    if (errno == ENOENT || errno == ENODEV)
        return psa_fault_set(fault, PSA_FAULT_ABSENT,
                             "the kernel has no IIO devices (no /sys/bus/iio/devices): is the sensor's module loaded?");
    return psa_fault_errno(fault, errno, "listing the kernel's IIO devices");
}

static bool is_named(const struct kernel_iio *iio, const struct iio_device *device, const char *name)
{
    const char *own = iio->lib.iio_device_get_name(device), *label = iio->lib.iio_device_get_label(device);

    return (own != NULL && strcmp(own, name) == 0) || (label != NULL && strcmp(label, name) == 0);
}

/* The library lists triggers (trigger0) and hardware monitors (hwmon0) among the devices. */
static bool is_sensor(const struct kernel_iio *iio, const struct iio_device *device)
{
    return strncmp(iio->lib.iio_device_get_id(device), "iio:", 4) == 0;
}

static int find_device(struct kernel_iio *iio, const char *name, struct psa_fault *fault)
{
    const unsigned n = iio->lib.iio_context_get_devices_count(iio->context);
    char all[120] = "", same[120] = "", one[80];
    unsigned n_same = 0;

    for (unsigned i = 0; i < n; i++) {
        struct iio_device *device = iio->lib.iio_context_get_device(iio->context, i);
        const char *id = iio->lib.iio_device_get_id(device), *own = iio->lib.iio_device_get_name(device);
        if (!is_sensor(iio, device)) continue;
        if (strcmp(id, name) == 0) {
            iio->device = device;
            return 0;
        }
        snprintf(one, sizeof one, "%s (%s)", own != NULL ? own : "no name", id);
        add_name(all, sizeof all, one);
        if (!is_named(iio, device, name)) continue;
        iio->device = device;
        n_same++;
        add_name(same, sizeof same, id);
    }
    if (n_same == 1) return 0;
    if (n_same > 1)
        return psa_fault_set(fault, PSA_FAULT_WRONG,
                             "%u IIO devices are named '%s': %s; take one by its id or its label", n_same, name, same);
    if (all[0] == '\0')
        return psa_fault_set(fault, PSA_FAULT_ABSENT,
                             "no IIO device is named '%s', nor any other: is the sensor's module loaded?", name);
    return psa_fault_set(fault, PSA_FAULT_ABSENT, "no IIO device is named '%s'; there are: %s", name, all);
}

/* An attribute's text as a number, NaN if it is none. */
static double number_of(const char *text, ssize_t n)
{
    bool finite;
    double value = NAN;
    const char *end = n > 0 ? psa_number_scan(text, text + n, &value, &finite) : NULL;

    if (end == NULL || !finite) return (double)NAN;
    while (end < text + n && (*end == '\n' || *end == '\0' || *end == ' ')) end++;
    return end == text + n ? value : (double)NAN;
}

/* A number that a channel has besides its value, or what it means to have none. */
static double channel_number(const struct kernel_iio *iio, const struct iio_channel *channel, const char *attribute,
                             double without)
{
    char text[128];
    double value;

    if (iio->lib.iio_channel_find_attr(channel, attribute) == NULL) return without;
    value = number_of(text, iio->lib.iio_channel_attr_read(channel, attribute, text, sizeof text));
    return isnan(value) ? without : value;
}

/* Bring the last channel to its place in the order of names, voltage2 before voltage10: the library's order is the
 * folder's where there is no buffer. */
static void sort_in(struct kernel_iio *iio, size_t i)
{
    for (; i > 0 && strverscmp(iio->channel[i - 1].id, iio->channel[i].id) > 0; i--) {
        const struct psa_iio_channel channel = iio->channel[i];
        const struct source source = iio->source[i];
        iio->channel[i] = iio->channel[i - 1];
        iio->source[i] = iio->source[i - 1];
        iio->channel[i - 1] = channel;
        iio->source[i - 1] = source;
    }
}

/* Note one channel of the library's, if it is something to read. */
static void add_channel(struct kernel_iio *iio, struct iio_channel *channel)
{
    const char *id = iio->lib.iio_channel_get_id(channel);
    struct psa_iio_channel *public = &iio->channel[iio->base.n_channel];
    struct source *source = &iio->source[iio->base.n_channel];

    if (iio->lib.iio_channel_is_output(channel)) return;
    if (strcmp(id, "timestamp") == 0) {
        if (iio->lib.iio_channel_is_scan_element(channel)) iio->time = channel;
        return;
    }
    public->id = id;
    public->processed = iio->lib.iio_channel_find_attr(channel, "input") != NULL;
    public->readable = public->processed || iio->lib.iio_channel_find_attr(channel, "raw") != NULL;
    public->scan = iio->lib.iio_channel_is_scan_element(channel);
    /* Quaternions are four numbers in one channel, which no field can hold. */
    if ((!public->readable && !public->scan) || strstr(id, "quaternion") != NULL) return;
    public->offset = channel_number(iio, channel, "offset", 0);
    public->scale = channel_number(iio, channel, "scale", 1);
    source->channel = channel;
    source->attribute = public->processed ? "input" : public->readable ? "raw" : NULL;
    source->fd = -1;
    sort_in(iio, iio->base.n_channel++);
}

static int list_channels(struct kernel_iio *iio, struct psa_fault *fault)
{
    const unsigned n = iio->lib.iio_device_get_channels_count(iio->device);

    iio->channel = calloc(n + 1, sizeof *iio->channel);
    iio->source = calloc(n + 1, sizeof *iio->source);
    if (iio->channel == NULL || iio->source == NULL) return psa_fault_errno(fault, ENOMEM, iio->base.name);
    for (unsigned i = 0; i < n; i++) add_channel(iio, iio->lib.iio_device_get_channel(iio->device, i));
    iio->base.channel = iio->channel;
    return 0;
}

int psa_iio_open(const char *name, const char *uri, int stop_fd, struct psa_iio **iio, struct psa_fault *fault)
{
    struct kernel_iio *opened = calloc(1, sizeof *opened);

    if (opened == NULL) return psa_fault_errno(fault, ENOMEM, name);
    opened->base.calls = &kernel_calls;
    opened->stop_fd = stop_fd;
    opened->fd = -1;
    if (load(&opened->lib, fault) == 0 && open_context(opened, uri, fault) == 0 &&
        find_device(opened, name, fault) == 0) {
        opened->base.name = opened->lib.iio_device_get_name(opened->device);
        if (opened->base.name == NULL) opened->base.name = opened->lib.iio_device_get_id(opened->device);
        if (list_channels(opened, fault) == 0) {
            *iio = &opened->base;
            return 0;
        }
    }
    kernel_close(&opened->base);
    return -1;
}

static void kernel_close(struct psa_iio *base)
{
    struct kernel_iio *iio = of(base);

    for (size_t i = 0; i < base->n_channel; i++) {
        if (iio->source[i].fd >= 0) close(iio->source[i].fd);
    }
    if (iio->context != NULL) iio->lib.iio_context_destroy(iio->context);
    if (iio->lib.handle != NULL) dlclose(iio->lib.handle);
    free(iio->channel);
    free(iio->source);
    free(iio);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* The attribute's text as it is now: bytes, or -errno. */
static ssize_t read_text(struct kernel_iio *iio, struct source *source, char *text, size_t size)
{
    char path[256];
    ssize_t n;

    if (iio->remote) return iio->lib.iio_channel_attr_read(source->channel, source->attribute, text, size);
    if (source->fd < 0) {
        snprintf(path, sizeof path, "/sys/bus/iio/devices/%s/%s", iio->lib.iio_device_get_id(iio->device),
                 iio->lib.iio_channel_attr_get_filename(source->channel, source->attribute));
        source->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (source->fd < 0) return -errno;
    }
    do n = pread(source->fd, text, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int kernel_read(struct psa_iio *base, size_t channel, double *number, struct psa_fault *fault)
{
    struct kernel_iio *iio = of(base);
    const char *id = base->channel[channel].id;
    char text[128], what[128];
    ssize_t n;

    if (!base->channel[channel].readable)
        return psa_fault_set(fault, PSA_FAULT_WRONG, "%s can only be captured: give trigger= or buffer=", id);
    n = read_text(iio, &iio->source[channel], text, sizeof text);
    if (n < 0) return fail(iio, (int)-n, id, fault);
    *number = number_of(text, n);
    if (!isnan(*number)) return 0;
    snprintf(what, sizeof what, "%.*s", (int)strcspn(text, "\n"), n > 0 ? text : "");
    return psa_fault_set(fault, PSA_FAULT_IO, "%s says '%.60s', which is no number", id, what);
}

/* ---- a capture's trigger, rate and clock ---------------------------------------------------------------------- */

/* The trigger with that name or id, or NULL with all of them in `list`. */
static const struct iio_device *find_trigger(const struct kernel_iio *iio, const char *name, char *list, size_t size)
{
    const unsigned n = iio->lib.iio_context_get_devices_count(iio->context);

    *list = '\0';
    for (unsigned i = 0; i < n; i++) {
        const struct iio_device *device = iio->lib.iio_context_get_device(iio->context, i);
        const char *own = iio->lib.iio_device_get_name(device);
        if (!iio->lib.iio_device_is_trigger(device) || own == NULL) continue;
        if (name != NULL && (strcmp(own, name) == 0 || strcmp(iio->lib.iio_device_get_id(device), name) == 0))
            return device;
        add_name(list, size, own);
    }
    if (*list == '\0')
        add_name(list, size, "none at all; mkdir /sys/kernel/config/iio/triggers/hrtimer/NAME makes one");
    return NULL;
}

/* Set the trigger that is asked for, or learn which one is set; *trigger NULL: it needs none. */
static int choose_trigger(struct kernel_iio *iio, const char *name, const struct iio_device **trigger,
                          struct psa_fault *fault)
{
    const struct iio_device *now = NULL, *wanted;
    char list[128];
    const int known = iio->lib.iio_device_get_trigger(iio->device, &now);
    int status;

    *trigger = known == 0 ? now : NULL;
    wanted = find_trigger(iio, name, list, sizeof list);
    if (name == NULL) {
        /* libiio gives EIO where none is set, and ENOENT where there is nothing to set. */
        if (known == -ENOENT || now != NULL) return 0;
        return psa_fault_set(fault, PSA_FAULT_WRONG, "no trigger is set; trigger= sets one; there are: %s", list);
    }
    if (wanted == NULL)
        return psa_fault_set(fault, PSA_FAULT_WRONG, "no trigger is named '%s'; there are: %s", name, list);
    *trigger = wanted;
    if (wanted == now) return 0;
    status = iio->lib.iio_device_set_trigger(iio->device, wanted);
    if (status == -EINVAL)
        return psa_fault_set(fault, PSA_FAULT_WRONG, "the device does not take trigger '%s' (EINVAL)", name);
    if (status == -ENOENT && known == -ENOENT)
        return psa_fault_set(fault, PSA_FAULT_WRONG, "the device has no triggers; leave trigger= out and give buffer=");
    if (status < 0) return fail(iio, -status, "trigger/current_trigger", fault);
    iio->trigger_set = true;
    iio->old_trigger = known == 0 ? now : NULL;
    return 0;
}

/* Where a rate is read and set: the trigger, the device, or a channel of it. */
struct rate_place {
    const struct iio_device *device;
    const struct iio_channel *channel;
};

static ssize_t rate_read(const struct kernel_iio *iio, struct rate_place at, const char *attribute, char *text,
                         size_t size)
{
    return at.channel != NULL ? iio->lib.iio_channel_attr_read(at.channel, attribute, text, size)
                              : iio->lib.iio_device_attr_read(at.device, attribute, text, size);
}

/* A trigger that is not the device's own sets the beat alone: the device's sampling frequency is then only how often
 * it converts. */
static bool find_rate(const struct kernel_iio *iio, const struct iio_device *trigger, struct rate_place *at)
{
    const char *name = trigger != NULL ? iio->lib.iio_device_get_name(trigger) : NULL;
    const size_t n = strlen(iio->base.name);

    *at = (struct rate_place){ trigger, NULL };
    if (trigger != NULL && iio->lib.iio_device_find_attr(trigger, "sampling_frequency") != NULL) return true;
    if (name != NULL && (strncmp(name, iio->base.name, n) != 0 || name[n] != '-')) return false;
    at->device = iio->device;
    if (iio->lib.iio_device_find_attr(iio->device, "sampling_frequency") != NULL) return true;
    for (size_t i = 0; i < iio->n_lane; i++) {
        at->channel = iio->lane[i].channel;
        if (iio->lib.iio_channel_find_attr(at->channel, "sampling_frequency") != NULL) return true;
    }
    return false;
}

static int set_rate(struct kernel_iio *iio, const struct iio_device *trigger, double wanted_hz, double *rate_hz,
                    struct psa_fault *fault)
{
    const char *who = trigger != NULL ? iio->lib.iio_device_get_name(trigger) : iio->base.name;
    char text[128], choices[96] = "";
    struct rate_place at;
    ssize_t n;

    *rate_hz = 0;
    if (!find_rate(iio, trigger, &at)) {
        if (wanted_hz <= 0) return 0;
        return psa_fault_set(fault, PSA_FAULT_WRONG, "%s has no sampling_frequency that rate= could set", who);
    }
    if (wanted_hz > 0) {
        psa_number_text(wanted_hz, text);
        n = at.channel != NULL ? iio->lib.iio_channel_attr_write(at.channel, "sampling_frequency", text)
                               : iio->lib.iio_device_attr_write(at.device, "sampling_frequency", text);
        if (n == -EINVAL || n == -ERANGE) {
            if (rate_read(iio, at, "sampling_frequency_available", choices, sizeof choices) <= 0) choices[0] = '\0';
            choices[strcspn(choices, "\n")] = '\0';
            return psa_fault_set(fault, PSA_FAULT_WRONG, "%s does not take a rate of %s Hz%s%s", who, text,
                                 choices[0] != '\0' ? "; it takes " : "", choices);
        }
        if (n < 0) return fail(iio, (int)-n, "sampling_frequency", fault);
    }
    n = rate_read(iio, at, "sampling_frequency", text, sizeof text);
    *rate_hz = number_of(text, n);
    if (!(*rate_hz > 0)) *rate_hz = 0;
    return 0;
}

/* An attribute of the device without the end of its line. */
static bool read_word(const struct kernel_iio *iio, const char *attribute, char *text, size_t size)
{
    if (iio->lib.iio_device_attr_read(iio->device, attribute, text, size) <= 0) return false;
    text[strcspn(text, "\n")] = '\0';
    return true;
}

/* Which clock stamps the samples. The one that is wanted is set where that is possible: CLOCK_MONOTONIC here; on
 * another machine, whose monotonic clock says nothing here, the real time. */
static void set_clock(struct kernel_iio *iio)
{
    static const struct {
        const char *name;
        clockid_t clock;
    } clocks[] = {
        { "realtime", CLOCK_REALTIME },
        { "realtime_coarse", CLOCK_REALTIME_COARSE },
        { "monotonic", CLOCK_MONOTONIC },
        { "monotonic_coarse", CLOCK_MONOTONIC_COARSE },
        { "monotonic_raw", CLOCK_MONOTONIC_RAW },
        { "boottime", CLOCK_BOOTTIME },
        { "tai", CLOCK_TAI },
    };
    const char *attribute = "current_timestamp_clock", *wanted = iio->remote ? "realtime" : "monotonic";
    char text[32];

    iio->clock = CLOCK_REALTIME; /* the kernel's default */
    if (iio->lib.iio_device_find_attr(iio->device, attribute) == NULL) return;
    if (!read_word(iio, attribute, iio->old_clock, sizeof iio->old_clock)) return;
    if (strcmp(iio->old_clock, wanted) != 0)
        iio->clock_set = iio->lib.iio_device_attr_write(iio->device, attribute, wanted) > 0;
    if (!read_word(iio, attribute, text, sizeof text)) return;
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        if (strcmp(clocks[i].name, text) == 0) iio->clock = clocks[i].clock;
    }
}

/* ---- capturing ------------------------------------------------------------------------------------------------ */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What the stamps' clock is ahead of CLOCK_MONOTONIC: read between two readings of the latter, the closest of three. */
static int64_t clock_ahead_ns(clockid_t clock)
{
    int64_t best_ns = INT64_MAX, ahead_ns = 0;

    if (clock == CLOCK_MONOTONIC) return 0;
    for (int i = 0; i < 3; i++) {
        const int64_t before = clock_ns(CLOCK_MONOTONIC), other = clock_ns(clock), after = clock_ns(CLOCK_MONOTONIC);
        if (after - before >= best_ns) continue;
        best_ns = after - before;
        ahead_ns = other - (before + best_ns / 2);
    }
    return ahead_ns;
}

/* How many samples the buffer has room for: a second's, unless somebody knows better. Another machine's come only
 * when it is full, so that it has a tenth of a second's. */
static size_t buffer_samples(const struct kernel_iio *iio, size_t wanted, double rate_hz)
{
    const double n = fmin(fmax(rate_hz > 0 ? ceil(rate_hz) : SAMPLES_UNKNOWN, SAMPLES_MIN), SAMPLES_MAX);

    if (iio->remote) return rate_hz >= 20 ? (size_t)(rate_hz / 10) : 1;
    return wanted > 0 ? wanted : (size_t)n;
}

/* Write a file of the device's on this machine: 0, or -errno. */
static int put(const struct kernel_iio *iio, const char *file, const char *text)
{
    char path[256];
    ssize_t n;
    int fd, number;

    snprintf(path, sizeof path, "/sys/bus/iio/devices/%s/%s", iio->lib.iio_device_get_id(iio->device), file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    n = write(fd, text, strlen(text));
    number = n < 0 ? -errno : 0;
    close(fd);
    return number;
}

static int put_number(const struct kernel_iio *iio, const char *file, size_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%zu", number);
    return put(iio, file, text);
}

/* Let the buffer have a channel, or not. Some channels have a name of the driver's besides: in_voltage0_battery_en. */
static int enable_channel(const struct kernel_iio *iio, const struct iio_channel *channel, bool on,
                          struct psa_fault *fault)
{
    const char *id = iio->lib.iio_channel_get_id(channel), *name = iio->lib.iio_channel_get_name(channel);
    char file[160];
    int status;

    snprintf(file, sizeof file, "scan_elements/in_%s%s%s_en", id, name != NULL ? "_" : "", name != NULL ? name : "");
    status = put(iio, file, on ? "1" : "0");
    return status == 0 ? 0 : fault != NULL ? fail(iio, -status, file, fault) : -1;
}
/* All channels of the buffer off, then those that are wanted on. */
static int enable_channels(const struct kernel_iio *iio, struct psa_fault *fault)
{
    const unsigned n = iio->lib.iio_device_get_channels_count(iio->device);

    for (unsigned i = 0; i < n; i++) {
        const struct iio_channel *channel = iio->lib.iio_device_get_channel(iio->device, i);
        if (!iio->lib.iio_channel_is_scan_element(channel)) continue;
        if (enable_channel(iio, channel, false, fault) != 0) return -1;
    }
    for (size_t i = 0; i < iio->n_lane + (iio->time != NULL); i++) {
        if (enable_channel(iio, iio->lane[i].channel, true, fault) != 0) return -1;
    }
    return 0;
}

/* Where the channels lie in a sample: in the order of their index, each at a multiple of its own size, the whole a
 * multiple of the largest. buffers.rst; iio_compute_scan_bytes() in the kernel's industrialio-buffer.c. */
static void lay_out(struct kernel_iio *iio)
{
    const size_t n = iio->n_lane + (iio->time != NULL);
    size_t end = 0, largest = 1;
    long last = -1;

    for (size_t placed = 0; placed < n; placed++) {
        struct lane *next = NULL;
        size_t bytes;
        for (size_t i = 0; i < n; i++) {
            const long index = iio->lib.iio_channel_get_index(iio->lane[i].channel);
            if (index > last && (next == NULL || index < iio->lib.iio_channel_get_index(next->channel)))
                next = &iio->lane[i];
        }
        if (next == NULL) break;
        last = iio->lib.iio_channel_get_index(next->channel);
        bytes = (size_t)next->format->length / 8 * (next->format->repeat > 0 ? next->format->repeat : 1);
        if (bytes == 0) bytes = 1;
        next->at = (end + bytes - 1) / bytes * bytes;
        end = next->at + bytes;
        if (bytes > largest) largest = bytes;
    }
    iio->step = (ptrdiff_t)((end + largest - 1) / largest * largest);
}

/* Begin on this machine, where the device is ours already: what follows the trigger and the rate. */
static int begin_here(struct kernel_iio *iio, size_t samples, double rate_hz, struct psa_fault *fault)
{
    int status;

    if (enable_channels(iio, fault) != 0) return -1;
    lay_out(iio);
    iio->samples_size = samples * (size_t)iio->step;
    iio->samples = malloc(iio->samples_size + 1);
    if (iio->samples == NULL) return fail(iio, ENOMEM, "buffer", fault);
    status = put_number(iio, "buffer/length", samples);
    /* Wake-ups for several samples at once where they come fast. Without a watermark there is one for each. */
    if (status == 0)
        put_number(iio, "buffer/watermark", (size_t)fmax(1, fmin(rate_hz / wakes_hz, (double)samples / 2)));
    if (status == 0) status = put(iio, "buffer/enable", "1");
    if (status == -EINVAL)
        return psa_fault_set(fault, PSA_FAULT_WRONG, "the device cannot capture these channels together (EINVAL)");
    return status == 0 ? 0 : fail(iio, -status, "buffer", fault);
}

/* Begin on another machine, by libiio and iiod. */
static int begin_there(struct kernel_iio *iio, size_t samples, struct psa_fault *fault)
{
    const unsigned n = iio->lib.iio_device_get_channels_count(iio->device);

    for (unsigned i = 0; i < n; i++) iio->lib.iio_channel_disable(iio->lib.iio_device_get_channel(iio->device, i));
    for (size_t i = 0; i < iio->n_lane + (iio->time != NULL); i++) iio->lib.iio_channel_enable(iio->lane[i].channel);
    errno = 0;
    iio->buffer = iio->lib.iio_device_create_buffer(iio->device, samples, false);
    return iio->buffer != NULL ? 0 : fail(iio, errno, "buffer", fault);
}

static void choose_lanes(struct kernel_iio *iio, const struct psa_iio_capture *how)
{
    iio->n_lane = 0;
    for (size_t i = 0; i <= how->n_channel && i <= PSA_SENSOR_FIELDS_MAX; i++) {
        struct iio_channel *channel = i < how->n_channel ? iio->source[how->channel[i]].channel : iio->time;
        if (channel == NULL) continue;
        iio->lane[i] = (struct lane){ .channel = channel, .format = iio->lib.iio_channel_get_data_format(channel) };
        if (i < how->n_channel) iio->n_lane++;
    }
}

static int kernel_capture(struct psa_iio *base, const struct psa_iio_capture *how, struct psa_iio_stream *stream,
                          struct psa_fault *fault)
{
    struct kernel_iio *iio = of(base);
    const struct iio_device *trigger;
    char path[64];
    size_t samples;

    choose_lanes(iio, how);
    if (!iio->remote) {
        /* One program can have it open, and may set what the others can see. */
        snprintf(path, sizeof path, "/dev/%s", iio->lib.iio_device_get_id(iio->device));
        iio->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (iio->fd < 0) return fail(iio, errno, path, fault);
    }
    if (choose_trigger(iio, how->trigger, &trigger, fault) != 0) return -1;
    if (set_rate(iio, trigger, how->rate_hz, &stream->rate_hz, fault) != 0) return -1;
    stream->trigger = trigger != NULL ? iio->lib.iio_device_get_name(trigger) : NULL;
    stream->timed = iio->time != NULL;
    set_clock(iio);
    samples = buffer_samples(iio, how->samples, stream->rate_hz);
    return iio->remote ? begin_there(iio, samples, fault) : begin_here(iio, samples, stream->rate_hz, fault);
}

/* Wait until samples are there, or then_ns. false: a stop is asked for. */
static bool wait_ready(const struct kernel_iio *iio, int64_t then_ns)
{
    struct pollfd poll_fd[2] = { { .fd = iio->stop_fd, .events = POLLIN }, { .fd = iio->fd, .events = POLLIN } };
    const struct timespec timeout = psa_timespec(iio->remote ? 0 : then_ns - clock_ns(CLOCK_MONOTONIC));

    return ppoll(poll_fd, 2, &timeout, NULL) < 0 || poll_fd[0].revents == 0;
}

/* Samples from another machine, which blocks until the buffer is full. Bytes, or -errno. */
static ssize_t refill_there(struct kernel_iio *iio)
{
    const ssize_t bytes = iio->lib.iio_buffer_refill(iio->buffer);

    if (bytes <= 0) return bytes;
    iio->step = iio->lib.iio_buffer_step(iio->buffer);
    for (size_t i = 0; i < iio->n_lane + (iio->time != NULL); i++)
        iio->lane[i].first = iio->lib.iio_buffer_first(iio->buffer, iio->lane[i].channel);
    return bytes;
}

static ssize_t refill_here(struct kernel_iio *iio)
{
    const ssize_t bytes = read(iio->fd, iio->samples, iio->samples_size);

    if (bytes < 0) return -errno;
    for (size_t i = 0; i < iio->n_lane + (iio->time != NULL); i++) iio->lane[i].first = iio->samples + iio->lane[i].at;
    return bytes;
}

static int kernel_wait(struct psa_iio *base, int64_t then_ns, size_t *n, struct psa_fault *fault)
{
    struct kernel_iio *iio = of(base);
    ssize_t bytes;

    *n = 0;
    if (!wait_ready(iio, then_ns)) return 0;
    /* Also when nothing is ready: a device that is gone never says so in poll(), only here. */
    bytes = iio->remote ? refill_there(iio) : refill_here(iio);
    if (bytes == -EAGAIN || bytes == -EINTR) return 0;
    if (bytes < 0) return fail(iio, (int)-bytes, "capturing", fault);
    *n = iio->step > 0 ? (size_t)(bytes / iio->step) : 0;
    iio->ahead_ns = iio->time != NULL ? clock_ahead_ns(iio->clock) : 0;
    return 0;
}

/* One sample of a channel, as the host's integer. */
static int64_t raw_of(const struct kernel_iio *iio, const struct lane *lane, size_t i)
{
    const char *from = lane->first + (ptrdiff_t)i * iio->step;
    const bool sign = lane->format->is_signed;
    union {
        char byte[8];
        int8_t s8;
        uint8_t u8;
        int16_t s16;
        uint16_t u16;
        int32_t s32;
        uint32_t u32;
        int64_t s64;
    } number = { .s64 = 0 };

    if (lane->format->length > 64 || lane->format->repeat > 1) return 0;
    iio->lib.iio_channel_convert(lane->channel, number.byte, from);
    switch (lane->format->length) {
    case 8: return sign ? number.s8 : number.u8;
    case 16: return sign ? number.s16 : number.u16;
    case 32: return sign ? number.s32 : (int64_t)number.u32;
    default: return number.s64;
    }
}

static void kernel_sample(struct psa_iio *base, size_t i, int64_t *at_ns, double *number)
{
    const struct kernel_iio *iio = of(base);

    for (size_t k = 0; k < iio->n_lane; k++) number[k] = (double)raw_of(iio, &iio->lane[k], i);
    if (iio->time != NULL) *at_ns = raw_of(iio, &iio->lane[iio->n_lane], i) - iio->ahead_ns;
}

static void kernel_release(struct psa_iio *base)
{
    struct kernel_iio *iio = of(base);

    if (iio->buffer != NULL) iio->lib.iio_buffer_destroy(iio->buffer);
    iio->buffer = NULL;
    if (iio->fd >= 0 && iio->samples != NULL) {
        put(iio, "buffer/enable", "0");
        for (size_t i = 0; i < iio->n_lane + (iio->time != NULL); i++)
            enable_channel(iio, iio->lane[i].channel, false, NULL);
    }
    free(iio->samples);
    iio->samples = NULL;
    if (iio->trigger_set && iio->lib.iio_device_set_trigger(iio->device, iio->old_trigger) == 0)
        iio->trigger_set = false;
    if (iio->clock_set && iio->lib.iio_device_attr_write(iio->device, "current_timestamp_clock", iio->old_clock) > 0)
        iio->clock_set = false;
    if (iio->fd >= 0) close(iio->fd);
    iio->fd = -1;
}
