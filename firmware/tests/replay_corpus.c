/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Runs the fuzz target on files, for a compiler without libFuzzer. Arguments: the files.
 */
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        static uint8_t data[1u << 16];
        FILE *file = fopen(arguments[i], "rb");
        CHECK(file != NULL);
        const size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("fuzz target: %d files\n", count - 1);
    return 0;
}
