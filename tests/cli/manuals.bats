#!/usr/bin/env bats
# The manuals as a whole, and the README's tour. That each page's examples run is the suite `man` of tests/run.sh; here
# is what that rests on: every program has a page, and tests/man/examples.py sees an example that is wrong.

load helpers

setup() {
    psa_setup
    command -v jq >/dev/null || skip 'jq is missing'
}

# manual LINE...: a page with one example block, on stdout.
manual() { printf '%s\n' '.Sh EXAMPLES' '.Bd -literal' "$@" .Ed; }

@test "README.md: the tour prints what it shows" { keep 0 tests/man/examples.py README.md; }

@test "every program has a manual, psa(7) and the README name them all" {
    for program in src/cmd/*.c; do
        name=$(basename "$program" .c)
        [ -e "man/$name.1" ] || { echo "man/$name.1 is missing"; false; }
        grep -q "^\.It Xr $name 1\$" man/psa.7 || { echo "psa(7) does not name $name"; false; }
    done
    for page in man/*.[1-8]; do
        grep -qF "]($page)" README.md || { echo "README.md does not name $page"; false; }
    done
}

@test "man shows every manual whole" {
    # groff ends a page where its reference macros (.Rs) fail it, with a message that man does not show; mandoc sees nothing wrong.
    command -v groff >/dev/null || skip 'groff is missing'
    for page in man/*.[1-8]; do
        LC_ALL=C groff -mdoc -Tascii -P-bcou "$page" >"$BATS_TEST_TMPDIR/shown" 2>"$BATS_TEST_TMPDIR/said"
        last=$(sed -n 's/^\.Sh //p' "$page" | tail -n 1)
        grep -q "^$last\$" "$BATS_TEST_TMPDIR/shown" || { echo "$page: $last is not shown"; false; }
        ! grep -E 'chop|diversion|Using a macro' "$BATS_TEST_TMPDIR/said" || { echo "$page"; false; }
    done
}

@test "every reason that the filters count stands in their manuals" {
    # The names in psa_reject(...), psa_drop(...) and psa_note(...) of a stage's files, or in a variable that they are handed;
    # then those that every filter has.
    files() { case $1 in features) ls src/stage/feature*.c src/stage/made.c ;; *) ls src/stage/"$1"*.c ;; esac; }
    reasons() {
        files "$1" | xargs cat | tr '\n' ' ' |
            grep -o 'psa_\(reject\|reject_held\|drop\|note\|count\|lose_held\)([^;]*\|\(reason\|broken\) = [^;]*' |
            grep -o '"[a-z_]*"' | tr -d '"' | sort -u
    }
    for stage in filter window features alert score; do
        [ -n "$(reasons "$stage")" ]
        for reason in $(reasons "$stage"); do
            grep -q "^\.\(It\|Pq\) Li .*\b$reason\b" "man/psa-$stage.1" || { echo "psa-$stage(1) does not explain $reason"; false; }
        done
    done
    for reason in no_key late syntax not_object fields time limit control max_line; do
        for stage in filter window features alert; do
            grep -q "^\.It Li $reason\b" "man/psa-$stage.1" || { echo "psa-$stage(1) does not explain $reason"; false; }
        done
    done
}

@test "examples: what fails, or prints something else, fails its page" {
    manual '$ echo a b' 'a...' '$ printf "%s\en" x "*"' 'x' '*' '$ cat' >"$T/good.1"
    keep 0 tests/man/examples.py "$T/good.1"
    manual '$ false' >"$T/status.1"
    manual '$ false | cat' >"$T/pipe.1"
    manual '$ echo a b' 'a c' >"$T/other.1"
    manual '$ printf "%s\en" a b' 'a' >"$T/more.1"
    manual '$ echo ab' '*' >"$T/star.1"
    manual 'no command' >"$T/none.1"
    for bad in status pipe other more star none; do keep 1 tests/man/examples.py "$T/$bad.1"; done
}
