#!/usr/bin/env bats
# psa-filter: medians, outliers, trends, Kalman filters, other sampling rates: the libraries' numbers, and what is refused.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/filter_ops_check.py "$@"; }
refused() { # option argument sentence
    keep 2 "$BIN/psa-filter" "--$1" "$2" </dev/null
    saying "psa-filter: --$1: $3"
}

@test "golden: --resample equals scipy.signal.resample_poly on readings and blocks, times and rate_hz included" { check polyphase; }
@test "golden: --decimate equals scipy.signal.decimate, iir and fir, causal and zero-phase" { check decimate; }
@test "golden: linear, previous and mean onto a grid equal numpy.interp, pandas' asof and resample" { check grids; }
@test "a heartbeat makes what is older late, and promises no more than what waits" { check promises; }
@test "a silent stream holds heartbeats back until --max-gap lets go of it" { check silent_streams; }
@test "grid times are exact; equal times, long pauses and heartbeats" { check grid_edges; }
@test "every record comes as soon as the documented delay allows" { check delays; }
@test "golden: --median and --hampel equal pandas' rolling medians exactly, trailing and centred" { check medians; }
@test "golden: --detrend equals scipy.signal.detrend, and numpy.polyfit over the last N samples" { check trends; }
@test "golden: --kalman equals statsmodels at even and uneven times, missing samples predicted" { check kalman; }
@test "values that leave the range of a double are null and leave nothing behind" { check overflows; }

@test "arguments that mean nothing are refused with 2 and a sentence" {
    refused median 0 "'0' is not within 1 to 10001"
    refused median 10002 "'10002' is not within 1 to 10001"
    refused median 3.5 "'3.5' is no whole number"
    refused hampel 2 "'2' is not within 3 to 10001"
    refused hampel 7,-1 "'-1' is not within 0 to"
    refused hampel 7,3,1 "'7,3,1' is not N or N,K"
    refused detrend cubic "'cubic' is not constant, linear, constant,N or linear,N"
    refused detrend linear,1 "'1' is not within 2 to 100000"
    refused kalman level,1 "'level,1' is not level,Q,R or velocity,Q,R"
    refused kalman accel,1,1 "'accel,1,1' is not level,Q,R or velocity,Q,R"
    refused kalman level,-1,1 "'-1' is not within 0 to"
    refused kalman level,1,0 "'0' is not within"
    refused resample 0 "'0' must be above zero"
    refused resample 2e8 "'2e8' is not within 1e-9 to 1e8 Hz"
    refused resample 20,cubic "'cubic' is not polyphase, linear, previous or mean"
    refused decimate 1 "'1' is not within 2 to 4096"
    refused decimate 5000 "'5000' is not within 2 to 4096"
    refused decimate 4,iir,2 "'4,iir,2' is not Q, Q,iir or Q,fir"
    refused decimate 4,fft "'fft' is not iir or fir"
}

@test "rates that are no ratio are told with what to do instead" {
    record a '"x":1' 1 '"rate_hz":99.98765' >"$T/in"
    keep 3 "$BIN/psa-filter" --resample 50 --strict --stats <"$T/in"
    said 'psa-filter: stdin:1: a: --resample: 99.98765 Hz to 50 Hz is no ratio of numbers up to 4096; give --rate, or 50,linear; rejected'
    saying '"rejected":{"no_rate":1}'
    keep 0 "$BIN/psa-filter" --resample 50,linear <"$T/in"
    keep 2 "$BIN/psa-filter" --resample 1 --rate 4097 </dev/null
    saying 'is no ratio of numbers up to 4096'
    keep 0 "$BIN/psa-filter" --resample 1 --rate 4096 </dev/null
}
