/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sha256.h"

#include <string.h>

static const uint32_t ROUND[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
};

static uint32_t rotate(uint32_t word, unsigned bits) { return (word >> bits) | (word << (32u - bits)); }

static uint32_t load_big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[3];
}

static void store_big_endian(uint8_t *bytes, uint32_t word)
{
    bytes[0] = (uint8_t)(word >> 24);
    bytes[1] = (uint8_t)(word >> 16);
    bytes[2] = (uint8_t)(word >> 8);
    bytes[3] = (uint8_t)word;
}

/* The message schedule is kept as a ring of 16 words: 64 bytes of stack instead of 256. */
static void compress(uint32_t state[8], const uint8_t block[SUNKEEP_SHA256_BLOCK_BYTES])
{
    uint32_t ring[16];
    uint32_t v[8];
    memcpy(v, state, sizeof v);
    for (unsigned i = 0; i < 64; i++) {
        if (i < 16) {
            ring[i] = load_big_endian(block + 4u * i);
        } else {
            const uint32_t old = ring[(i + 1u) % 16u], late = ring[(i + 14u) % 16u];
            const uint32_t s0 = rotate(old, 7) ^ rotate(old, 18) ^ (old >> 3);
            const uint32_t s1 = rotate(late, 17) ^ rotate(late, 19) ^ (late >> 10);
            ring[i % 16u] += s0 + ring[(i + 9u) % 16u] + s1;
        }
        const uint32_t sum1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        const uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const uint32_t t1 = v[7] + sum1 + choice + ROUND[i] + ring[i % 16u];
        const uint32_t sum0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        const uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7u * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + sum0 + majority;
    }
    for (unsigned i = 0; i < 8; i++) {
        state[i] += v[i];
    }
}

void sunkeep_sha256_init(sunkeep_sha256 *hash)
{
    static const uint32_t START[8] = {
        0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u,
    };
    memcpy(hash->state, START, sizeof START);
    hash->size_bytes = 0;
}

void sunkeep_sha256_update(sunkeep_sha256 *hash, const uint8_t *data, size_t size)
{
    while (size > 0) {
        const size_t used = (size_t)(hash->size_bytes % SUNKEEP_SHA256_BLOCK_BYTES);
        const size_t room = SUNKEEP_SHA256_BLOCK_BYTES - used;
        const size_t taken = size < room ? size : room;
        memcpy(hash->block + used, data, taken);
        hash->size_bytes += taken;
        data += taken;
        size -= taken;
        if (taken == room) {
            compress(hash->state, hash->block);
        }
    }
}

void sunkeep_sha256_final(sunkeep_sha256 *hash, uint8_t digest[SUNKEEP_SHA256_BYTES])
{
    static const uint8_t PADDING[SUNKEEP_SHA256_BLOCK_BYTES] = {0x80};
    const uint64_t size_bits = hash->size_bytes * 8u;
    const size_t used = (size_t)(hash->size_bytes % SUNKEEP_SHA256_BLOCK_BYTES);
    uint8_t length[8];
    store_big_endian(length, (uint32_t)(size_bits >> 32));
    store_big_endian(length + 4, (uint32_t)size_bits);
    sunkeep_sha256_update(hash, PADDING, (used < 56u ? 56u : 120u) - used);
    sunkeep_sha256_update(hash, length, sizeof length);
    for (unsigned i = 0; i < 8; i++) {
        store_big_endian(digest + 4u * i, hash->state[i]);
    }
}

void sunkeep_hmac_init(sunkeep_hmac *hmac, const uint8_t *key, size_t key_size)
{
    uint8_t pad[SUNKEEP_SHA256_BLOCK_BYTES] = {0};
    if (key_size > sizeof pad) {
        sunkeep_sha256_init(&hmac->inner);
        sunkeep_sha256_update(&hmac->inner, key, key_size);
        sunkeep_sha256_final(&hmac->inner, pad);
    } else if (key_size > 0) {
        memcpy(pad, key, key_size);
    }
    for (size_t i = 0; i < sizeof pad; i++) {
        hmac->outer_pad[i] = pad[i] ^ 0x5cu;
        pad[i] ^= 0x36u;
    }
    sunkeep_sha256_init(&hmac->inner);
    sunkeep_sha256_update(&hmac->inner, pad, sizeof pad);
}

void sunkeep_hmac_update(sunkeep_hmac *hmac, const uint8_t *data, size_t size)
{
    sunkeep_sha256_update(&hmac->inner, data, size);
}

void sunkeep_hmac_final(sunkeep_hmac *hmac, uint8_t tag[SUNKEEP_SHA256_BYTES])
{
    uint8_t digest[SUNKEEP_SHA256_BYTES];
    sunkeep_sha256_final(&hmac->inner, digest);
    sunkeep_sha256_init(&hmac->inner);
    sunkeep_sha256_update(&hmac->inner, hmac->outer_pad, sizeof hmac->outer_pad);
    sunkeep_sha256_update(&hmac->inner, digest, sizeof digest);
    sunkeep_sha256_final(&hmac->inner, tag);
    memset(hmac, 0, sizeof *hmac);
}
