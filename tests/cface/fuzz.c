/* Loads random and mutated bytes; built with AddressSanitizer. Every load gives an emulator or an error.
 *
 *   fuzz WEIGHTS NUMBER SEED
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emufort.h"

static unsigned long long state;
static unsigned next(unsigned below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)((state >> 20) % below);
}

/* The checksum of a weights file, see docs/weights_format.md. */
static unsigned crc32(const unsigned char *bytes, size_t length) {
  unsigned crc = 0xffffffffu;
  for (size_t i = 0; i < length; ++i) {
    crc ^= bytes[i];
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  state = strtoull(argv[3], NULL, 10) * 2654435761u + 88172645463325252ull;
  static unsigned char whole[1 << 20];
  FILE *file = fopen(argv[1], "rb");
  if (!file) return 2;
  const size_t length = fread(whole, 1, sizeof whole, file);
  fclose(file);
  long loaded = 0, refused = 0;
  for (long round = 0; round < strtol(argv[2], NULL, 10); ++round) {
    /* exactly as many bytes as are passed, so that a read beyond them is found */
    const size_t size = round % 3 == 0 ? next(4000) : round % 7 == 0 ? next((unsigned)length) : length;
    unsigned char *bytes = malloc(size + 1);
    if (round % 3 == 0) {
      for (size_t i = 0; i < size; ++i) bytes[i] = (unsigned char)next(256);
      if (round % 2) memcpy(bytes, whole, size < 64 ? size : 64);
    } else {
      memcpy(bytes, whole, size);
      for (unsigned k = next(4); k > 0 && size > 0; --k) bytes[next((unsigned)size)] = (unsigned char)next(256);
      for (unsigned k = next(6); k > 0 && size > 200; --k) bytes[64 + next(136)] = (unsigned char)next(256);
    }
    if (round % 5 != 0 && size >= 32) {
      /* with the right length and checksum, so that the sections are read */
      const unsigned long long total = size;
      for (int k = 0; k < 8; ++k) bytes[16 + k] = (unsigned char)(total >> (8 * k));
      memset(bytes + 28, 0, 4);
      const unsigned crc = crc32(bytes, size);
      for (int k = 0; k < 4; ++k) bytes[28 + k] = (unsigned char)(crc >> (8 * k));
    }
    emufort_status status;
    emufort_emulator *emulator = emufort_load_bytes(bytes, size, &status);
    free(bytes);
    if (emulator) {
      ++loaded;
      const int n_in = emufort_n_inputs(emulator), n_out = emufort_n_outputs(emulator);
      double *x = calloc((size_t)n_in * 5, sizeof *x), *y = calloc((size_t)n_out * 5, sizeof *y);
      const int code =
          emufort_predict_f64(emulator, NULL, EMUFORT_FEATURES_CONTIGUOUS, 5, x, 0, y, 0, NULL, &status);
      if (code != status.code || !emufort_input_name(emulator, n_in - 1) || !emufort_contract_json(emulator)) return 1;
      free(x);
      free(y);
      emufort_free(emulator);
    } else {
      ++refused;
      if (status.code < 1 || status.code > 9 || strlen(status.message) < 5) return 1;
    }
  }
  printf("%ld %ld\n", loaded, refused);
  return 0;
}
