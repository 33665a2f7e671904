/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A slave as docs/develop/setpoint-protocol.md describes it. No heap, no clock, no operating system: the caller owns
 * the memory and says what time it is, in milliseconds of a clock that does not fall and does not wrap.
 * A time before the last one counts as the last one.
 *
 * One slave belongs to one task: nothing here is meant to be called from two at once, or from an interrupt.
 */
#ifndef SUNKEEP_SLAVE_H
#define SUNKEEP_SLAVE_H

#include "setpoint_frame.h"

#define SUNKEEP_FOLLOW_MW_PER_MS 1000 /* 1000 W/s */
#define SUNKEEP_REST_MW_PER_MS 2500   /* 2500 W/s */
#define SUNKEEP_REPLY_AFTER_MS 300u
#define SUNKEEP_REPLY_SLOT_MS 40u
#define SUNKEEP_REPLY_JITTER_MS 20u
#define SUNKEEP_NEVER UINT64_MAX

typedef enum {
    SUNKEEP_COUNTER_FOUND,
    SUNKEEP_COUNTER_NONE,  /* a new site key: no frame was ever accepted under it */
    SUNKEEP_COUNTER_FAILED /* there should be one and it cannot be read */
} sunkeep_counter;

/* What the platform gives. Every function gets `context` back. */
typedef struct {
    /* The counter that was stored last under this key. Called once, by init. */
    sunkeep_counter (*load_counter)(void *context, uint32_t *counter);
    /* Make the counter survive a loss of power, before it returns. False: it could not. */
    bool (*store_counter)(void *context, uint32_t counter);
    /* 32 bits by chance: they only keep the reports of many slaves apart. */
    uint32_t (*random)(void *context);
    void *context;
} sunkeep_port;

typedef struct {
    uint8_t key[SUNKEEP_KEY_BYTES];
    uint8_t network_id[SUNKEEP_NETWORK_ID_BYTES]; /* extended PAN id as it travels, least significant first */
    uint8_t slot;
    int16_t max_w; /* rating */
    /* 0: every accepted counter is stored. k: one in k + 1 is, k ahead of what was accepted; flash lives
     * longer, and after a loss of power the slave ignores up to k frames, which is safe. */
    uint8_t counters_ahead;
} sunkeep_config;

/* Everything that a slave remembers. Read the fields through the functions below. */
typedef struct {
    sunkeep_config config;
    sunkeep_port port;
    uint64_t now_ms;
    uint64_t ramp_start_ms;
    uint64_t deadline_ms;   /* SUNKEEP_NEVER while it rests */
    uint64_t report_due_ms; /* SUNKEEP_NEVER while none waits */
    uint32_t counter;
    uint32_t stored;
    int32_t ramp_start_mw;
    int32_t ramp_mw_per_ms;
    int16_t target_w;
    int16_t reported_w;
    sunkeep_state state;
    sunkeep_state reported_state;
    bool has_counter;
    bool has_stored;
    bool asked;
    bool broken; /* the counter cannot be read: it rests for good */
} sunkeep_slave;

/* Start at 0 W. False when the configuration is out of range or the counter cannot be read: the slave then
 * ignores every frame and stays at 0 W, because it could not tell a replayed one. */
bool sunkeep_slave_init(sunkeep_slave *slave, const sunkeep_config *config, const sunkeep_port *port,
                        uint64_t now_ms);

/* Take the payload of a setpoint command: what is behind the ZCL header. Unless it is accepted nothing
 * changes, with one exception: a genuine safe release is obeyed even when its counter cannot be stored. */
sunkeep_verdict sunkeep_slave_receive(sunkeep_slave *slave, const uint8_t *payload, size_t size,
                                      uint64_t now_ms);

/* What the power stage may draw (absorb) or feed (generate) now, in mW: the setpoint, ramped. Ask at least
 * every 100 ms and obey; a hardware watchdog must open the power stage when nobody asks. */
int32_t sunkeep_slave_power_mw(sunkeep_slave *slave, uint64_t now_ms);

/* The setpoint being applied, before the ramp, in W; 0 while it rests. */
int16_t sunkeep_slave_applied_w(sunkeep_slave *slave, uint64_t now_ms);

sunkeep_state sunkeep_slave_state(sunkeep_slave *slave, uint64_t now_ms);

/* Whether a report is to be sent now; then `report` says what, and counts as sent.
 * `power_w`: measured, a magnitude, or SUNKEEP_NOT_MEASURED. */
bool sunkeep_slave_poll(sunkeep_slave *slave, int32_t power_w, uint64_t now_ms, sunkeep_report *report);

/* When to poll next if no frame comes before; SUNKEEP_NEVER when there is nothing to wait for. */
uint64_t sunkeep_slave_next_ms(const sunkeep_slave *slave);

#endif
