/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A story of one slave, told by the fuzzer: time passes, bytes arrive, power is lost, the store fails. After
 * every step the slave must keep what the protocol promises, whatever the bytes were:
 *
 *   - its power stays within 0 and its rating, and moves no faster than its ramps allow;
 *   - it is at 0 W when nothing genuine was heard for the time to live and the way down;
 *   - it accepts no counter twice and none that falls, also across losses of power;
 *   - it accepts nothing whose tag it could not have known.
 *
 * Each step is: one byte of what, one byte of how long or how many, then the bytes of a frame.
 */
#include "slave.h"

#include "bench_slave.h"
#include "check.h"

#define RATING_W 3000
/* 3000 W with 2500 W/s */
#define WAY_DOWN_MS 1200u
#define ZCL_ROOM 96u

enum { WAIT, RAW, SIGNED, SIGNED_NEXT, ZCL, POLL, POWER_LOSS, STORE_FAILS, STEPS };

typedef struct {
    bench_store store;
    sunkeep_slave slave;
    uint64_t now_ms, fed_until_ms, seen_at_ms;
    int64_t highest; /* counter ever accepted, -1 for none */
    int32_t seen_mw;
} story;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(story *told)
{
    const sunkeep_config config = {.slot = 2, .max_w = RATING_W, .key = {1, 2, 3}, .network_id = {9, 8, 7}};
    const sunkeep_port port = bench_port(&told->store);
    CHECK(sunkeep_slave_init(&told->slave, &config, &port, told->now_ms));
    told->seen_mw = 0;
    told->seen_at_ms = told->fed_until_ms = told->now_ms;
}

static void keeps_its_promises(story *told)
{
    const int64_t elapsed_ms = (int64_t)(told->now_ms - told->seen_at_ms);
    const int32_t power_mw = sunkeep_slave_power_mw(&told->slave, told->now_ms);
    const int16_t applied_w = sunkeep_slave_applied_w(&told->slave, told->now_ms);
    CHECK(power_mw >= 0 && power_mw <= RATING_W * 1000);
    CHECK(applied_w >= 0 && applied_w <= RATING_W);
    CHECK(power_mw - told->seen_mw <= elapsed_ms * SUNKEEP_FOLLOW_MW_PER_MS);
    CHECK(told->seen_mw - power_mw <= elapsed_ms * SUNKEEP_REST_MW_PER_MS);
    if (told->now_ms >= told->fed_until_ms + WAY_DOWN_MS) {
        CHECK(power_mw == 0 && applied_w == 0);
    }
    told->seen_mw = power_mw;
    told->seen_at_ms = told->now_ms;
}

static void receive(story *told, const uint8_t *payload, size_t size)
{
    const uint32_t stores = told->store.stores;
    const sunkeep_verdict verdict = sunkeep_slave_receive(&told->slave, payload, size, told->now_ms);
    CHECK(verdict == SUNKEEP_ACCEPTED || told->store.stores == stores);
    if (verdict != SUNKEEP_ACCEPTED) {
        return;
    }
    uint8_t again[ZCL_ROOM];
    CHECK(size >= SUNKEEP_HEAD_BYTES + 2u + SUNKEEP_TAG_BYTES && size <= 76u);
    memcpy(again, payload, size);
    bench_sign(&told->slave.config, again, size - SUNKEEP_TAG_BYTES);
    CHECK(memcmp(again, payload, size) == 0);
    const int64_t counter =
        payload[1] | (int64_t)payload[2] << 8 | (int64_t)payload[3] << 16 | (int64_t)payload[4] << 24;
    CHECK(counter > told->highest);
    CHECK(payload[0] >> 4 == 1 && payload[5] >= 1 && payload[5] <= 60);
    told->highest = counter;
    const bool released = (payload[0] & 1u) != 0;
    told->fed_until_ms = told->now_ms + (released ? 0u : payload[5] * 1000u);
    CHECK(!released || sunkeep_slave_applied_w(&told->slave, told->now_ms) == 0);
}

static void receive_signed(story *told, const uint8_t *body, size_t size, bool next)
{
    uint8_t payload[256 + SUNKEEP_TAG_BYTES];
    memcpy(payload, body, size);
    if (next && size >= 8u) { /* make what a good frame needs, so that more than the first checks is reached */
        const uint32_t counter = (uint32_t)(told->highest + 1 + body[4] % 4);
        payload[0] = (uint8_t)(0x10u | (payload[0] & 0x03u));
        for (unsigned i = 0; i < 4; i++) {
            payload[1 + i] = (uint8_t)(counter >> 8 * i);
        }
        payload[7] = (uint8_t)((size - 8u) / 2u);
        size -= size % 2u;
    }
    receive(told, payload, bench_sign(&told->slave.config, payload, size));
}

static void poll(story *told)
{
    sunkeep_report report;
    uint8_t zcl[SUNKEEP_REPORT_FRAME_BYTES];
    const uint64_t due_ms = sunkeep_slave_next_ms(&told->slave);
    if (sunkeep_slave_poll(&told->slave, (int32_t)told->now_ms, told->now_ms, &report)) {
        CHECK(due_ms <= told->now_ms && report.counter == told->slave.counter);
        sunkeep_encode_report_frame(&report, 0, told->slave.config.key, told->slave.config.network_id, zcl);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    story told = {.store = {.found = SUNKEEP_COUNTER_NONE}, .highest = -1, .now_ms = 1};
    begin(&told);
    while (size >= 2) {
        const unsigned what = data[0] % STEPS, many = data[1];
        data += 2;
        size -= 2;
        const size_t taken = many < size ? many : size;
        size_t payload_size;
        switch (what) {
        case WAIT:
            told.now_ms += (uint64_t)many * many; /* up to 65 s */
            break;
        case ZCL: {
            const uint8_t *payload = sunkeep_unwrap(data, taken, &payload_size);
            if (payload != NULL) {
                receive(&told, payload, payload_size);
            }
            break;
        }
        case RAW:
            receive(&told, data, taken);
            break;
        case SIGNED:
        case SIGNED_NEXT:
            receive_signed(&told, data, taken, what == SIGNED_NEXT);
            break;
        case POLL:
            poll(&told);
            break;
        case POWER_LOSS:
            told.store.fails = false;
            begin(&told);
            break;
        default:
            told.store.fails = many % 2 != 0;
            break;
        }
        if (what == RAW || what == SIGNED || what == SIGNED_NEXT || what == ZCL) {
            data += taken;
            size -= taken;
        }
        keeps_its_promises(&told);
    }
    return 0;
}
