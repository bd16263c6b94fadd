/* mqtt_pub_main.h - psa-mqtt-pub: records to an MQTT broker, psa-mqtt-pub(1). */
#ifndef PSA_IO_MQTT_PUB_MAIN_H
#define PSA_IO_MQTT_PUB_MAIN_H

int psa_mqtt_pub_main(int argc, char **argv);

#endif
