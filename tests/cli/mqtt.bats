#!/usr/bin/env bats
# psa-mqtt-pub against real mosquitto brokers and a fake one that misbehaves on purpose.

load helpers

setup() {
    psa_setup
    for program in mosquitto_sub mosquitto_passwd openssl; do
        command -v "$program" >/dev/null || skip "$program is missing"
    done
}
check() { BATS_TEST_TMPDIR=$T "$PY" tests/cli/mqtt_check.py "$@"; }

@test "topics: default and suffixes, template, sanitised, publish_topic, \$ refused" { check topics; }
@test "payloads arrive byte for byte at each QoS, 1 MB too" { check payloads; }
@test "70,000 lines, more than packet identifiers: all arrive once, in order" { check many; }
@test "--retain; --status-topic and --will-topic at a clean end and after kill -9" { check retain_and_status; }
@test "--ack: counts, @ID, !N; control and blank lines" { check ack_lines; }
@test "--ack: an early PUBACK waits for the ones before it" { check ack_in_turn; }
@test "0x90, 0x95, 0x99 bury the line; 0x10 is a success" { check hopeless; }
@test "other refusals: kept with --ack, exit 4 without" { check refused; }
@test "a line refused for long: waits grow, lines behind it arrive" { check refused_for_long; }
@test "CONNACK refuses: kept with --ack, exit 4 without" { check connack_refused; }
@test "mosquitto refuses: wrong password, ACL, too large; credentials from file and environment" { check mosquitto_refuses; }
@test "the broker's limits: packet size to the byte, QoS, retain, receive maximum" { check limits_of_the_broker; }
@test "dropped after each PUBLISH: nothing is lost" { check dropped_after_each; }
@test "DISCONNECT 0x95: the culprit is found among many" { check culprit; }
@test "a line that breaks the connection is kept and named" { check breaking_line; }
@test "QoS 2, death between PUBREC and PUBCOMP: clean, resumed, session lost" { check exactly_once_restart; }
@test "a broker absent at the start, killed and back" { check absent_then_present; }
@test "mosquitto killed among 20,000 lines, back without memory" { check killed_in_the_middle; }
@test "unreachable: bounded and counted" { check unreachable; }
@test "a host's addresses are tried in turn" { check every_address; }
@test "never answers: the drain timeout ends it with a count" { check never_answers; }
@test "a stopped broker is noticed by the keepalive" { check keepalive; }
@test "TLS: good, wrong CA, wrong host, expired, versions, client certificate" { check tls; }
@test "Home Assistant discovery" { check discovery; }
@test "discovery and status anew after each connection" { check discovery_again; }
@test "what CONNECT says" { check connect_packet; }
@test "never more on their way than --in-flight" { check window; }
@test "a line is published at once; SIGTERM delivers what was read" { check at_once; }

@test "options that mean nothing are refused with 2 and a sentence" {
    refuse() { local text=$1; shift; keep 2 "$BIN/psa-mqtt-pub" "$@" </dev/null; saying "$text"; }
    refuse 'nothing is acknowledged at QoS 0' --ack --qos 0
    refuse '--retain needs a --topic with {sensor_id}' --retain
    refuse '--ha-discovery needs a --topic with {sensor_id}' --ha-discovery
    refuse '--persistent means nothing without --client-id' --persistent
    refuse '--session-expiry means nothing without --persistent' --session-expiry 1h
    refuse 'means nothing in MQTT 3.1.1' --persistent --client-id a --session-expiry 1h --protocol 3.1.1
    refuse "--protocol: '4' is no version" --protocol 4
    refuse '--status-topic' --status-topic 'a/+'
    refuse '--status-topic' --status-topic "\$SYS/a"
    refuse '--will-topic means nothing beside --status-topic' --will-topic a --status-topic b
    refuse '--will-payload means nothing without --will-topic' --will-payload a
    refuse '--keepalive is 0, or 5s and more' --keepalive 1s
    refuse "--tls-version: '1.1' is no TLS version" --tls-version 1.1
    refuse "--tls-min: '1.4' is no TLS version" --tls-min 1.4
    refuse '--tls-version means nothing beside --tls-min' --tls-version 1.2 --tls-min 1.2
    refuse '--cert means nothing without --key' --cert a
    refuse '--credentials: /no: No such file' --credentials /no
    : >"$T/empty"
    refuse 'there is no user name in its first line' --credentials "$T/empty"
    refuse '--client-id' --client-id ''
    refuse '--topic' --topic 'a/#'
    keep 0 "$BIN/psa-mqtt-pub" </dev/null
    [ ! -s "$T/out" ] && [ ! -s "$T/err" ]
}
