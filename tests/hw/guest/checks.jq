# checks.jq - words for the guests' checks. The input is the array of all records so far.

def near($value; $tolerance): . != null and (. - $value | fabs) <= $tolerance;

# The readings and the status records of a sensor.
def readings($id): map(select(.sensor_id == $id and .sensor_type != "status"));
def states($id): map(select(.sensor_id == $id and .sensor_type == "status"));

# Did the last status say so?
def down($id; $fault): states($id) | last | .fields.up == 0 and .fault == $fault;
def up($id): states($id) | last | .fields.up == 1;

# Every reading's seq is one more than the one's before; times are later.
def unbroken: . as $r | [range(1; length)] | all($r[.].seq == $r[. - 1].seq + 1);
def rising: . as $r | [range(1; length)] | all($r[.].timestamp_ns > $r[. - 1].timestamp_ns);
# Seconds a reading, whether all came or not.
def spacing: (last.timestamp_ns - first.timestamp_ns) / (last.seq - first.seq) / 1e9;
# The greatest deviation of a distance from that in seconds.
def unevenness($s): . as $r | [range(1; length) | ($r[.].timestamp_ns - $r[. - 1].timestamp_ns) / 1e9 - $s | fabs] | max;
