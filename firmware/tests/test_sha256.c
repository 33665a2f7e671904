/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Against what is published: NIST CAVS SHA256ShortMsg and SHA256Monte, RFC 4231, and the three messages of
 * FIPS 180. Argument: the folder of the vectors.
 */
#include "sha256.h"

#include <string.h>

#include "check.h"

#define LINE_MAX_BYTES 1024

static void hash(const uint8_t *data, size_t size, uint8_t digest[32])
{
    sunkeep_sha256 state;
    sunkeep_sha256_init(&state);
    sunkeep_sha256_update(&state, data, size);
    sunkeep_sha256_final(&state, digest);
}

static FILE *vectors(const char *folder, const char *name)
{
    char path[LINE_MAX_BYTES];
    CHECK(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    return file;
}

/* Each vector ends with its digest; a key before it makes it one of HMAC. */
static unsigned messages(const char *folder, const char *name)
{
    FILE *file = vectors(folder, name);
    char line[LINE_MAX_BYTES];
    uint8_t key[256], message[256], wanted[32], found[32];
    size_t key_size = 0, size = 0;
    unsigned size_bits, count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Len = %u", &size_bits) == 1) {
            size = size_bits / 8;
        } else if (strncmp(line, "Key = ", 6) == 0) {
            key_size = from_hex(line + 6, key, sizeof key);
        } else if (strncmp(line, "Msg = ", 6) == 0) {
            CHECK(from_hex(line + 6, message, sizeof message) >= size);
        } else if (strncmp(line, "MD = ", 5) == 0) {
            CHECK(from_hex(line + 5, wanted, sizeof wanted) == 32);
            if (key_size > 0) {
                sunkeep_hmac hmac;
                sunkeep_hmac_init(&hmac, key, key_size);
                sunkeep_hmac_update(&hmac, message, size / 3); /* in two pieces */
                sunkeep_hmac_update(&hmac, message + size / 3, size - size / 3);
                sunkeep_hmac_final(&hmac, found);
            } else {
                hash(message, size, found);
            }
            CHECK(memcmp(found, wanted, 32) == 0);
            count++;
        }
    }
    fclose(file);
    return count;
}

/* The pseudo-random test of the Secure Hash Algorithm Validation System, section 6.4. */
static unsigned monte_carlo(const char *folder)
{
    FILE *file = vectors(folder, "SHA256Monte.rsp");
    char line[LINE_MAX_BYTES];
    uint8_t seed[32], last[3][32], wanted[32];
    unsigned count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "Seed = ", 7) == 0) {
            CHECK(from_hex(line + 7, seed, sizeof seed) == 32);
        } else if (strncmp(line, "MD = ", 5) == 0) {
            CHECK(from_hex(line + 5, wanted, sizeof wanted) == 32);
            for (unsigned i = 0; i < 3; i++) {
                memcpy(last[i], seed, 32);
            }
            for (unsigned i = 0; i < 1000; i++) {
                uint8_t next[32];
                hash(last[0], sizeof last, next);
                memmove(last[0], last[1], 64);
                memcpy(last[2], next, 32);
            }
            memcpy(seed, last[2], 32);
            CHECK(memcmp(seed, wanted, 32) == 0);
            count++;
        }
    }
    fclose(file);
    return count;
}

static void million(void)
{
    uint8_t wanted[32], found[32], piece[1000];
    sunkeep_sha256 state;
    memset(piece, 'a', sizeof piece);
    sunkeep_sha256_init(&state);
    for (unsigned i = 0; i < 1000; i++) {
        sunkeep_sha256_update(&state, piece, sizeof piece);
    }
    sunkeep_sha256_final(&state, found);
    from_hex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", wanted, sizeof wanted);
    CHECK(memcmp(found, wanted, 32) == 0);
}

int main(int count, char **arguments)
{
    CHECK(count == 2);
    const unsigned shorts = messages(arguments[1], "SHA256ShortMsg.rsp");
    const unsigned monte = monte_carlo(arguments[1]);
    const unsigned hmacs = messages(arguments[1], "rfc-4231-sha256.txt");
    million();
    CHECK(shorts == 65 && monte == 100 && hmacs == 6);
    printf("sha256: %u short messages, %u Monte Carlo, a million times 'a', %u HMAC\n", shorts, monte, hmacs);
    return 0;
}
