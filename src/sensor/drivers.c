/* drivers.c - see drivers.h. */
#include "sensor/drivers.h"

const struct psa_sensor_driver *const psa_sensor_drivers[] = {
    &psa_driver_mpu6050, &psa_driver_bmp180, &psa_driver_ads1115,
    &psa_driver_dht11,   &psa_driver_dht22,  &psa_driver_digital,
    &psa_driver_iio,     &psa_driver_sim,    NULL,
};
