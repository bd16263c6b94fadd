#!/usr/bin/env bats
# psa-webhook: against real servers that answer as they are told (webhook_check.py), and what it refuses at the start.

load helpers
setup() { psa_setup; unset PSA_WEBHOOK_TOKEN; }
check() { "$PY" tests/cli/webhook_check.py "$@"; }
refuse() { keep 2 "$BIN/psa-webhook" "${@:2}" </dev/null; said "psa-webhook: $1"; }

@test "what is sent: the lines' bytes in order, over one connection; large ones; at once" { check bodies large at_once one_at_a_time; }
@test "headers, a token from a file or the environment" { check headers tokens; }
@test "401: the token is read again" { check token_renewed; }
@test "a template, with quotes and control characters in values" { check template; }
@test "5xx, 408, 425 and 429 are tried again in order" { check retried; }
@test "Retry-After in seconds and as a date is obeyed, up to --retry-after-max" { check retry_after; }
@test "other 4xx: !N, --rejects, --strict" { check hopeless; }
@test "401, 403 and 407: kept with --ack, exit status 4 without" { check refused; }
@test "--tries gives a record up" { check given_up; }
@test "redirects: on the same server followed, else refused" { check redirected redirects_refused; }
@test "TLS: the certificate, its name and authority, the version, client certificates, upgrades" { check tls; }
@test "the server is absent at the start" { check absent; }
@test "connections that break in the middle of an answer" { check dropped; }
@test "slow and endless answers" { check slow endless; }
@test "a proxy from the environment" { check proxied; }
@test "--ack: blank, control and rejected lines count; nobody reads it" { check acknowledged reader_gone; }
@test "the end: --drain-timeout, SIGTERM" { check drained stopped; }
@test "--parallel" { check parallel; }
@test "secrets are never printed" { check secrets; }

@test "URLs that are refused" {
    refuse 'no URL to send to; name it, or a file that holds it with --url-file'
    refuse 'the URL begins with neither http:// nor https://' ftp://example.org/
    refuse 'the URL begins with neither http:// nor https://' file:///etc/passwd
    keep 2 "$BIN/psa-webhook" example.org/x </dev/null
    keep 2 "$BIN/psa-webhook" '' </dev/null
    refuse 'the URL holds a user or a password; put an Authorization line into a file for --header-file, or a token into one for --bearer' \
        https://me:word@example.org/
    printf '\n' >"$T/url"
    refuse "--url-file $T/url: is empty" --url-file "$T/url"
    refuse "--url-file $T/none: there is no such file" --url-file "$T/none"
    printf 'http://a\nhttp://b\n' >"$T/url"
    refuse "--url-file $T/url: must hold one line of printable ASCII without white space" --url-file "$T/url"
}

@test "options that are refused" {
    local url=http://127.0.0.1:1/
    refuse "--method: 'GET' is neither POST nor PUT" --method GET $url
    refuse "--tls-min: '1.1' is neither 1.2 nor 1.3" --tls-min 1.1 $url
    refuse "--header: not a line like 'X-Site: north' without control characters" -H 'X-Site' $url
    refuse "--header: not a line like 'X-Site: north' without control characters" -H $'X: a\r\nY: b' $url
    refuse "--header: not a line like 'X-Site: north' without control characters" -H 'X Y: b' $url
    refuse 'the header content-length is made from what is sent; leave it out' -H 'content-length: 5' $url
    refuse '--header: everybody can read authorization on a command line; put it into a file for --header-file, or a token into one for --bearer' \
        -H 'authorization: Bearer x' $url
    printf 'X-Good: 1\nbad line\n' >"$T/headers"
    refuse "--header-file $T/headers: line 2 is not 'Name: value'" --header-file "$T/headers" $url
    printf 'Authorization: Basic eA==\n' >"$T/headers"
    echo token >"$T/token"
    refuse 'a bearer token and an Authorization header mean the same; give one' --header-file "$T/headers" --bearer "$T/token" $url
    : >"$T/token"
    refuse "--bearer $T/token: is empty" --bearer "$T/token" $url
    printf 'a b\n' >"$T/token"
    refuse "--bearer $T/token: must hold one line of printable ASCII without white space" --bearer "$T/token" $url
    PSA_WEBHOOK_TOKEN='a b' refuse 'PSA_WEBHOOK_TOKEN must be printable ASCII without white space' $url
    refuse '--template-text is not JSON with its places filled: line 1, byte 9: no comma or } behind a member' --template-text '{"a":{b}5}' $url
    printf '{"text":"a\0"}' >"$T/template"
    refuse "--template $T/template: holds a NUL byte; not a text file" --template "$T/template" $url
    keep 2 "$BIN/psa-webhook" --template "$T/template" --template-text 1 $url </dev/null
    refuse '--key means nothing without --cert' --key "$T/token" $url
    refuse "--ca $T/none: cannot be read" --ca "$T/none" $url
    refuse "--parallel: '17' is not within 1 to 16" --parallel 17 $url
}

@test "no input: no connection, nothing printed, 0" {
    keep 0 "$BIN/psa-webhook" --ack http://127.0.0.1:1/ </dev/null
    [ ! -s "$T/out" ] && [ ! -s "$T/err" ]
}
