/* Just enough to compile the core for a target whose C library is not installed, to see its size. */
#ifndef SUNKEEP_FREESTANDING_STRING_H
#define SUNKEEP_FREESTANDING_STRING_H
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
#endif
