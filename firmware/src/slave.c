/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "slave.h"

#include <string.h>

/* No ramp lasts longer: 32.767 kW at 1000 W/s. Keeps the product below within 32 bits. */
#define RAMP_MAX_MS 33000u

static int32_t ramp_mw(const sunkeep_slave *slave, uint64_t at_ms)
{
    const int32_t target_mw = slave->target_w * 1000;
    const uint64_t elapsed_ms = at_ms - slave->ramp_start_ms;
    const int32_t reach_mw =
        slave->ramp_mw_per_ms * (int32_t)(elapsed_ms < RAMP_MAX_MS ? elapsed_ms : RAMP_MAX_MS);
    const int32_t gap_mw = target_mw - slave->ramp_start_mw;
    if (gap_mw > reach_mw) {
        return slave->ramp_start_mw + reach_mw;
    }
    return gap_mw < -reach_mw ? slave->ramp_start_mw - reach_mw : target_mw;
}

static void head_for(sunkeep_slave *slave, int16_t target_w, int32_t mw_per_ms, uint64_t from_ms)
{
    slave->ramp_start_mw = ramp_mw(slave, from_ms);
    slave->ramp_start_ms = from_ms;
    slave->target_w = target_w;
    slave->ramp_mw_per_ms = mw_per_ms;
}

static void rest(sunkeep_slave *slave, sunkeep_state why, uint64_t from_ms)
{
    head_for(slave, 0, SUNKEEP_REST_MW_PER_MS, from_ms);
    slave->state = why;
    slave->deadline_ms = SUNKEEP_NEVER;
}

/* If there is something to say, say it in this slave's own time slot; what still waits is replaced. */
static void schedule_report(sunkeep_slave *slave)
{
    const bool news = slave->target_w != slave->reported_w || slave->state != slave->reported_state;
    if (slave->asked || news) {
        const uint32_t jitter_ms = slave->port.random(slave->port.context) % (SUNKEEP_REPLY_JITTER_MS + 1u);
        slave->report_due_ms = slave->now_ms + SUNKEEP_REPLY_AFTER_MS +
                               SUNKEEP_REPLY_SLOT_MS * slave->config.slot + jitter_ms;
    }
}

static void advance(sunkeep_slave *slave, uint64_t now_ms)
{
    if (now_ms > slave->now_ms) {
        slave->now_ms = now_ms;
    }
    if (slave->now_ms >= slave->deadline_ms) {
        rest(slave, SUNKEEP_RESTING_SILENCE, slave->deadline_ms);
        schedule_report(slave);
    }
}

bool sunkeep_slave_init(sunkeep_slave *slave, const sunkeep_config *config, const sunkeep_port *port,
                        uint64_t now_ms)
{
    memset(slave, 0, sizeof *slave);
    slave->config = *config;
    slave->port = *port;
    slave->now_ms = slave->ramp_start_ms = now_ms;
    slave->deadline_ms = slave->report_due_ms = SUNKEEP_NEVER;
    slave->ramp_mw_per_ms = SUNKEEP_FOLLOW_MW_PER_MS;
    slave->state = slave->reported_state = SUNKEEP_RESTING_START;
    slave->broken = true;
    if (!(config->max_w >= 0)) {
        return false;
    }
    switch (port->load_counter(port->context, &slave->counter)) {
    case SUNKEEP_COUNTER_FOUND:
        slave->has_counter = slave->has_stored = true;
        slave->stored = slave->counter;
        break;
    case SUNKEEP_COUNTER_NONE:
        slave->counter = 0;
        break;
    case SUNKEEP_COUNTER_FAILED:
    default:
        slave->counter = 0;
        return false;
    }
    slave->broken = false;
    return true;
}

/* The rules of the protocol in its own order, each written as what must hold. */
static sunkeep_verdict judge(const sunkeep_slave *slave, const uint8_t *payload, size_t size,
                             sunkeep_frame *frame)
{
    const sunkeep_config *config = &slave->config;
    const sunkeep_verdict verdict = sunkeep_decode(payload, size, config->key, config->network_id, frame);
    if (verdict != SUNKEEP_ACCEPTED) {
        return verdict;
    }
    if (!(!slave->has_counter || frame->counter > slave->counter)) {
        return SUNKEEP_BAD_COUNTER;
    }
    if (!(frame->ttl_s >= 1u && frame->ttl_s <= SUNKEEP_TTL_MAX_S)) {
        return SUNKEEP_BAD_TTL;
    }
    const uint32_t end = (uint32_t)frame->base + frame->n;
    if (!(config->slot >= frame->base && config->slot < end && end <= SUNKEEP_SLOTS)) {
        return SUNKEEP_BAD_SLOT;
    }
    return sunkeep_setpoint_w(frame, config->slot) >= 0 ? SUNKEEP_ACCEPTED : SUNKEEP_BAD_SETPOINT;
}

static bool keep_counter(sunkeep_slave *slave, uint32_t counter)
{
    if (!slave->has_stored || counter > slave->stored) {
        const uint32_t ahead = slave->config.counters_ahead;
        const uint32_t stored = counter > UINT32_MAX - ahead ? counter : counter + ahead;
        if (!slave->port.store_counter(slave->port.context, stored)) {
            return false;
        }
        slave->stored = stored;
        slave->has_stored = true;
    }
    slave->counter = counter;
    slave->has_counter = true;
    return true;
}

sunkeep_verdict sunkeep_slave_receive(sunkeep_slave *slave, const uint8_t *payload, size_t size,
                                      uint64_t now_ms)
{
    sunkeep_frame frame;
    advance(slave, now_ms);
    if (slave->broken) {
        return SUNKEEP_NOT_STORED;
    }
    const sunkeep_verdict verdict = judge(slave, payload, size, &frame);
    if (verdict != SUNKEEP_ACCEPTED) {
        return verdict;
    }
    const bool kept = keep_counter(slave, frame.counter);
    if (frame.safe_release) {
        rest(slave, SUNKEEP_RESTING_RELEASED, slave->now_ms);
    } else if (kept) {
        const int32_t setpoint_w = sunkeep_setpoint_w(&frame, slave->config.slot);
        const int16_t max_w = slave->config.max_w;
        head_for(slave, setpoint_w < max_w ? (int16_t)setpoint_w : max_w, SUNKEEP_FOLLOW_MW_PER_MS,
                 slave->now_ms);
        slave->state = SUNKEEP_FOLLOWING;
        slave->deadline_ms = slave->now_ms + (uint64_t)frame.ttl_s * 1000u;
    }
    slave->asked = slave->asked || (kept && frame.report);
    if (kept || frame.safe_release) {
        schedule_report(slave);
    }
    return kept ? SUNKEEP_ACCEPTED : SUNKEEP_NOT_STORED;
}

int32_t sunkeep_slave_power_mw(sunkeep_slave *slave, uint64_t now_ms)
{
    advance(slave, now_ms);
    return ramp_mw(slave, slave->now_ms);
}

int16_t sunkeep_slave_applied_w(sunkeep_slave *slave, uint64_t now_ms)
{
    advance(slave, now_ms);
    return slave->target_w;
}

sunkeep_state sunkeep_slave_state(sunkeep_slave *slave, uint64_t now_ms)
{
    advance(slave, now_ms);
    return slave->state;
}

bool sunkeep_slave_poll(sunkeep_slave *slave, int32_t power_w, uint64_t now_ms, sunkeep_report *report)
{
    advance(slave, now_ms);
    if (slave->now_ms < slave->report_due_ms) {
        return false;
    }
    report->slot = slave->config.slot;
    report->counter = slave->counter;
    report->applied_w = slave->target_w;
    report->power_w = power_w;
    report->state = slave->state;
    slave->reported_w = slave->target_w;
    slave->reported_state = slave->state;
    slave->asked = false;
    slave->report_due_ms = SUNKEEP_NEVER;
    return true;
}

uint64_t sunkeep_slave_next_ms(const sunkeep_slave *slave)
{
    return slave->deadline_ms < slave->report_due_ms ? slave->deadline_ms : slave->report_due_ms;
}
