#!/usr/bin/env bash
# skab-detectors.sh FILE... - every detector on real recordings of a pump with a valve being closed (SKAB), judged alike.
#
# By SKAB's protocol: of each recording the first 400 rows are there to learn from, all was well then; the rest is judged row
# by row; the rows of all files are counted together. A detector has one fixed configuration for all files, sees no row
# before its time, and no label ever: psa-eval alone reads those. That said, the configurations are the best of some dozen
# tried for each detector on valve1's files, so expect a little less of them on others; dynamic PCA has its defaults.
#
# Each line's command reads the recordings as records and writes them scored. Most smooth the score (psa-filter --ewma 0.05:
# the last minute or so) and call a row anomalous where that is above a threshold of its own, since a closing valve lasts
# minutes. `without` leaves out Temperature and Thermocouple, which follow the room and the hour, so that every later row
# looks new to what was learned in the first minutes. Conformal is out of its element here: it is for slow values with days behind
# them (replay-nab.sh).
set -euo pipefail

TRAIN_ROWS=400
BIN=${PSA_BIN:-$(dirname "$0")/../bin}

[ $# -gt 0 ] || { echo "usage: skab-detectors.sh FILE..." >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH="$BIN:$PATH"

psa-replay --id-from path "$@" >"$work/all"
psa-replay --id-from path --drop Temperature,Thermocouple "$@" >"$work/without"

# judge NAME RECORDINGS THRESHOLD COMMAND: a line of the table. THRESHOLD -: anomaly.is_anomaly.
judge() {
    local above=()
    [ "$3" = - ] || above=(--threshold "$3")
    bash -c "$4" <"$work/$2" 2>"$work/messages" >"$work/scored" || { cat "$work/messages" >&2; return 1; }
    psa-eval --skip "$TRAIN_ROWS" --json "${above[@]}" "$work/scored" |
        jq -r --arg name "$1" --arg on "$2" --arg command "${4//"$work"\//}" --arg threshold "$3" '
            def rate: if . == null then "-" else (. * 1000 | round / 1000 | tostring) end;
            [$name, (.points | (.f1, .far, .mar | rate)), (.roc_area | rate),
             "\($on): \($command)\(if $threshold == "-" then "" else ", score >= " + $threshold end)"] | @tsv'
}

# train RECORDINGS KIND [options]: a model for each stream, of its first rows, where psa-score --models looks for it.
train() {
    local recordings=$1 id
    shift
    mkdir -p "$work/models/recording"
    sed 's/.*"sensor_id":"\([^"]*\)".*/\1/' "$work/$recordings" | uniq >"$work/ids"
    while read -r id; do
        grep -F "\"sensor_id\":\"$id\"" "$work/$recordings" >"$work/stream"
        head -n "$TRAIN_ROWS" "$work/stream" | psa-train "$@" -o "$work/models/recording/$(jq -rn --arg id "$id" '$id | @uri').json"
    done <"$work/ids"
}

# trained NAME RECORDINGS THRESHOLD KIND [options]
trained() {
    local name=$1 recordings=$2 threshold=$3
    shift 3
    rm -rf "$work/models"
    train "$recordings" "$@"
    judge "$name" "$recordings" "$threshold" "psa-score --models $work/models | $smooth" | sed "s|psa-score|psa-train $* (each stream); psa-score|"
}

smooth='psa-filter --ewma 0.05 --fields anomaly_score'
{
    printf 'detector\tF1\tFAR\tMAR\tROC area\tconfiguration\n'
    judge dynamic-pca all - 'psa-score --dynamic-pca --lags 5,8,12 --warmup 400'
    trained mahalanobis without 0.3 mahalanobis --contamination 0.01
    judge ewma without - 'psa-score --ewma --warmup 400'
    trained pca without 0.3 pca --contamination 0.05
    judge half-space-trees without - 'psa-filter --ewma 0.2 | psa-score --half-space-trees --warmup 400'
    judge ecod without 0.3 "psa-score --ecod --warmup 400 --freeze | $smooth"
    judge cusum all - 'psa-score --cusum --warmup 400 --allowance 1 --off 1'
    trained isolation-forest without 0.3 isolation-forest --contamination 0.05
    judge conformal without - 'psa-score --conformal --season 0 --shingle 20 --warmup 400 --on 8 --off 1'
} | awk -F '\t' '{ printf "%-17s %6s %6s %6s %9s  %s\n", $1, $2, $3, $4, $5, $6 }'
