/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A slave on the bench: a counter store that can fail, and frames as a coordinator makes them.
 */
#ifndef SUNKEEP_BENCH_SLAVE_H
#define SUNKEEP_BENCH_SLAVE_H

#include <string.h>

#include "sha256.h"
#include "slave.h"

typedef struct {
    sunkeep_counter found;
    uint32_t counter;
    unsigned stores;
    bool fails;
} bench_store;

static inline sunkeep_counter bench_load(void *context, uint32_t *counter)
{
    const bench_store *store = context;
    *counter = store->counter;
    return store->found;
}

static inline bool bench_keep(void *context, uint32_t counter)
{
    bench_store *store = context;
    if (store->fails) {
        return false;
    }
    store->found = SUNKEEP_COUNTER_FOUND;
    store->counter = counter;
    store->stores++;
    return true;
}

static inline uint32_t bench_random(void *context)
{
    (void)context;
    return 7;
}

static inline sunkeep_port bench_port(bench_store *store)
{
    const sunkeep_port port = {bench_load, bench_keep, bench_random, store};
    return port;
}

/* Put the tag behind a body, as a coordinator does. `payload` has room for it. */
static inline size_t bench_sign(const sunkeep_config *config, uint8_t *payload, size_t body_size)
{
    static const uint8_t CLUSTER[2] = {0x57, 0xFC};
    uint8_t tag[SUNKEEP_SHA256_BYTES];
    sunkeep_hmac hmac;
    sunkeep_hmac_init(&hmac, config->key, SUNKEEP_KEY_BYTES);
    sunkeep_hmac_update(&hmac, config->network_id, SUNKEEP_NETWORK_ID_BYTES);
    sunkeep_hmac_update(&hmac, CLUSTER, sizeof CLUSTER);
    sunkeep_hmac_update(&hmac, payload, body_size);
    sunkeep_hmac_final(&hmac, tag);
    memcpy(payload + body_size, tag, SUNKEEP_TAG_BYTES);
    return body_size + SUNKEEP_TAG_BYTES;
}

#endif
