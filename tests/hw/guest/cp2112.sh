# cp2112.sh - a CP2112 that cp2112_player plays, driven by the kernel's own hid-cp2112: an I2C bus with I2C_RDWR and a GPIO chip
# with edges, which hid-cp2112 polls for. Values, FIFO mode, chips and the whole bridge unplugged and plugged in again, edges.
# shellcheck shell=dash disable=SC2016,SC2034 # $ is for jq; lib.sh reads the variables

chmod 777 /run
echo 1..24
load i2c-dev
load uhid
load hid-cp2112
cp2112_player /run/bridge mpu6050@0x68 bmp180@0x77 ads1115@0x48 &
tell() { echo "$*" >/run/bridge; }
bus_is_there() { [ -e /dev/i2c-0 ] && [ -e /dev/gpiochip0 ]; }
result 'the kernel finds an I2C bus and a GPIO chip on the bridge' "$(until_true 10 bus_is_there || dmesg | tail -n 5)"

# ---- values over I2C_RDWR ---------------------------------------------------------------------------------------------------

start all 'mpu6050:i2c-0?rate=20Hz&id=imu' 'bmp180:i2c-0?every=500ms&oss=0&id=air' 'ads1115:i2c-0@0x48/0?every=100ms&id=in0' \
    'ads1115:i2c-0@0x48/3?every=100ms&id=in3' 'ads1115:i2c-0@0x48/0-1?every=100ms&id=in01'
imu='.accel_x == 0.5 and .accel_y == -0.25 and .accel_z == 1 and .gyro_x == 10 and .gyro_y == -20'
check 'mpu6050' all "readings(\"imu\") | length >= 20 and all(.fields | $imu)"
check 'bmp180' all 'readings("air") | length >= 2 and all(.fields | .temperature_C == 15 and .pressure_Pa == 69964)'
check 'ads1115: inputs that share a converter' all '
    (readings("in0") | length >= 5 and all(.fields.voltage_V | near(0.5; 0.0002))) and
    (readings("in3") | length >= 5 and all(.fields.voltage_V | near(2; 0.0002))) and
    (readings("in01") | length >= 5 and all(.fields.voltage_V | near(-0.5; 0.0002)))'

# ---- a wire comes loose ---------------------------------------------------------------------------------------------------------

tell chip 0x68 mute
check 'a chip that no longer answers is down' all 'states("imu") | last | .fields.up == 0 and (.fault == "absent" or .fault == "timeout")'
always 'and the others are not' all '(states("air") + states("in0")) | all(.fields.up == 1)'
tell chip 0x68 unmute
check 'it comes back with the wire' all 'up("imu") and (states("imu") | length >= 2)'
check 'and gives readings' all "states(\"imu\")[-1].timestamp_ns as \$t | readings(\"imu\") |
    map(select(.timestamp_ns > \$t)) | length >= 5 and all(.fields | $imu)"
tell chip 0x77 brownout
tell chip 0x77 absent
check 'a chip without power is down' all 'states("air") | last | .fields.up == 0'
tell chip 0x77 present
check 'and measures as before when it has it again' all 'up("air") and (states("air") | length >= 2) and
    (readings("air") | all(.fields.pressure_Pa == 69964))'

tell unplug
check 'the whole bridge unplugged: all its chips are down' all '[("imu", "air", "in0") as $id | states($id) | last.fields.up == 0] | all'
until_true "$DEADLINE" test ! -e /dev/i2c-0
tell plug
check 'plugged in again: all are up' all '[("imu", "air", "in0") as $id | up($id)] | all'
check 'the readings that were due meanwhile show as a gap in seq' all 'readings("imu") | rising and
    ([range(1; length) as $i | .[$i].seq - .[$i - 1].seq] | all(. >= 1) and max > 10)'
stop all

# ---- FIFO mode --------------------------------------------------------------------------------------------------------------------

# The played chip's oscillator is 2 % fast: rate_hz is what it does, not what it was told.
tell chip 0x68 rate-error 2%
tell chip 0x68 count accel_x
start fifo 'mpu6050:i2c-0?mode=fifo&rate=100Hz&id=imu'
check 'FIFO: rate_hz is measured' fifo 'readings("imu") | length >= 400 and (last.rate_hz | near(102; 0.2))'
always 'FIFO: no sample is lost, none comes twice' fifo 'readings("imu") | unbroken and rising and
    ([range(1; length) as $i | (.[$i].fields.accel_x - .[$i - 1].fields.accel_x) * 8192 | round] | all(. == 1 or . == -65535))'
always 'FIFO: samples are even in time' fifo 'readings("imu")[200:] | unevenness(1 / 102) < 0.001'
stop fifo

# ---- GPIO -----------------------------------------------------------------------------------------------------------------------------

# By the chip's label: a chip that was unplugged while its lines were in use has another number afterwards.
# Levels that last a multiple of the 40 ms after which the kernel looks at them.
tell square 2 400 120
start edges 'digital:cp2112_gpio/2?every=1s&type=vibration&model=SW-420&id=count' 'digital:gpiochip0/3?edges=each&id=each'
check 'digital: edges are counted' edges 'readings("count") | length >= 5 and
    (.[1:] | all(.fields.edges | near(3.85; 1.2)) and (map(.fields.edges) | add / length | near(3.85; 0.4)))'
always 'digital: and the share of time high' edges 'readings("count")[1:] | length >= 4 and all(.fields.high_pct | near(23; 14)) and
    (map(.fields.high_pct) | add / length | near(23; 6))'
always 'digital: type and model as told' edges 'readings("count")[0] | .sensor_type == "vibration" and .sensor_model == "SW-420"'
tell line 3 1
check 'digital: an edge as it happens' edges 'readings("each") | map(.fields.state) == [0, 1]'
tell line 3 0
check 'digital: and the other one' edges 'readings("each") | map(.fields.state) == [0, 1, 0] and unbroken and rising'
start_as visitor stranger 'digital:gpiochip0/4?id=other'
check 'digital: without the group gpio it is denied' stranger 'down("other"; "denied") and
    (states("other")[0].reason | test("group gpio"))'
stop stranger
tell unplug
check 'digital: a chip that is gone is down' edges '[("count", "each") as $id | down($id; "absent")] | all'
until_true "$DEADLINE" test ! -e /dev/gpiochip0
tell plug
check 'digital: and up again under its label' edges 'up("count") and (states("count") | length >= 2)'
stop edges
