# pipelines/subscribe.sh: from a broker through the stages, the same alerts as without a broker between.
load helpers

setup() { psa_setup; }

@test "subscribe.sh: what is published comes out as the alerts that the stages give" {
    export PSA_STAGES='psa-features --rolling mean,std@10 | psa-score --ecod --warmup 200 --contamination 0.01 | psa-alert --raise 3/4'
    psa-sim --scene imu --seed 3 >"$T/in"
    psa-run "$PSA_STAGES" <"$T/in" >"$T/want"
    [ -s "$T/want" ]
    cat >"$T/run.py" <<END
import os, signal, subprocess, sys
sys.path.insert(0, "$PWD/tests/fault")
from broker import Broker, wait_until
with Broker("$T") as broker:
    at = ["-h", "127.0.0.1", "-p", str(broker.port)]
    with open("$T/got", "wb") as out:
        pipeline = subprocess.Popen(["$PWD/pipelines/subscribe.sh", *at, "-t", "factory/#"], stdout=out, start_new_session=True)
    wait_until(lambda: "Sending SUBACK to psa-subscribe" in broker.logged(), "nobody subscribes")
    with open("$T/in", "rb") as source:
        subprocess.run(["psa-mqtt-pub", "--host", "127.0.0.1", "--port", str(broker.port)], stdin=source, check=True)
    want = os.path.getsize("$T/want")
    wait_until(lambda: os.path.getsize("$T/got") >= want, lambda: "only %d bytes" % os.path.getsize("$T/got"))
    os.killpg(pipeline.pid, signal.SIGTERM)
    pipeline.wait(20)
END
    keep 0 "$PY" "$T/run.py"
    cmp "$T/want" "$T/got"
}

@test "subscribe.sh without a topic says how it is called" {
    keep 2 pipelines/subscribe.sh
    saying 'usage: subscribe.sh -t TOPIC'
}
