# helpers.bash - what the program tests share. `load ../cli/helpers` (or `load helpers`) and call psa_setup in setup().
#
# A tool under test never stands where a pipe loses its status: it reads a file or a here-document and writes a file.

psa_setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit 1
    set -o pipefail
    BIN=$(realpath "${PSA_BIN:-bin}")
    T=$BATS_TEST_TMPDIR
    PY=python3
    [ ! -x /usr/bin/python3 ] || PY=/usr/bin/python3
    export PY PSA_BIN=$BIN PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD/tests/cli
}

# record ID FIELDS NS [MORE MEMBERS]
record() { printf '{"sensor_id":"%s","fields":{%s},"timestamp_ns":%s%s}\n' "$1" "$2" "$3" "${4:+,$4}"; }

# keep STATUS COMMAND...: stdout to $T/out, stderr to $T/err; fails unless the exit status is STATUS.
keep() {
    local want=$1 got=0
    shift
    "$@" >"$T/out" 2>"$T/err" || got=$?
    [ "$got" -eq "$want" ] && return
    printf 'exit status %d, not %d: %s\n' "$got" "$want" "$*" >&2
    head -n 20 "$T/err" >&2
    return 1
}

# same FILE: equal to what stands on stdin; shows the difference.
same() { diff "$1" - >&2; }

# said TEXT: $T/err has a line with exactly this text, or one that contains it with `saying`.
said() { grep -qxF -- "$1" "$T/err" || { printf 'not said: %s\nbut:\n' "$1" && head -n 20 "$T/err"; } >&2; grep -qxF -- "$1" "$T/err"; }
saying() { grep -qF -- "$1" "$T/err" || { printf 'not said: %s\nbut:\n' "$1" && head -n 20 "$T/err"; } >&2; grep -qF -- "$1" "$T/err"; }

# accounts FILE: in = passed + absorbed + dropped + rejected in every line of --stats.
accounts() {
    grep -F '{"psa_stats"' "$1" >"$T/stats.lines"
    jq -s -e 'length > 0 and all(.[]; .in == .passed + .absorbed + ([.dropped[], .rejected[]] | add // 0))' "$T/stats.lines" >/dev/null ||
        { cat "$T/stats.lines" >&2; return 1; }
}
