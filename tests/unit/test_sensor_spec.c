/* test_sensor_spec.c - the argument that names a sensor: its parts, options, defaults, and what is said of wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "sensor/driver.h"

static struct psa_error error;

static struct psa_sensor *make(const char *text)
{
    struct psa_sensor *sensor = psa_sensor_new(text, &error);

    if (sensor == NULL) fail_msg("%s: %s", text, error.text);
    return sensor;
}

/* `text` is refused with exactly this message, as permanent. */
static void refuse(const char *text, const char *message)
{
    struct psa_sensor *sensor;

    memset(&error, 0, sizeof error);
    sensor = psa_sensor_new(text, &error);
    assert_null(sensor);
    assert_string_equal(error.text, message);
    assert_int_equal(error.status, PSA_EXIT_PERMANENT);
}

static void test_place(void **state)
{
    struct psa_sensor *sensor = make("bmp180:i2c-1");

    (void)state;
    assert_string_equal(sensor->driver->name, "bmp180");
    assert_string_equal(sensor->bus, "i2c-1");
    assert_int_equal(sensor->address, 0x77);
    assert_null(sensor->line);
    assert_string_equal(sensor->text, "bmp180:i2c-1");
    assert_string_equal(sensor->id, "bmp180:i2c-1");
    assert_string_equal(sensor->type, "pressure");
    assert_string_equal(sensor->model, "BMP180");
    psa_sensor_free(sensor);
    sensor = make("mpu6050:1@0x69?id=press-07");
    assert_string_equal(sensor->bus, "1");
    assert_int_equal(sensor->address, 0x69);
    assert_string_equal(sensor->text, "mpu6050:1@0x69");
    psa_sensor_free(sensor);
    sensor = make("ads1115:/dev/i2c-1@0x49/2");
    assert_string_equal(sensor->bus, "i2c-1");
    assert_int_equal(sensor->address, 0x49);
    assert_string_equal(sensor->line, "2");
    psa_sensor_free(sensor);
    sensor = make("dht11:gpiochip0/4");
    assert_string_equal(sensor->bus, "gpiochip0");
    assert_string_equal(sensor->line, "4");
    psa_sensor_free(sensor);
    sensor = make("dht11:a%20chip%2fb/4"); /* a label may be anything */
    assert_string_equal(sensor->bus, "a chip/b");
    assert_string_equal(sensor->line, "4");
    psa_sensor_free(sensor);
    sensor = make("mpu6050:i2c-1@104"); /* decimal */
    assert_int_equal(sensor->address, 0x68);
    psa_sensor_free(sensor);
}

static void test_options(void **state)
{
    struct psa_sensor *sensor = make("sim:imu?rate=250Hz&id=press%2d07%3F&model=a%25b&type=shaker&failures=5&block=8");

    (void)state;
    assert_string_equal(sensor->id, "press-07?");
    assert_string_equal(sensor->model, "a%b");
    assert_string_equal(sensor->type, "shaker");
    assert_string_equal(sensor->text, "sim:imu");
    assert_int_equal(sensor->common.failures, 5);
    assert_int_equal(sensor->common.block, 8);
    assert_int_equal(sensor->period_ns, 4000000);
    assert_true(sensor->rate_hz == 250);
    psa_sensor_free(sensor);
    sensor = make("sim:imu?every=1.5s");
    assert_int_equal(sensor->period_ns, 1500000000);
    psa_sensor_free(sensor);
    sensor = make("sim:dht11?every=1h"); /* less often than the scenes of sim have a rate for */
    assert_int_equal(sensor->period_ns, 3600000000000);
    psa_sensor_free(sensor);
    sensor = make("sim:dht11?rate=0.0001Hz");
    assert_int_equal(sensor->period_ns, 10000000000000);
    psa_sensor_free(sensor);
    sensor = make("sim:imu?unplug=1s,1s&unplug=3s,1s&fault=spike,at=1s,amplitude=2&fault=stuck,at=2s");
    psa_sensor_free(sensor);
    sensor = make("sim:imu?rate=3Hz"); /* deadlines are multiples of the exact period */
    assert_int_equal(sensor->period_ns, 333333333);
    assert_true(sensor->period_exact_ns > 333333333.3 && sensor->period_exact_ns < 333333333.4);
    psa_sensor_free(sensor);
    sensor = make("sim:imu?"); /* defaults; nothing behind the sign is nothing */
    assert_int_equal(sensor->period_ns, 10000000);
    assert_true(sensor->common.failures > 0);
    psa_sensor_free(sensor);
    sensor = make("sim:imu?&every=1s&"); /* a slip of the fingers */
    assert_int_equal(sensor->period_ns, 1000000000);
    psa_sensor_free(sensor);
}

static void test_refused_places(void **state)
{
    (void)state;
    refuse("imu", "'imu' names no sensor; write it like mpu6050:i2c-1@0x68?rate=100Hz");
    refuse("", "'' names no sensor; write it like mpu6050:i2c-1@0x68?rate=100Hz");
    refuse("mpu9999:i2c-1", "'mpu9999' is no driver; sensord --list shows them");
    refuse(":i2c-1", "'' is no driver; sensord --list shows them");
    refuse("bmp180:i2c-1@0x78", "bmp180:i2c-1@0x78: '0x78' is no I2C address; 0x03 to 0x77 are");
    refuse("bmp180:i2c-1@", "bmp180:i2c-1@: '' is no I2C address; 0x03 to 0x77 are");
    refuse("bmp180:i2c-1@-1", "bmp180:i2c-1@-1: '-1' is no I2C address; 0x03 to 0x77 are");
    refuse("bmp180:i2c-1@0x77z", "bmp180:i2c-1@0x77z: '0x77z' is no I2C address; 0x03 to 0x77 are");
    refuse("bmp180:i2c-1@0x40", "bmp180:i2c-1@0x40: a BMP180 has no address 0x40; see --list");
    refuse("sim:imu@0x40", "sim:imu@0x40: '@0x40' means nothing here; it is sim:imu|bmp180|dht11|vibration");
    refuse("sim:imu/3", "sim:imu/3: '/3' means nothing here; it is sim:imu|bmp180|dht11|vibration");
    refuse("dht11:gpiochip0/four", "dht11:gpiochip0/four: 'four' is no line of a GPIO chip; they are counted from 0");
    refuse("dht11:gpiochip0/-1", "dht11:gpiochip0/-1: '-1' is no line of a GPIO chip; they are counted from 0");
    refuse("mpu6050:foo",
           "mpu6050:foo: 'foo' is no I2C bus; i2c-1 is one, /dev/foo would be a name that udev gave, and "
           "sensord --probe shows them");
    refuse("bmp180:i2c-x",
           "bmp180:i2c-x: 'i2c-x' is no I2C bus; i2c-1 is one, /dev/i2c-x would be a name that udev gave, and "
           "sensord --probe shows them");
    refuse("bmp180:i2c-01",
           "bmp180:i2c-01: 'i2c-01' is no I2C bus; i2c-1 is one, /dev/i2c-01 would be a name that udev gave, and "
           "sensord --probe shows them");
    refuse("bmp180:i2c-",
           "bmp180:i2c-: 'i2c-' is no I2C bus; i2c-1 is one, /dev/i2c- would be a name that udev gave, and "
           "sensord --probe shows them");
    refuse("bmp180:i2c-1%20",
           "bmp180:i2c-1%20: 'i2c-1 ' is no I2C bus; i2c-1 is one, /dev/i2c-1  would be a name that udev gave, and "
           "sensord --probe shows them");
    refuse("digital:01/3", "digital:01/3: '01' is no GPIO chip; gpiochip0 is one, or a label");
    refuse("digital:chip%2/3", "digital:chip%2/3: a % must be followed by two hexadecimal digits");
    refuse("sim:nothing", "sim:nothing: 'nothing' is none of imu, bmp180, dht11 and vibration");
}

/* udev gives names to adapters whose numbers change; then the bus is a file. */
static void test_bus_as_a_file(void **state)
{
    (void)state;
    struct psa_sensor *sensor = psa_sensor_new("bmp180:/dev/i2c-press@0x77", &error);

    assert_non_null(sensor);
    assert_string_equal(sensor->bus, "i2c-press");
    psa_sensor_free(sensor);
}

/* What goes into records, faults among it, can be read as JSON. */
static void test_bytes_that_are_no_text(void **state)
{
    struct psa_fault fault;
    (void)state;

    refuse("iio:\xff", "'iio:\xff' is no UTF-8");
    refuse("iio:%ff?id=a", "iio:%ff: that is no UTF-8");
    psa_fault_set(&fault, PSA_FAULT_BUSY, "in use by '\xc3\xbc\xff\xc3'");
    assert_string_equal(fault.text, "in use by '\xc3\xbc?\x3f'");
    psa_fault_set(&fault, PSA_FAULT_BUSY, "%*s\xc3\xbc", (int)sizeof fault.text - 2, ""); /* cut within the letter */
    assert_int_equal(fault.text[sizeof fault.text - 2], '?');
}

static void test_refused_options(void **state)
{
    (void)state;
    refuse("sim:imu?colour=red", "sim:imu: a sim has no option 'colour'; sensord --list shows them");
    refuse("sim:imu?id", "sim:imu: id needs a value");
    refuse("sim:imu?id=", "sim:imu: id is empty");
    refuse("sim:imu?id=a%2", "sim:imu: id: a % must be followed by two hexadecimal digits");
    refuse("sim:imu?id=a%00", "sim:imu: id: %00 cannot be part of a text");
    refuse("sim:imu?type=status", "sim:imu: type=status is what records about sensors have; give another");
    refuse("sim:imu?id=a&id=b", "sim:imu: id is given twice");
    refuse("sim:imu?seed=1&rate=1Hz&seed=1", "sim:imu: seed is given twice");
    refuse("mpu6050:i2c-1?stuck=1", "mpu6050:i2c-1: stuck: 2 at least, or 0: never");
    refuse("bmp180:i2c-1?stuck=1", "bmp180:i2c-1: stuck: 2 at least, or 0: never");
    refuse("sim:imu?every=1ns", "sim:imu: every: '1ns' is not within 100us to 1d");
    refuse("sim:imu?id=a%ff", "sim:imu: id is no UTF-8");
    refuse("sim:imu?rate=fast", "sim:imu: rate: 'fast' is no frequency; write it like 10Hz or 1.5kHz");
    refuse("sim:imu?rate=1Hz&every=1s", "sim:imu: rate and every say the same thing twice; give one");
    refuse("sim:imu?failures=0", "sim:imu: failures: '0' is not within 1 to 1000000");
    refuse("sim:imu?unplug=soon", "sim:imu: unplug: 'soon' is no duration; write it like 250ms, 1.5s, 5m, 2h or 1d");
    refuse("sim:imu?unplug=1s,0s", "sim:imu: unplug: '1s,0s' must begin at 0 or later and last");
    refuse("sim:imu?mean=5", "sim:imu: imu has no 'mean'");
    refuse("sim:imu?fault=fire,at=1s", "sim:imu: no fault is called 'fire'");
    refuse("sim:imu?noise=1%20seed=2", "sim:imu: no option of this driver has a blank in it");
}

/* What a file of two sensors in a line, or of another system's line ends, would make of an id. */
static void test_refused_bytes(void **state)
{
    (void)state;
    refuse("sim:imu?id=a sim:dht11", "'sim:imu?id=a' has a blank behind it; each sensor is an argument, or in a file a "
                                     "line, of its own, and %20 is a "
                                     "blank in a name");
    refuse("sim:imu?id=a\tb", "'sim:imu?id=a' has a blank behind it; each sensor is an argument, or in a file a line, "
                              "of its own, and %20 is a "
                              "blank in a name");
    refuse("sim:imu\rsim:dht11", "'sim:imu' has a control byte behind it, 0x0d");
    refuse("sim:imu?id=a\x7f", "'sim:imu?id=a' has a control byte behind it, 0x7f");
}

/* The unit may be left out, but an exact spelling goes before. */
static void test_choices(void **state)
{
    static const char *const ranges[] = { "2g", "4g", "16g", "0-1", "0", NULL };
    struct psa_sensor *sensor = make("sim:imu");
    size_t index = 99;

    (void)state;
    assert_int_equal(psa_sensor_choose(sensor, "accel", "4g", ranges, &index, &error), 0);
    assert_int_equal(index, 1);
    assert_int_equal(psa_sensor_choose(sensor, "accel", "16", ranges, &index, &error), 0);
    assert_int_equal(index, 2);
    assert_int_equal(psa_sensor_choose(sensor, "accel", "0", ranges, &index, &error), 0);
    assert_int_equal(index, 4);
    assert_int_equal(psa_sensor_choose(sensor, "accel", "1", ranges, &index, &error), -1);
    assert_string_equal(error.text, "sim:imu: accel: '1' is none of 2g, 4g, 16g, 0-1 and 0");
    assert_int_equal(psa_sensor_choose(sensor, "accel", "", ranges, &index, &error), -1);
    psa_sensor_free(sensor);
}

static void test_every_driver_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; psa_sensor_drivers[i] != NULL; i++) {
        const struct psa_sensor_driver *driver = psa_sensor_drivers[i];
        assert_ptr_equal(psa_sensor_driver_named(psa_str_of(driver->name)), driver);
        assert_memory_equal(driver->usage, driver->name, strlen(driver->name));
        assert_non_null(driver->configure);
        assert_non_null(driver->start);
        assert_non_null(driver->read);
        assert_true(driver->failures >= 1);
        assert_true((driver->bus == PSA_BUS_I2C) == (driver->addresses != NULL));
        for (const struct psa_option *o = driver->options; o != NULL && o->type != PSA_OPT_END; o++) {
            for (const struct psa_option *c = psa_sensor_options; c->type != PSA_OPT_END; c++)
                assert_string_not_equal(o->name, c->name); /* which of the two would count? */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_refused_places),
        cmocka_unit_test(test_bus_as_a_file),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_refused_options),
        cmocka_unit_test(test_refused_bytes),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_every_driver_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
