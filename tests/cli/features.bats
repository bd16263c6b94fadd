#!/usr/bin/env bats
# psa-features: the golden numbers through the program, rolling statistics against brute force, windows inside.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/features_check.py "$@"; }
registry() {
    "$PY" -c 'import numpy, scipy, statsmodels' 2>/dev/null || skip 'no NumPy, SciPy and statsmodels (python3-statsmodels)'
    "$PY" tests/cli/features_registry_check.py "$@"
}

@test "golden: ten features of nine windows to 1e-9, NaN as null" { check windows; }
@test "golden: moving_avg is NumPy's, --moving-avg sets its length" { check moving_average; }
@test "--features, missing samples, windows of nulls, --keep" { check choice; }
@test "--rolling against brute force: offsets of 1e6, jumps of scale, nulls" { check rolling; }
@test "--length inside equals psa-window in front, byte for byte, and accounts for every record" { check inside; }
@test "more fields than names are kept ready for" { check many_names; }

@test "golden: every quantity of features.json" { registry golden_features; }
@test "golden: Welch's five option sets" { registry golden_welch; }
@test "golden: the envelope and its spectrum" { registry golden_envelope; }
@test "every feature that --list names, against NumPy, SciPy and statsmodels" { registry registry; }
@test "closed forms: a tone's rms, crest, amplitude and velocity; Parseval" { registry closed_forms; }
@test "--set and --features join in the order given" { registry sets; }
@test "what is undefined is null, with its reason" { registry undefined; }
@test "a missing sample is found in every place" { registry holes; }
@test "windows of eighty lengths in one stream" { registry lengths; }
@test "array fields and where their lines are" { registry axis; }
@test "bearings: outer race, inner race, ball, none" { registry bearing; }
@test "quality: stuck, clipped, dropout, jitter" { registry quality; }
@test "dropout where it is told, and null where it is not" { registry told_dropout; }
@test "a window that lost samples in a burst has no spectrum" { registry burst; }

@test "the manual's table is that of --list, and a stale one is found" {
    keep 0 tests/lint/features_manual.py
    sed 's/^peak to peak/peak to trough/' man/psa-features.1 >"$T/stale.1"
    PSA_FEATURES_PAGE=$T/stale.1 keep 1 tests/lint/features_manual.py
}

@test "every reason for which a feature is null stands in the manual" {
    sed -n 's/.*\[PSA_UNDEFINED_[A-Z_]*\] = "\([a-z_]*\)".*/\1/p' src/stage/feature_analysis.c >"$T/reasons"
    [ "$(wc -l <"$T/reasons")" -ge 10 ]
    while read -r reason; do
        grep -q "^\.It Li $reason\b" man/psa-features.1 || { echo "psa-features(1) does not explain $reason"; false; }
    done <"$T/reasons"
}

@test "--list needs nothing else, and no input" {
    keep 0 "$BIN/psa-features" --list </dev/null
    grep -q '^  spectral_centroid  *Hz  *sum f p / sum p' "$T/out"
    keep 2 "$BIN/psa-run" 'psa-features --list' </dev/null
    said 'psa-run: ask psa-features itself for its --list'
}

@test "--zones: the file that psa ships, and files with faults" {
    record a '"x":[0,1,0,-1,0,1,0,-1,0,1,0,-1,0,1,0,-1,0,1,0,-1,0,1,0,-1]' 1 '"rate_hz":100' >"$T/in"
    keep 0 "$BIN/psa-features" --features velocity_rms --zones pipelines/iso20816.zones,III <"$T/in"
    jq -e '.fields.x_velocity_rms > 11.2 and .fields.x_velocity_zone == 4' "$T/out" >/dev/null
    keep 2 "$BIN/psa-features" --zones pipelines/iso20816.zones </dev/null
    said 'psa-features: --zones: pipelines/iso20816.zones has 4 classes; name one: --zones pipelines/iso20816.zones,CLASS'
    keep 2 "$BIN/psa-features" --zones pipelines/iso20816.zones,V </dev/null
    said "psa-features: --zones: pipelines/iso20816.zones has no class 'V'"
    keep 2 "$BIN/psa-features" --zones "$T/none" </dev/null
    saying 'there is no file'
    keep 2 "$BIN/psa-features" --zones "$T" </dev/null
    saying 'Is a directory'
    keep 2 "$BIN/psa-features" --zones /dev/null </dev/null
    said 'psa-features: --zones: /dev/null has no class; write lines like: II 1.12 2.8 7.1'
    printf 'I 1 2 3\nII 1 2 3\nI 4 5 6\n' >"$T/zones"
    keep 2 "$BIN/psa-features" --zones "$T/zones,I" </dev/null
    said "psa-features: --zones: $T/zones:3: the class 'I' stands there twice"
    for line in 'I 1 2' 'I 1 2 3 4' 'I 2 1 3' 'I 0 1 2' 'I a b c'; do
        printf '# limits\n%s\n' "$line" >"$T/zones"
        keep 2 "$BIN/psa-features" --zones "$T/zones" </dev/null
        said "psa-features: --zones: $T/zones:2: a class and three rising limits in mm/s are expected"
    done
}

@test "a feature takes the name of a field that is there already" {
    { record a '"x":[1,3],"x_mean":5' 1 && record a '"x_mean":5,"x":[1,3]' 2; } >"$T/in"
    keep 0 "$BIN/psa-features" --features mean --stats <"$T/in"
    { record a '"x_mean":2' 1 && record a '"x_mean":2' 2; } | same "$T/out"
    saying '"noted":{"name_taken":2}'
    record a '"x":[1,3],"x_envelope":[2,2]' 1 '"rate_hz":10' >"$T/in"
    keep 0 "$BIN/psa-features" --features rms,envelope_rms --stats <"$T/in"
    jq -e '.fields | length == 3 and .x_envelope_rms == 2' "$T/out" >/dev/null
    saying '"noted":{"name_taken":1}'
    record a '"x":1,"x_mean_1":5' 1 >"$T/in"
    keep 0 "$BIN/psa-features" --rolling mean@1 --keep --stats <"$T/in"
    record a '"x":1,"x_mean_1":1,"x_mean_1_mean_1":5' 1 | same "$T/out"
    saying '"noted":{"name_taken":1}'
}

@test "-0 is a sign of its own: zcr counts it as negative, as NumPy's signbit does" {
    record a '"x":[0,-0,0,-0.0,1]' 1 >"$T/in"
    keep 0 "$BIN/psa-features" --features zcr <"$T/in"
    record a '"x_zcr":1' 1 | same "$T/out"
}

@test "a feature named twice is written once" {
    record a '"x":[1,3]' 1 >"$T/in"
    keep 0 "$BIN/psa-features" --features max,mean,max --set default --features max <"$T/in"
    jq -e '.fields | keys_unsorted | length == 10 and .[0] == "x_max"' "$T/out" >/dev/null
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
    said "psa-features: --features: there is no feature 'beauty'; see --list"
    keep 2 "$BIN/psa-features" --features '' </dev/null
    said "psa-features: --features: nothing named"
    refused() { # SENTENCE OPTION...
        local sentence=$1
        shift
        keep 2 "$BIN/psa-features" "$@" </dev/null
        said "psa-features: $sentence"
    }
    refused "--features: there is no feature 'kurtois'; the nearest: kurtosis; see --list" --features kurtois
    refused "--features: there is no feature 'hjorth'; the nearest: hjorth_activity, hjorth_mobility, hjorth_complexity; see --list" --features hjorth
    refused "--set: there is no set 'mach'; the nearest: machine; see --list" --set mach
    refused "--features: 'harmonic' needs --rpm or --rpm-field" --features harmonic
    refused "--features: 'bpfo' needs --bearing or --bearing-hz" --features bpfo
    refused "--features: 'band' needs --band" --features band
    refused "--features: 'velocity_zone' needs --zones" --features velocity_zone
    refused "--set: 'bearing' needs --bearing or --bearing-hz" --set bearing
    refused "--features: 'q101' is none of q0 to q100, such as q05, q50 or q99.9" --features q101
    refused "--features: 'autocorr_0' is none of autocorr_1 to autocorr_1000000" --features autocorr_0
    refused "--features: 'entropy_9999' is none of entropy_1 to entropy_1024" --features entropy_9999
    for unheard in --taper=hann --nperseg=64 --detrend=none --rpm=1500 --rpm-field=n --harmonics=2 --envelope=10:20 --bearing-lines=10:20 \
        --velocity-band=10:20 --unit=m/s2 --range=0:1 --rolloff=0.5 --taper=boxcar --nperseg=0 --detrend=constant \
        --average=mean --harmonics=3 --unit=g --rolloff=0.95 --moving-avg=5; do
        refused "${unheard%%=*} means nothing: none of the features wanted listens to it; see --features and --set" "$unheard" --features rms
    done
    keep 2 "$BIN/psa-features" --features spectral_rolloff --rolloff 1 </dev/null
    refused "--taper: 'round' is none of boxcar, hann, hamming, blackman, blackmanharris, flattop" --features psd --taper round
    refused "--detrend: 'flat' is none of none, constant, linear" --features psd --detrend flat
    refused "--average: 'mode' is none of mean, median" --features psd --average mode
    refused "--unit: 'kg' is none of g, m/s2" --features velocity_rms --unit kg
    refused '--noverlap means nothing without --nperseg' --features psd --noverlap 5
    refused '--noverlap 8 must be below --nperseg 8' --features psd --nperseg 8 --noverlap 8
    refused '--average median means nothing without --nperseg' --features psd --average median
    refused "--bearing needs the shaft's speed; give --rpm or --rpm-field" --bearing 8,1,4,0
    refused "--bearing: '8,4,4,0' is no bearing: at least one element, 0 < d < D, an angle below 90 degrees" --bearing 8,4,4,0 --rpm 60
    for bad in 8,1,4 8,1,4,0,5; do
        keep 2 "$BIN/psa-features" --bearing "$bad" --rpm 60 </dev/null
        saying "'$bad' is not n,d,D,angle"
    done
    refused "--bearing-hz: 'bpfx=1' is not like bpfo=118Hz,bpfi=162Hz,bsf=61,ftf=14.8" --bearing-hz bpfx=1
    refused "--bearing-hz: 'bsf=1,bsf=2' says a frequency twice" --bearing-hz bsf=1,bsf=2
    refused '--bearing-hz means nothing beside --bearing' --bearing 8,1,4,0 --rpm 60 --bearing-hz bsf=1
    refused "--band: '10' is no range; write it like 10:1000" --band 10
    refused "--band: '20:10' does not rise from 0 Hz or above" --band 20:10
    refused '--band: a band is given twice' --band 1:2 --band 1:2
    refused "--range: ':' is no range; write it like -2:2" --range :
    refused '--envelope: a band-pass must begin above 0 Hz' --features envelope --envelope 0:10
    refused '--rpm means nothing beside --rolling' --rolling mean@5 --rpm 60
    refused '--taper means nothing beside --rolling' --rolling mean@5 --taper hann
    keep 2 "$BIN/psa-features" --rolling mean </dev/null
    saying "'mean' has no lengths"
    keep 2 "$BIN/psa-features" --rolling mode@5 </dev/null
    keep 2 "$BIN/psa-features" --rolling mean@0 </dev/null
    keep 2 "$BIN/psa-features" --rolling mean@ </dev/null
    keep 2 "$BIN/psa-features" --rolling mean@5 --length 1s </dev/null
    saying 'give one of them'
    keep 2 "$BIN/psa-features" --length 1s --stride 10 </dev/null
    keep 2 "$BIN/psa-features" --length 0s </dev/null

    for twice in mean,mean@5 mean@5,7,5 mean,std,mean@1; do
        keep 2 "$BIN/psa-features" --rolling "$twice" </dev/null
        saying 'stands there twice'
    done
}
