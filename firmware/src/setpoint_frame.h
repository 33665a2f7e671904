/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The bytes of docs/develop/setpoint-protocol.md: the frame that a slave hears and the report that it answers with.
 * Pure: no state, no clock, no heap.
 */
#ifndef SUNKEEP_SETPOINT_FRAME_H
#define SUNKEEP_SETPOINT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUNKEEP_CLUSTER 0xFC57u
#define SUNKEEP_MANUFACTURER 0xFFF1u
#define SUNKEEP_COMMAND_SETPOINTS 0x00u
#define SUNKEEP_KEY_BYTES 32u
#define SUNKEEP_NETWORK_ID_BYTES 8u
#define SUNKEEP_TAG_BYTES 8u
#define SUNKEEP_HEAD_BYTES 8u
#define SUNKEEP_SETPOINTS_MAX 30u
#define SUNKEEP_SLOTS 256u
#define SUNKEEP_TTL_MAX_S 60u
#define SUNKEEP_SETPOINT_MAX_W 32767
#define SUNKEEP_ZCL_HEAD_BYTES 5u
/* The attributes of a report, and the same with the ZCL header in front. */
#define SUNKEEP_REPORT_BYTES 37u
#define SUNKEEP_REPORT_FRAME_BYTES (SUNKEEP_ZCL_HEAD_BYTES + SUNKEEP_REPORT_BYTES)
/* For power_w: this slave does not measure. */
#define SUNKEEP_NOT_MEASURED INT32_MIN

/* What became of a frame: accepted, or the first rule that it breaks, in the order in which they are checked. */
typedef enum {
    SUNKEEP_ACCEPTED = 0,
    SUNKEEP_BAD_LENGTH,
    SUNKEEP_BAD_VERSION,
    SUNKEEP_BAD_RESERVED,
    SUNKEEP_BAD_TAG,
    SUNKEEP_BAD_COUNTER,
    SUNKEEP_BAD_TTL,
    SUNKEEP_BAD_SLOT,
    SUNKEEP_BAD_SETPOINT,
    SUNKEEP_NOT_STORED /* the counter could not be kept; see slave.h */
} sunkeep_verdict;

/* Attribute 0x0004 of a report. */
typedef enum {
    SUNKEEP_FOLLOWING = 0,
    SUNKEEP_RESTING_SILENCE = 1,
    SUNKEEP_RESTING_RELEASED = 2,
    SUNKEEP_RESTING_START = 3
} sunkeep_state;

/* A frame whose length, version, reserved bits and tag are right. Nothing else is judged yet. */
typedef struct {
    uint32_t counter;
    uint8_t ttl_s;
    uint8_t base; /* slot of the first setpoint */
    uint8_t n;
    bool safe_release;
    bool report;
    const uint8_t *setpoints; /* into the payload: n times int16, little endian, W */
} sunkeep_frame;

typedef struct {
    uint8_t slot;
    uint32_t counter;
    int16_t applied_w;
    int32_t power_w; /* bounded to 0..32767, or SUNKEEP_NOT_MEASURED */
    sunkeep_state state;
} sunkeep_report;

/* What is behind the ZCL header of a setpoint command; NULL if the frame is not one. */
const uint8_t *sunkeep_unwrap(const uint8_t *zcl, size_t size, size_t *payload_size);

/* Read and authenticate a payload: SUNKEEP_ACCEPTED, or one of LENGTH, VERSION, RESERVED, TAG. */
sunkeep_verdict sunkeep_decode(const uint8_t *payload, size_t size, const uint8_t key[SUNKEEP_KEY_BYTES],
                               const uint8_t network_id[SUNKEEP_NETWORK_ID_BYTES], sunkeep_frame *frame);

/* The setpoint of one slot in W, as it stands there (it may be negative). The slot must be inside. */
int32_t sunkeep_setpoint_w(const sunkeep_frame *frame, uint8_t slot);

/* The attributes of a report, tag included. */
void sunkeep_encode_report(const sunkeep_report *report, const uint8_t key[SUNKEEP_KEY_BYTES],
                           const uint8_t network_id[SUNKEEP_NETWORK_ID_BYTES],
                           uint8_t attributes[SUNKEEP_REPORT_BYTES]);

/* The same with its ZCL header. `transaction` goes up by one with every report. */
void sunkeep_encode_report_frame(const sunkeep_report *report, uint8_t transaction,
                                 const uint8_t key[SUNKEEP_KEY_BYTES],
                                 const uint8_t network_id[SUNKEEP_NETWORK_ID_BYTES],
                                 uint8_t zcl[SUNKEEP_REPORT_FRAME_BYTES]);

#endif
