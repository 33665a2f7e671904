/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SUNKEEP_CHECK_H
#define SUNKEEP_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(holds)                                                                                         \
    do {                                                                                                     \
        if (!(holds)) {                                                                                      \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);                       \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* Bytes of a hexadecimal string; ends with the process when it is none or does not fit. */
static inline size_t from_hex(const char *text, uint8_t *bytes, size_t room)
{
    size_t n = 0;
    unsigned byte;
    while (sscanf(text, "%2x", &byte) == 1) {
        CHECK(n < room);
        bytes[n++] = (uint8_t)byte;
        text += 2;
    }
    return n;
}

#endif
