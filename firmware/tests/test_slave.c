/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The published vectors, and what a slave does over time.
 */
#include "slave.h"

#include "bench_slave.h"
#include "check.h"
#include "vectors.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define SAFE_RELEASE 0x01u
#define REPORT 0x02u

static sunkeep_config configured(unsigned slot)
{
    sunkeep_config config = {.slot = (uint8_t)slot, .max_w = 3000};
    from_hex(SITE_KEY, config.key, sizeof config.key);
    from_hex(NETWORK_ID, config.network_id, sizeof config.network_id);
    return config;
}

static sunkeep_slave started(unsigned slot, bench_store *store, uint64_t now_ms)
{
    sunkeep_slave slave;
    const sunkeep_config config = configured(slot);
    const sunkeep_port port = bench_port(store);
    CHECK(sunkeep_slave_init(&slave, &config, &port, now_ms));
    return slave;
}

/* One setpoint for the slave's own slot, time to live 15 s. */
static sunkeep_verdict tell(sunkeep_slave *slave, uint32_t counter, unsigned flags, int watts, uint64_t now_ms)
{
    uint8_t payload[18] = {(uint8_t)(0x10u | flags), 0, 0, 0, 0, 15, slave->config.slot, 1};
    for (unsigned i = 0; i < 4; i++) {
        payload[1 + i] = (uint8_t)(counter >> 8 * i);
    }
    payload[8] = (uint8_t)watts;
    payload[9] = (uint8_t)(watts >> 8);
    return sunkeep_slave_receive(slave, payload, bench_sign(&slave->config, payload, 10), now_ms);
}

static void test_frames(void)
{
    for (size_t i = 0; i < COUNT(FRAMES); i++) {
        const vector *v = &FRAMES[i];
        uint8_t zcl[82];
        size_t size;
        bench_store store = {.found = SUNKEEP_COUNTER_NONE};
        sunkeep_slave slave = started(v->slot, &store, 0);
        slave.config.max_w = 32767;
        const uint8_t *payload = sunkeep_unwrap(zcl, from_hex(v->zcl, zcl, sizeof zcl), &size);
        CHECK(payload != NULL);
        CHECK(sunkeep_slave_receive(&slave, payload, size, 0) == SUNKEEP_ACCEPTED);
        CHECK(sunkeep_slave_applied_w(&slave, 0) == (v->safe_release ? 0 : v->watts));
        CHECK(store.counter == v->counter);
        CHECK(slave.asked == (v->report != 0));
        CHECK(sunkeep_slave_receive(&slave, payload, size, 0) == SUNKEEP_BAD_COUNTER);
    }
}

static void test_rejected(void)
{
    for (size_t i = 0; i < COUNT(REJECTED); i++) {
        uint8_t payload[128];
        const size_t size = from_hex(REJECTED[i].payload, payload, sizeof payload);
        const unsigned base = size > 6 ? payload[6] : 0;
        unsigned refused = 0;
        for (unsigned slot = base; slot < base + 2 && slot < 256; slot++) {
            bench_store store = {.found = SUNKEEP_COUNTER_NONE};
            sunkeep_slave slave = started(slot, &store, 0);
            refused += sunkeep_slave_receive(&slave, payload, size, 0) != SUNKEEP_ACCEPTED;
        }
        CHECK(refused > 0);
    }
}

/* Every bit of a frame is under the tag, and every bit of the tag counts. */
static void test_every_bit_counts(void)
{
    uint8_t payload[18] = {0x10, 1, 0, 0, 0, 15, 0, 1, 100, 0};
    const sunkeep_config config = configured(0);
    const size_t size = bench_sign(&config, payload, 10);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bench_store store = {.found = SUNKEEP_COUNTER_NONE};
        sunkeep_slave slave = started(0, &store, 0);
        payload[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(sunkeep_slave_receive(&slave, payload, size, 0) != SUNKEEP_ACCEPTED);
        payload[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(sunkeep_slave_receive(&slave, payload, size, 0) == SUNKEEP_ACCEPTED);
    }
}

static void test_reports(void)
{
    for (size_t i = 0; i < COUNT(REPORTS); i++) {
        const vector *v = &REPORTS[i];
        const sunkeep_config config = configured(v->slot);
        const sunkeep_report report = {(uint8_t)v->slot, v->counter, (int16_t)v->watts, v->power_w,
                                       (sunkeep_state)v->state};
        uint8_t wanted[SUNKEEP_REPORT_FRAME_BYTES], found[SUNKEEP_REPORT_FRAME_BYTES];
        CHECK(from_hex(v->zcl, wanted, sizeof wanted) == sizeof wanted);
        sunkeep_encode_report_frame(&report, wanted[3], config.key, config.network_id, found);
        CHECK(memcmp(found, wanted, sizeof wanted) == 0);
    }
}

static void test_ramps_and_silence(void)
{
    bench_store store = {.found = SUNKEEP_COUNTER_NONE};
    sunkeep_slave slave = started(0, &store, 1000);
    CHECK(sunkeep_slave_power_mw(&slave, 1500) == 0 && sunkeep_slave_state(&slave, 1500) == SUNKEEP_RESTING_START);
    CHECK(tell(&slave, 5, 0, 2000, 2000) == SUNKEEP_ACCEPTED);
    CHECK(sunkeep_slave_power_mw(&slave, 2500) == 500000);
    CHECK(sunkeep_slave_power_mw(&slave, 2400) == 500000); /* time that falls stands still */
    CHECK(sunkeep_slave_power_mw(&slave, 9000) == 2000000);
    CHECK(tell(&slave, 6, 0, 9000, 10000) == SUNKEEP_ACCEPTED); /* above the rating: the rating */
    CHECK(sunkeep_slave_power_mw(&slave, 24999) == 3000000 && sunkeep_slave_applied_w(&slave, 24999) == 3000);
    CHECK(sunkeep_slave_applied_w(&slave, 25000) == 0 && sunkeep_slave_state(&slave, 25000) == SUNKEEP_RESTING_SILENCE);
    CHECK(sunkeep_slave_power_mw(&slave, 25400) == 2000000);
    CHECK(sunkeep_slave_power_mw(&slave, 26200) == 0);
    CHECK(tell(&slave, 6, 0, 100, 30000) == SUNKEEP_BAD_COUNTER);
    CHECK(tell(&slave, 7, SAFE_RELEASE, 100, 30000) == SUNKEEP_ACCEPTED);
    CHECK(sunkeep_slave_state(&slave, 30000) == SUNKEEP_RESTING_RELEASED);
    CHECK(sunkeep_slave_power_mw(&slave, UINT64_MAX - 1) == 0);
}

static void test_silence_is_noticed_late(void)
{
    bench_store store = {.found = SUNKEEP_COUNTER_NONE};
    sunkeep_slave slave = started(0, &store, 0);
    CHECK(tell(&slave, 1, 0, 3000, 0) == SUNKEEP_ACCEPTED);
    CHECK(sunkeep_slave_power_mw(&slave, 15400) == 2000000); /* nobody asked at 15 s: the ramp began there */
}

static void test_report_slots(void)
{
    bench_store store = {.found = SUNKEEP_COUNTER_NONE};
    sunkeep_slave slave = started(3, &store, 0);
    sunkeep_report report;
    CHECK(sunkeep_slave_next_ms(&slave) == SUNKEEP_NEVER);
    CHECK(tell(&slave, 1, 0, 700, 1000) == SUNKEEP_ACCEPTED);
    const uint64_t due_ms = 1000 + 300 + 3 * 40 + 7;
    CHECK(sunkeep_slave_next_ms(&slave) == due_ms);
    CHECK(!sunkeep_slave_poll(&slave, 690, 1150, &report));
    CHECK(tell(&slave, 2, REPORT, 700, 1200) == SUNKEEP_ACCEPTED); /* replaces the one that waits */
    CHECK(!sunkeep_slave_poll(&slave, 690, due_ms, &report));
    CHECK(!sunkeep_slave_poll(&slave, 690, due_ms + 199, &report));
    CHECK(sunkeep_slave_poll(&slave, 690, due_ms + 200, &report));
    CHECK(report.counter == 2 && report.applied_w == 700 && report.power_w == 690);
    CHECK(!sunkeep_slave_poll(&slave, 690, due_ms + 400, &report));
    CHECK(tell(&slave, 3, 0, 700, 3000) == SUNKEEP_ACCEPTED); /* nothing new, nobody asked */
    CHECK(!sunkeep_slave_poll(&slave, 690, 5000, &report));
    CHECK(sunkeep_slave_next_ms(&slave) == 18000); /* the end of the time to live */
    CHECK(!sunkeep_slave_poll(&slave, 690, 18000, &report));
    CHECK(sunkeep_slave_poll(&slave, 0, 18427, &report) && report.state == SUNKEEP_RESTING_SILENCE);
}

static void test_a_forged_frame_does_not_delay_a_report(void)
{
    bench_store store = {.found = SUNKEEP_COUNTER_NONE};
    sunkeep_slave slave = started(0, &store, 0);
    CHECK(tell(&slave, 1, REPORT, 100, 0) == SUNKEEP_ACCEPTED);
    CHECK(tell(&slave, 1, REPORT, 100, 200) == SUNKEEP_BAD_COUNTER);
    CHECK(sunkeep_slave_next_ms(&slave) == 307);
}

static void test_the_counter_outlives_power(void)
{
    bench_store store = {.found = SUNKEEP_COUNTER_NONE};
    sunkeep_slave slave = started(0, &store, 0);
    CHECK(tell(&slave, 10, 0, 100, 0) == SUNKEEP_ACCEPTED);
    slave = started(0, &store, 0);
    CHECK(sunkeep_slave_power_mw(&slave, 5000) == 0);
    CHECK(tell(&slave, 10, 0, 100, 0) == SUNKEEP_BAD_COUNTER);
    CHECK(tell(&slave, 11, 0, 100, 0) == SUNKEEP_ACCEPTED);
}

static void test_counters_kept_ahead(void)
{
    bench_store store = {.found = SUNKEEP_COUNTER_NONE};
    sunkeep_slave slave = started(0, &store, 0);
    slave.config.counters_ahead = 9;
    for (uint32_t counter = 1; counter <= 100; counter++) {
        CHECK(tell(&slave, counter, 0, 100, counter) == SUNKEEP_ACCEPTED);
        CHECK(store.counter >= counter);
    }
    CHECK(store.stores == 10);
    slave = started(0, &store, 0);
    CHECK(tell(&slave, 100, 0, 100, 0) == SUNKEEP_BAD_COUNTER);
    CHECK(tell(&slave, 101, 0, 100, 0) == SUNKEEP_ACCEPTED);
    slave.config.counters_ahead = 9;
    CHECK(tell(&slave, UINT32_MAX - 1, 0, 100, 0) == SUNKEEP_ACCEPTED);
    slave = started(0, &store, 0);
    CHECK(tell(&slave, UINT32_MAX, 0, 100, 0) == SUNKEEP_ACCEPTED);
}

static void test_a_counter_that_cannot_be_kept(void)
{
    bench_store store = {.found = SUNKEEP_COUNTER_NONE};
    sunkeep_slave slave = started(0, &store, 0);
    CHECK(tell(&slave, 1, 0, 1000, 0) == SUNKEEP_ACCEPTED);
    store.fails = true;
    CHECK(tell(&slave, 2, 0, 2000, 2000) == SUNKEEP_NOT_STORED);
    CHECK(sunkeep_slave_applied_w(&slave, 2000) == 1000);
    CHECK(tell(&slave, 3, SAFE_RELEASE, 0, 3000) == SUNKEEP_NOT_STORED); /* obeyed all the same */
    CHECK(sunkeep_slave_state(&slave, 3000) == SUNKEEP_RESTING_RELEASED);
    CHECK(sunkeep_slave_power_mw(&slave, 3400) == 0);

    bench_store lost = {.found = SUNKEEP_COUNTER_FAILED, .counter = 5};
    const sunkeep_config config = configured(0);
    const sunkeep_port port = bench_port(&lost);
    CHECK(!sunkeep_slave_init(&slave, &config, &port, 0));
    CHECK(tell(&slave, 99, 0, 1000, 0) == SUNKEEP_NOT_STORED);
    CHECK(sunkeep_slave_power_mw(&slave, 5000) == 0);
}

static void test_unwrap(void)
{
    size_t size;
    const uint8_t right[] = {0x15, 0xF1, 0xFF, 9, 0x00, 0xAA};
    CHECK(sunkeep_unwrap(right, sizeof right, &size) == right + 5 && size == 1);
    CHECK(sunkeep_unwrap(right, 4, &size) == NULL && size == 0);
    for (unsigned i = 0; i < 5; i++) {
        uint8_t wrong[sizeof right];
        memcpy(wrong, right, sizeof right);
        wrong[i] ^= 0x08u;
        CHECK((sunkeep_unwrap(wrong, sizeof wrong, &size) == NULL) == (i != 3)); /* any transaction */
    }
}

int main(void)
{
    test_frames();
    test_rejected();
    test_every_bit_counts();
    test_reports();
    test_ramps_and_silence();
    test_silence_is_noticed_late();
    test_report_slots();
    test_a_forged_frame_does_not_delay_a_report();
    test_the_counter_outlives_power();
    test_counters_kept_ahead();
    test_a_counter_that_cannot_be_kept();
    test_unwrap();
    printf("slave: %zu setpoints, %zu rejected frames, %zu reports of the published vectors; ramps, silence, "
           "counter, report slots\n",
           COUNT(FRAMES), COUNT(REJECTED), COUNT(REPORTS));
    return 0;
}
