/* psa-mqtt-pub - records to an MQTT broker, psa-mqtt-pub(1). */
#include "io/mqtt_pub_main.h"

int main(int argc, char **argv)
{
    return psa_mqtt_pub_main(argc, argv);
}
