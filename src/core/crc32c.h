/* crc32c.h - CRC-32C (Castagnoli), as iSCSI has it: RFC 3720, section 12.1 and appendix B.4. */
#ifndef PSA_CORE_CRC32C_H
#define PSA_CORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of what `crc` stands for followed by n bytes; begin with 0. The CPU's instruction is used if it has one. */
uint32_t psa_crc32c(uint32_t crc, const void *bytes, size_t n);

/* The same without the instruction; it exists for the test that both are the same. */
uint32_t psa_crc32c_table(uint32_t crc, const void *bytes, size_t n);

#endif
