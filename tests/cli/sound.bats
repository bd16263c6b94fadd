#!/usr/bin/env bats
# psa-replay on sound files: every sample, exact times (sound_check.py), and what it says about files that are none.

load helpers
setup() {
    psa_setup
    DATA=${PSA_DATA:-../shared/data}
}
check() { "$PY" tests/cli/sound_check.py "$@"; }
check_written() { # with files that the module soundfile writes
    local status=0
    check "$@" || status=$?
    [ "$status" -ne 77 ] || skip 'python3-soundfile is missing'
    return "$status"
}
# tone FRAMES: a mono WAV of 16 bits at 1000 Hz on stdout, its samples counting from 0.
tone() { "$PY" -c 'import struct, sys; n = int(sys.argv[1]); sys.stdout.buffer.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 2 * n,
    b"WAVE", b"fmt ", 16, 1, 1, 1000, 2000, 2, 16, b"data", 2 * n) + b"".join(struct.pack("<h", i) for i in range(n)))' "$1"; }

@test "eight channels of 24 bits: every sample, from a file and from a pipe; nine are refused" { check pcm24; }
@test "16 bits: every sample" { check pcm16; }
@test "float and double: every sample is the file's own double; what is no number is null and counted" { check floats; }
@test "FLAC, AIFF, W64, CAF, AU, RF64, RIFX: every sample, by name and by content, from a pipe too" { check_written formats; }
@test "times are exact at 44.1 kHz after 33 million samples" { check times; }
@test "the time of a broadcast wave file; one that is none is 1970, and that is said" { check broadcast; }
@test "a file that ends too early plays as far as it goes, and that is said" { check cut; }
@test "cut short: every kind says the same as a file and from a pipe" { check_written cut_kinds; }
@test "a damaged FLAC file plays up to the damage, a pipe too; --strict exits with 3" { check_written damaged; }
@test "what stands before a pipe's samples must fit into 64 KiB; the message names the limit" { check far; }
@test "a short file takes little memory, whatever --block and --max-channels allow" {
    ! grep -q __asan_init "$BIN/psa-replay" || skip "AddressSanitizer takes all of the address space"
    check room
}
@test "any chunking of a pipe gives the same bytes, a live recording shows as it comes and can be stopped" { check chunks; }

@test "a block is one record" {
    tone 5 >"$T/tone.wav"
    keep 0 "$BIN/psa-replay" --block 3 --scale 32768 --sensor-type vibration --sensor-model m "$T/tone.wav"
    same "$T/out" <<'END'
{"sensor_type":"vibration","sensor_model":"m","sensor_id":"tone","fields":{"ch1":[0,1,2]},"rate_hz":1000,"timestamp_ns":0}
{"sensor_type":"vibration","sensor_model":"m","sensor_id":"tone","fields":{"ch1":[3,4]},"rate_hz":1000,"timestamp_ns":3000000}
END
}

@test "MFPT's recordings are read whole, and features are made of them" {
    [ -e "$DATA/mfpt/inner_1.wav" ] || skip "$DATA/mfpt/inner_1.wav is missing"
    for name in inner_1 outer_1; do
        keep 0 "$BIN/psa-replay" --stats-file "$T/stats" "$DATA/mfpt/$name.wav"
        jq -s -e 'map(.fields.ch1 | length) | add == 146484' "$T/out"
        jq -e '.in == 36 and .passed == 36 and .noted == {}' "$T/stats"
        cp "$T/out" "$T/blocks"
        keep 0 "$BIN/psa-features" --length 48828 --features rms <"$T/blocks"
        jq -s -e 'length == 3 and all(.[]; .fields.ch1_rms > 0.1)' "$T/out"
    done
}

@test "sound, tables and NDJSON are merged by time; --from and --to choose whole blocks; --restamp-to shifts them" {
    tone 8 >"$T/tone.wav"
    printf 'time_ns,x\n1000000,1\n4000000,2\n' >"$T/table.csv"
    record n '"x":3' 3999999 >"$T/n.ndjson"
    keep 0 "$BIN/psa-replay" --block 2 "$T/tone.wav" "$T/table.csv" "$T/n.ndjson"
    jq -c '[.sensor_id, .timestamp_ns]' "$T/out" | tr '\n' ' ' >"$T/order"
    echo -n '["tone",0] ["table",1000000] ["tone",2000000] ["n",3999999] ["tone",4000000] ["table",4000000] ["tone",6000000] ' |
        same "$T/order"
    keep 0 "$BIN/psa-replay" --block 2 --from 1 --to 6000000 --stats-file "$T/stats" "$T/tone.wav"
    jq -s -e 'map(.timestamp_ns) == [2000000, 4000000]' "$T/out"
    jq -e '.in == 4 and .dropped == {"range": 2}' "$T/stats"
    keep 0 "$BIN/psa-replay" --block 4 --restamp-to 2024-03-09T16:00:00Z "$T/tone.wav"
    grep -c '"rate_hz":1000,"timestamp_ns":17100000000[0-9]*}$' "$T/out"
    tail -n 1 "$T/out" | grep -q '"timestamp_ns":1710000000004000000}'
}

@test "files named as sound that are none, and wrong options, end it with 2" {
    echo 'time,a' >"$T/text.wav"
    keep 2 "$BIN/psa-replay" "$T/text.wav"
    said "psa-replay: $T/text.wav: named as a sound file, but it does not begin as one; --format csv or ndjson reads it as text, --format sound tries"
    keep 0 "$BIN/psa-replay" --format csv "$T/text.wav"
    keep 2 "$BIN/psa-replay" --format sound "$T/text.wav"
    saying "$T/text.wav: no sound that libsndfile can read: "
    printf '\377\363\204\304\0\0\n\0' >"$T/tone.mp3"
    keep 2 "$BIN/psa-replay" "$T/tone.mp3"
    said "psa-replay: $T/tone.mp3: neither records, nor a table, nor begins as sound that libsndfile knows; --format sound tries what else it can open"
    printf '\377\363\204\304\n' | keep 2 "$BIN/psa-replay"
    saying 'stdin: neither records, nor a table'
    : >"$T/empty.flac"
    keep 2 "$BIN/psa-replay" "$T/empty.flac"
    said "psa-replay: $T/empty.flac: an empty file, not sound"
    tone 3 >"$T/tone.wav"
    keep 2 "$BIN/psa-replay" --channels a,b "$T/tone.wav"
    said "psa-replay: $T/tone.wav: 1 channels, but --channels names 2"
    keep 2 "$BIN/psa-replay" --channels '' "$T/tone.wav"
    said 'psa-replay: --channels names none'
    keep 2 "$BIN/psa-replay" --scale 1,2 "$T/tone.wav"
    said "psa-replay: $T/tone.wav: 1 channels, but --scale has 2 factors"
    keep 2 "$BIN/psa-replay" --scale g "$T/tone.wav"
    keep 2 "$BIN/psa-replay" --start-time soon "$T/tone.wav"
    keep 2 "$BIN/psa-replay" --block 0 "$T/tone.wav"
    keep 0 "$BIN/psa-replay" --start-time 9223372036854775807 --block 1 --stats-file "$T/stats" "$T/tone.wav"
    saying "its samples' time does not fit int64 nanoseconds"
    jq -e '.in == 2 and .passed == 1 and .rejected == {"time": 1}' "$T/stats"
}

@test "a short line in a pipe that might be sound is text at once" {
    mkfifo "$T/pipe"
    "$BIN/psa-replay" <"$T/pipe" >"$T/out" &
    exec 7>"$T/pipe"
    printf 'RIF,time\n1,2\n' >&7
    for _ in $(seq 100); do [ -s "$T/out" ] && break; sleep 0.05; done
    grep -q '"fields":{"RIF":1}' "$T/out"
    exec 7>&-
    wait $!
}

@test "only psa-replay needs libsndfile" {
    command -v readelf >/dev/null || skip 'readelf is missing'
    for program in src/cmd/*.c; do
        name=$(basename "$program" .c)
        readelf -d "$BIN/$name" | grep NEEDED >"$T/needed"
        if [ "$name" = psa-replay ]; then grep -q libsndfile "$T/needed"; else ! grep -q libsndfile "$T/needed"; fi
    done
}
