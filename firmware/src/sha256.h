/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHA-256 (FIPS 180-4) and HMAC-SHA-256 (FIPS 198-1, RFC 2104). No heap, no tables in RAM.
 * A chip with a hardware hash may put its own functions behind these names.
 */
#ifndef SUNKEEP_SHA256_H
#define SUNKEEP_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SUNKEEP_SHA256_BYTES 32u
#define SUNKEEP_SHA256_BLOCK_BYTES 64u

typedef struct {
    uint32_t state[8];
    uint64_t size_bytes; /* taken so far */
    uint8_t block[SUNKEEP_SHA256_BLOCK_BYTES];
} sunkeep_sha256;

void sunkeep_sha256_init(sunkeep_sha256 *hash);
void sunkeep_sha256_update(sunkeep_sha256 *hash, const uint8_t *data, size_t size);
void sunkeep_sha256_final(sunkeep_sha256 *hash, uint8_t digest[SUNKEEP_SHA256_BYTES]);

typedef struct {
    sunkeep_sha256 inner;
    uint8_t outer_pad[SUNKEEP_SHA256_BLOCK_BYTES];
} sunkeep_hmac;

/* A key longer than a block is hashed first, as RFC 2104 says. */
void sunkeep_hmac_init(sunkeep_hmac *hmac, const uint8_t *key, size_t key_size);
void sunkeep_hmac_update(sunkeep_hmac *hmac, const uint8_t *data, size_t size);
/* Writes the whole tag and wipes the state. */
void sunkeep_hmac_final(sunkeep_hmac *hmac, uint8_t tag[SUNKEEP_SHA256_BYTES]);

#endif
