/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "setpoint_frame.h"

#include <string.h>

#include "sha256.h"

#define VERSION 1u
#define FLAG_SAFE_RELEASE 0x01u
#define FLAG_REPORT 0x02u
#define FLAGS_RESERVED 0x0Cu
#define REPORT_MARK 0x52u

/* ZCL types (Zigbee Cluster Library, table of data types). */
#define ZCL_UINT8 0x20u
#define ZCL_UINT32 0x23u
#define ZCL_INT16 0x29u
#define ZCL_ENUM8 0x30u
#define ZCL_OCTETS 0x41u
#define ZCL_REPORT_ATTRIBUTES 0x0Au
/* Frame control: cluster command, manufacturer-specific, client to server. */
#define ZCL_CONTROL_COMMAND 0x05u
#define ZCL_CONTROL_NO_RESPONSE 0x10u
/* Global command, manufacturer-specific, server to client, no default response. */
#define ZCL_CONTROL_REPORT 0x1Cu
#define INT16_NOT_MEASURED 0x8000u

static uint8_t *put_u8(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    return at + 1;
}

static uint8_t *put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value) { return put_u16(put_u16(at, value), value >> 16); }

static uint8_t *put_attribute(uint8_t *at, uint32_t attribute, uint32_t type)
{
    return put_u8(put_u16(at, attribute), type);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void make_tag(const uint8_t key[SUNKEEP_KEY_BYTES], const uint8_t network_id[SUNKEEP_NETWORK_ID_BYTES],
                     const uint8_t *body, size_t size, uint8_t tag[SUNKEEP_TAG_BYTES])
{
    static const uint8_t CLUSTER[2] = {SUNKEEP_CLUSTER & 0xFFu, SUNKEEP_CLUSTER >> 8};
    sunkeep_hmac hmac;
    uint8_t whole[SUNKEEP_SHA256_BYTES];
    sunkeep_hmac_init(&hmac, key, SUNKEEP_KEY_BYTES);
    sunkeep_hmac_update(&hmac, network_id, SUNKEEP_NETWORK_ID_BYTES);
    sunkeep_hmac_update(&hmac, CLUSTER, sizeof CLUSTER);
    sunkeep_hmac_update(&hmac, body, size);
    sunkeep_hmac_final(&hmac, whole);
    memcpy(tag, whole, SUNKEEP_TAG_BYTES);
}

/* In the same time whichever byte differs. */
static bool same_tag(const uint8_t *a, const uint8_t *b)
{
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < SUNKEEP_TAG_BYTES; i++) {
        difference = (uint8_t)(difference | (a[i] ^ b[i]));
    }
    return difference == 0;
}

const uint8_t *sunkeep_unwrap(const uint8_t *zcl, size_t size, size_t *payload_size)
{
    *payload_size = 0;
    if (size < SUNKEEP_ZCL_HEAD_BYTES) {
        return NULL;
    }
    const bool command = (zcl[0] & ~ZCL_CONTROL_NO_RESPONSE) == ZCL_CONTROL_COMMAND;
    const bool ours = (uint32_t)(zcl[1] | zcl[2] << 8) == SUNKEEP_MANUFACTURER;
    if (!(command && ours && zcl[4] == SUNKEEP_COMMAND_SETPOINTS)) {
        return NULL;
    }
    *payload_size = size - SUNKEEP_ZCL_HEAD_BYTES;
    return zcl + SUNKEEP_ZCL_HEAD_BYTES;
}

sunkeep_verdict sunkeep_decode(const uint8_t *payload, size_t size, const uint8_t key[SUNKEEP_KEY_BYTES],
                               const uint8_t network_id[SUNKEEP_NETWORK_ID_BYTES], sunkeep_frame *frame)
{
    if (size < SUNKEEP_HEAD_BYTES) {
        return SUNKEEP_BAD_LENGTH;
    }
    const uint8_t flags = payload[0], n = payload[7];
    const size_t body_size = SUNKEEP_HEAD_BYTES + 2u * (size_t)n;
    if (!(n >= 1u && n <= SUNKEEP_SETPOINTS_MAX && size == body_size + SUNKEEP_TAG_BYTES)) {
        return SUNKEEP_BAD_LENGTH;
    }
    if (flags >> 4 != VERSION) {
        return SUNKEEP_BAD_VERSION;
    }
    if ((flags & FLAGS_RESERVED) != 0) {
        return SUNKEEP_BAD_RESERVED;
    }
    uint8_t tag[SUNKEEP_TAG_BYTES];
    make_tag(key, network_id, payload, body_size, tag);
    if (!same_tag(tag, payload + body_size)) {
        return SUNKEEP_BAD_TAG;
    }
    frame->counter = get_u32(payload + 1);
    frame->ttl_s = payload[5];
    frame->base = payload[6];
    frame->n = n;
    frame->safe_release = (flags & FLAG_SAFE_RELEASE) != 0;
    frame->report = (flags & FLAG_REPORT) != 0;
    frame->setpoints = payload + SUNKEEP_HEAD_BYTES;
    return SUNKEEP_ACCEPTED;
}

int32_t sunkeep_setpoint_w(const sunkeep_frame *frame, uint8_t slot)
{
    const uint8_t *at = frame->setpoints + 2u * (size_t)(slot - frame->base);
    const int32_t raw = at[0] | at[1] << 8;
    return raw < 0x8000 ? raw : raw - 0x10000;
}

void sunkeep_encode_report(const sunkeep_report *report, const uint8_t key[SUNKEEP_KEY_BYTES],
                           const uint8_t network_id[SUNKEEP_NETWORK_ID_BYTES],
                           uint8_t attributes[SUNKEEP_REPORT_BYTES])
{
    uint32_t power = INT16_NOT_MEASURED;
    if (report->power_w != SUNKEEP_NOT_MEASURED) {
        const int32_t bounded_w = report->power_w < 0 ? 0 : report->power_w;
        power = (uint32_t)(bounded_w > SUNKEEP_SETPOINT_MAX_W ? SUNKEEP_SETPOINT_MAX_W : bounded_w);
    }
    const uint32_t applied = (uint32_t)(uint16_t)report->applied_w;

    uint8_t body[11];
    uint8_t *at = put_u32(put_u8(put_u8(body, REPORT_MARK), report->slot), report->counter);
    (void)put_u8(put_u16(put_u16(at, applied), power), (uint32_t)report->state);

    at = put_u8(put_attribute(attributes, 0, ZCL_UINT8), report->slot);
    at = put_u32(put_attribute(at, 1, ZCL_UINT32), report->counter);
    at = put_u16(put_attribute(at, 2, ZCL_INT16), applied);
    at = put_u16(put_attribute(at, 3, ZCL_INT16), power);
    at = put_u8(put_attribute(at, 4, ZCL_ENUM8), (uint32_t)report->state);
    at = put_u8(put_attribute(at, 5, ZCL_OCTETS), SUNKEEP_TAG_BYTES);
    make_tag(key, network_id, body, sizeof body, at);
}

void sunkeep_encode_report_frame(const sunkeep_report *report, uint8_t transaction,
                                 const uint8_t key[SUNKEEP_KEY_BYTES],
                                 const uint8_t network_id[SUNKEEP_NETWORK_ID_BYTES],
                                 uint8_t zcl[SUNKEEP_REPORT_FRAME_BYTES])
{
    uint8_t *at = put_u16(put_u8(zcl, ZCL_CONTROL_REPORT), SUNKEEP_MANUFACTURER);
    at = put_u8(put_u8(at, transaction), ZCL_REPORT_ATTRIBUTES);
    sunkeep_encode_report(report, key, network_id, at);
}
