# stub.sh - i2c-stub, whose registers stub_player brings to life, and the kernel's own drivers on the same chips: polled
# sensors over SMBus, a chip that is absent, stuck, restarted or another one, permissions, EBUSY, and iio:.
# shellcheck shell=dash disable=SC2016,SC2034 # $ is for jq; lib.sh reads the variables

echo 1..30
load i2c-dev
load i2c-stub chip_addr=0x68,0x77
stub_player 0 /run/stub mpu6050@0x68 bmp180@0x77 &
until_true 5 test -p /run/stub
tell() { echo "$*" >/run/stub; }
# A typical chip is faster than the datasheet's longest times, and the player is late by two milliseconds.
tell chip 0x77 slow 0.4

# What udev does in Debian.
chown root:i2c /dev/i2c-0
chmod 660 /dev/i2c-0

# ---- values ---------------------------------------------------------------------------------------------------------------

start all 'mpu6050:i2c-0@0x68?rate=20Hz&temp=on&id=imu' 'bmp180:i2c-0?every=200ms&oss=0&stuck=0&id=air' 'mpu6050:i2c-0@0x69?id=nobody'
imu='.accel_x == 0.5 and .accel_y == -0.25 and .accel_z == 1 and .gyro_x == 10 and .gyro_y == -20 and
    (.gyro_z | . >= 5 and . < 5.5) and (.temperature_C | near(25; 0.01))'
check 'mpu6050: every value is what the registers say' all "readings(\"imu\") | length >= 20 and all(.fields | $imu)"
check 'mpu6050: type, model and units' all 'readings("imu")[0] | .sensor_type == "accel_gyro" and .sensor_model == "MPU6050"'
check 'mpu6050: 20 Hz' all 'readings("imu") | .[-1].seq >= 40 and (spacing | near(0.05; 0.0005)) and rising'
check 'bmp180: 15.0 C and 69964 Pa, as the datasheet computes' all \
    'readings("air") | length >= 5 and all(.fields | .temperature_C == 15 and .pressure_Pa == 69964)'
check 'an absent chip is down, and says where to look' all 'down("nobody"; "absent") and (states("nobody")[0].reason | test("0x69"))'
always 'the others go on meanwhile' all 'readings("imu") as $r | ($r | length >= 40) and
    $r[-1].timestamp_ns > states("nobody")[0].timestamp_ns + 1e9'
always 'a clock that nobody has set is unsynced' all 'map(select(.fields.up != 0)) | all(.clock == "unsynced")'
result 'and is one message, however often it is tried' "$([ "$(grep -c 'nobody: down' /run/all.err)" = 1 ] || cat /run/all.err)"

# ---- faults that only the chip's answers tell --------------------------------------------------------------------------------

tell chip 0x68 freeze
check 'mpu6050: the same bytes again and again are a stuck chip' all 'down("imu"; "stuck")'
tell chip 0x68 thaw
check 'mpu6050: and up again when they move' all 'up("imu") and (states("imu") | length >= 2)'
stop all
result 'SIGTERM ends it with status 0' "$([ "$status" = 0 ] || echo "status $status: $(tail -n 3 /run/all.err)")"
result 'and the chip sleeps then' "$([ "$(i2cget -y 0 0x68 0x6b)" = 0x40 ] || echo "PWR_MGMT_1 is $(i2cget -y 0 0x68 0x6b)")"

tell chip 0x68 wrong-id
start wrong 'mpu6050:i2c-0@0x68?rate=20Hz&id=imu'
check 'another chip at the address is not read' wrong 'down("imu"; "wrong") and (readings("imu") | length == 0)'
tell chip 0x68 poke 0x75 0x68
check 'and is when it is the right one' wrong 'readings("imu") | length > 0'
stop wrong

sensord --strict 'mpu6050:i2c-0@0x69?id=nobody' >/run/strict.out 2>/run/strict.err
status=$?
result '--strict ends with status 1 where a chip is absent' "$([ "$status" = 1 ] || echo "status $status")"

sensord --probe >/run/probe.out 2>/run/probe.err
for chip in 0x68.*mpu6050 0x77.*bmp180; do
    grep -Eiq "$chip" /run/probe.out || problem="$problem no $chip"
done
result '--probe finds both chips' "${problem:+$problem: $(cat /run/probe.out /run/probe.err)}"

# ---- permissions ----------------------------------------------------------------------------------------------------------------

chmod 777 /run
start_as gateway member 'bmp180:i2c-0?every=200ms&id=air'
check 'a user in the group i2c needs no root' member 'readings("air") | length > 0'
stop member
start_as visitor stranger 'bmp180:i2c-0?every=200ms&id=air'
check 'any other is told of the group' stranger 'down("air"; "denied") and (states("air")[0].reason | test("group i2c"))'
stop stranger

# ---- the clock -------------------------------------------------------------------------------------------------------------------------

start clock 'bmp180:i2c-0?every=200ms&id=air'
check 'the wall clock is set an hour ahead' clock 'readings("air") | length >= 5'
date -s "@$(($(date +%s) + 3600))" >/dev/null
check 'readings follow it, and none is lost' clock 'readings("air") | unbroken and
    ([range(1; length) as $i | .[$i].timestamp_ns - .[$i - 1].timestamp_ns] | max / 1e9 | near(3600; 3))'
says 'and it is said' clock 'clock.*(step|set|jump)'
stop clock

# ---- the kernel's own drivers -----------------------------------------------------------------------------------------------------

load inv-mpu6050-i2c
load bmp280-i2c
bus=/sys/bus/i2c/devices/i2c-0
echo mpu6050 0x68 >$bus/new_device
echo bmp180 0x77 >$bus/new_device
result 'the kernel drives the same chips' "$(
    { until_true 5 device_called mpu6050 iio && until_true 5 device_called bmp180 iio; } >/dev/null || dmesg | tail -n 5
)"

start busy 'mpu6050:i2c-0@0x68?rate=20Hz&id=imu'
check 'EBUSY points at iio:' busy 'down("imu"; "busy") and (states("imu")[0].reason | test("iio:mpu6050"))'

start kernel 'iio:mpu6050?rate=10Hz&id=imu' 'iio:bmp180?every=200ms&id=air'
check 'iio:mpu6050 gives g and degrees a second' kernel 'readings("imu") | length >= 5 and all(.fields |
    (.accel_x | near(0.5; 0.001)) and (.accel_y | near(-0.25; 0.001)) and (.accel_z | near(1; 0.001)) and
    (.gyro_x | near(10; 0.1)) and (.gyro_y | near(-20; 0.1)))'
check 'iio:bmp180 gives Pa and degrees C' kernel 'readings("air") | length >= 3 and
    all(.fields | (.pressure_Pa | near(69964; 5)) and (.temperature_C | near(15; 0.05)))'
always 'with the types of the other drivers' kernel 'readings("imu")[0].sensor_type == "accel_gyro" and
    readings("air")[0].sensor_type == "pressure"'
driver=$(readlink -f /sys/bus/i2c/devices/0-0077/driver)
echo 0-0077 >"$driver/unbind"
check 'iio: a driver that goes is a chip that is absent' kernel 'down("air"; "absent")'
always 'iio: the other one goes on' kernel 'states("imu") | length <= 1'
echo 0-0077 >"$driver/bind"
check 'iio: and is found again' kernel 'up("air") and (states("air") | length >= 2)'
stop kernel
echo 0-0068 >"$(readlink -f /sys/bus/i2c/devices/0-0068/driver)/unbind"
check 'EBUSY ends when the kernel lets go' busy 'up("imu") and (readings("imu") | length > 0)'
stop busy
