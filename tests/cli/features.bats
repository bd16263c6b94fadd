#!/usr/bin/env bats
# psa-features: the golden numbers through the program, rolling statistics against brute force, windows inside.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/features_check.py "$@"; }

@test "golden: ten features of nine windows to 1e-9, NaN as null" { check windows; }
@test "golden: moving_avg is NumPy's, --moving-avg sets its length" { check moving_average; }
@test "--features, missing samples, windows of nulls, --keep" { check choice; }
@test "--rolling against brute force: offsets of 1e6, jumps of scale, nulls" { check rolling; }
@test "--length inside equals psa-window in front, byte for byte, and accounts for every record" { check inside; }
@test "more fields than names are kept ready for" { check many_names; }

@test "-0 is a sign of its own: zcr counts it as negative, as NumPy's signbit does" {
    record a '"x":[0,-0,0,-0.0,1]' 1 >"$T/in"
    keep 0 "$BIN/psa-features" --features zcr <"$T/in"
    record a '"x_zcr":1' 1 | same "$T/out"
}

@test "readings without a window are rejected with a sentence that says what to do" {
    { record a '"x":1' 1 && record a '"x":[1,2]' 2 && record a '"s":"on"' 3; } >"$T/in"
    keep 3 "$BIN/psa-features" --features mean --strict --stats --rejects "$T/rejects" <"$T/in"
    record a '"x_mean":1.5' 2 | same "$T/out"
    said 'psa-features: stdin:1: no field is an array; put psa-window before it, or give --length or --rolling; rejected'
    said 'psa-features: stdin:3: no field is an array; put psa-window before it, or give --length or --rolling; rejected'
    saying '"rejected":{"no_window":2}'
    sed -n '1p;3p' "$T/in" | same "$T/rejects"
}

@test "--rolling: a field that turns into a string or an array is rejected" {
    { record a '"x":1' 1 && record a '"x":[1,2]' 2 && record a '"x":"hot"' 3 && record a '"x":3' 4; } >"$T/in"
    keep 0 "$BIN/psa-features" --rolling mean@2 --stats <"$T/in"
    { record a '"x_mean_2":null' 1 && record a '"x_mean_2":2' 4; } | same "$T/out"
    said 'psa-features: stdin:2: fields.x is not a number; skipped'
    said 'psa-features: stdin:3: fields.x is not a number; skipped'
    accounts "$T/err"
}

@test "an array of one sample and an empty array" {
    { record a '"x":[3]' 1 '"rate_hz":10' && record a '"x":[]' 2 '"rate_hz":10'; } >"$T/in"
    keep 0 "$BIN/psa-features" <"$T/in"
    { record a '"x_rms":3,"x_kurtosis":null,"x_spectral_energy":0,"x_zcr":null,"x_moving_avg":3,"x_ptp":0,"x_mean":3,"x_std":0,"x_min":3,"x_max":3' 1
      record a '"x_rms":null,"x_kurtosis":null,"x_spectral_energy":null,"x_zcr":null,"x_moving_avg":null,"x_ptp":null,"x_mean":null,"x_std":null,"x_min":null,"x_max":null' 2; } | same "$T/out"
}

@test "options that mean nothing are refused with 2 and a sentence" {
    keep 2 "$BIN/psa-features" --features rms,beauty </dev/null
    said "psa-features: --features: there is no feature 'beauty'; see --help"
    keep 2 "$BIN/psa-features" --features '' </dev/null
    keep 2 "$BIN/psa-features" --rolling mean </dev/null
    saying "'mean' has no lengths"
    keep 2 "$BIN/psa-features" --rolling median@5 </dev/null
    keep 2 "$BIN/psa-features" --rolling mean@0 </dev/null
    keep 2 "$BIN/psa-features" --rolling mean@ </dev/null
    keep 2 "$BIN/psa-features" --rolling mean@5 --length 1s </dev/null
    saying 'give one of them'
    keep 2 "$BIN/psa-features" --length 1s --stride 10 </dev/null
    keep 2 "$BIN/psa-features" --length 0s </dev/null
    keep 2 "$BIN/psa-features" --features rms,mean,rms </dev/null
    said "psa-features: --features: 'rms' stands there twice"
    for twice in mean,mean@5 mean@5,7,5 mean,std,mean@1; do
        keep 2 "$BIN/psa-features" --rolling "$twice" </dev/null
        saying 'stands there twice'
    done
}
