/* drivers.h - the drivers there are, one line a chip; drivers.c has them in the order of --list. */
#ifndef PSA_SENSOR_DRIVERS_H
#define PSA_SENSOR_DRIVERS_H

#include "sensor/driver.h"

extern const struct psa_sensor_driver psa_driver_mpu6050;
extern const struct psa_sensor_driver psa_driver_bmp180;
extern const struct psa_sensor_driver psa_driver_ads1115;
extern const struct psa_sensor_driver psa_driver_dht11;
extern const struct psa_sensor_driver psa_driver_dht22;
extern const struct psa_sensor_driver psa_driver_digital;
extern const struct psa_sensor_driver psa_driver_iio;
extern const struct psa_sensor_driver psa_driver_sim;

#endif
