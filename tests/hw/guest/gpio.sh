# gpio.sh - modules that Debian does not ship: a DHT11 and a DHT22 on gpio-sim, played by gpio_player, and buffered capture from the
# dummy IIO device by a timer's trigger.
# shellcheck shell=dash disable=SC2016,SC2034 # $ is for jq; lib.sh reads the variables

echo 1..15
DEADLINE=60 PAUSE=3000
load gpio-sim
mount -t configfs config /sys/kernel/config

# ---- DHT11 ----------------------------------------------------------------------------------------------------------------

sim=/sys/kernel/config/gpio-sim/board
mkdir -p $sim/bank0
echo 8 >$sim/bank0/num_lines
echo 1 >$sim/live
chip=$(cat $sim/bank0/chip_name)
gpio_player /run/dht "/dev/$chip" "/sys/devices/platform/$(cat $sim/dev_name)/$chip" 2 &
until_true 5 test -p /run/dht
tell() { echo "$*" >/run/dht; }

start dht "dht11:$chip/2?every=1s&id=room"
check 'dht11: 20 readings, all right' dht 'readings("room") | length >= 20 and
    all(.fields | .humidity_pct == 45 and .temperature_C == 23.4)'
always 'dht11: none was lost' dht 'readings("room") | unbroken and (spacing | near(1; 0.01))'
tell frame 60 0 2 133
check 'dht11: below zero' dht 'readings("room") | last.fields | .humidity_pct == 60 and .temperature_C == -2.5'
tell frame 45 0 23 4

# Two wrong sums are passed over, three are not.
holds dht 'readings("room") | last.seq' && before=$(cat /run/verdict)
tell corrupt 2
check 'dht11: two wrong sums are two lost readings' dht "readings(\"room\") | map(.seq) | last >= $before + 6 and
    ([range($before; $before + 6)] - . | length == 2)"
always 'dht11: and no more' dht 'states("room") | all(.fields.up == 1)'
tell corrupt 3
check 'dht11: three in a row are a fault' dht 'down("room"; "checksum")'
check 'dht11: and the next good one ends it' dht 'up("room") and (states("room") | length >= 2)'
always 'dht11: no wrong value ever' dht 'readings("room") | all(.fields | [.humidity_pct, .temperature_C] |
    . == [45, 23.4] or . == [60, -2.5])'
tell silent
check 'dht11: no answer is an absent sensor' dht 'down("room"; "absent")'
tell answer
check 'dht11: and the first answer brings it back' dht 'up("room") and (states("room") | length >= 4)'
stop dht

# The example of the AM2302's manual, section 7.2, with a temperature below zero.
tell frame 2 140 128 101
start dht22 "dht22:$chip/2?every=2s&id=cellar"
check 'dht22: 65.2 % and -10.1 C, as its manual says' dht22 'readings("cellar") | length >= 3 and
    all(.fields | .humidity_pct == 65.2 and .temperature_C == -10.1)'
stop dht22

# ---- IIO buffers -------------------------------------------------------------------------------------------------------------

load iio-trig-hrtimer
load iio_dummy
mkdir /sys/kernel/config/iio/triggers/hrtimer/clock /sys/kernel/config/iio/devices/dummy/meter
until_true 5 device_called meter iio >/dev/null
start iio 'iio:meter?trigger=clock&rate=100Hz&id=meter'
check 'iio: a capture by a trigger at 100 Hz' iio 'readings("meter") | length >= 300 and unbroken and (spacing | near(0.01; 0.00001))'
always 'iio: with the times of the trigger' iio 'readings("meter")[50:] | unevenness(0.01) < 0.0005'
rmdir /sys/kernel/config/iio/devices/dummy/meter
check 'iio: a device that goes while it is captured is down' iio 'down("meter"; "absent")'
mkdir /sys/kernel/config/iio/devices/dummy/meter
check 'iio: and captured again when it is back' iio 'up("meter") and (states("meter") | length >= 3) and
    (states("meter")[-1].timestamp_ns as $t | readings("meter") | map(select(.timestamp_ns > $t)) | length > 100)'
stop iio
