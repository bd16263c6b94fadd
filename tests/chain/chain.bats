#!/usr/bin/env bats
# The promises about chains, for every stage and for the whole chain on psa-sim's press shop: chain_check.py.

load ../cli/helpers
setup() { psa_setup; }
check() { BATS_TEST_TMPDIR=$T "$PY" tests/chain/chain_check.py "$@"; }

@test "fused equals piped byte for byte: every stage, and chains in several orders" { check fused; }
@test "fused equals piped where names collide, keys change on the way, numbers overflow" { check names; }
@test "any chunking of the input gives the same bytes: 1, 7, 4099 bytes, 64 KiB" { check chunks; }
@test "what a record completes appears before anything more is written" { check latency; }
@test "cut anywhere and resumed from --state gives the bytes of the uncut stream" { check states; }
@test "the same with --flat" { check flat_states; }
@test "a state of other options, another version, or damaged is refused with 2, never overwritten" { check refused; }
@test "checkpoints: the last two are kept, restored exactly; without the file the status is 2" { check checkpoints; }
@test "no locale changes a byte" { check locale; }
@test "a file, a pipe and - give the same bytes" { check replay; }
