/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a test in another language needs beside the core: to make a slave without knowing its layout.
 */
#include "slave.h"

size_t shim_slave_bytes(void);
bool shim_init(sunkeep_slave *slave, const uint8_t *key, const uint8_t *network_id, uint8_t slot, int16_t max_w,
               const sunkeep_port *port, uint64_t now_ms);
void shim_set_network_id(sunkeep_slave *slave, const uint8_t *network_id);
bool shim_poll(sunkeep_slave *slave, int32_t power_w, uint64_t now_ms, uint8_t transaction, uint8_t *zcl);
void shim_report_now(sunkeep_slave *slave);
bool shim_wants_report(const sunkeep_slave *slave);

size_t shim_slave_bytes(void) { return sizeof(sunkeep_slave); }

void shim_set_network_id(sunkeep_slave *slave, const uint8_t *network_id)
{
    for (unsigned i = 0; i < SUNKEEP_NETWORK_ID_BYTES; i++) {
        slave->config.network_id[i] = network_id[i];
    }
}

bool shim_init(sunkeep_slave *slave, const uint8_t *key, const uint8_t *network_id, uint8_t slot, int16_t max_w,
               const sunkeep_port *port, uint64_t now_ms)
{
    sunkeep_config config = {.slot = slot, .max_w = max_w, .counters_ahead = 0};
    for (unsigned i = 0; i < SUNKEEP_KEY_BYTES; i++) {
        config.key[i] = key[i];
    }
    for (unsigned i = 0; i < SUNKEEP_NETWORK_ID_BYTES; i++) {
        config.network_id[i] = network_id[i];
    }
    return sunkeep_slave_init(slave, &config, port, now_ms);
}

bool shim_poll(sunkeep_slave *slave, int32_t power_w, uint64_t now_ms, uint8_t transaction, uint8_t *zcl)
{
    sunkeep_report report;
    if (!sunkeep_slave_poll(slave, power_w, now_ms, &report)) {
        return false;
    }
    sunkeep_encode_report_frame(&report, transaction, slave->config.key, slave->config.network_id, zcl);
    return true;
}

/* The report that waits, or one that does not, is due: a test wants to see it without its time slot. */
void shim_report_now(sunkeep_slave *slave) { slave->report_due_ms = slave->now_ms; }

bool shim_wants_report(const sunkeep_slave *slave)
{
    return slave->asked || slave->target_w != slave->reported_w || slave->state != slave->reported_state;
}
