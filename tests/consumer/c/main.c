/* Reads columns from a text file and prints the outputs of an emulator, as ../app/main.F90.
 *
 *   main WEIGHTS COLUMNS
 */
#include <stdio.h>
#include <stdlib.h>

#include <emufort.h>

static int fail(const emufort_status *status) {
  fprintf(stderr, "%s: %s\n", status->place, status->message);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  emufort_status status;
  emufort_emulator *emulator = emufort_load(argv[1], &status);
  if (!emulator || emufort_self_test(emulator, &status)) return fail(&status);
  const int n_in = emufort_n_inputs(emulator), n_out = emufort_n_outputs(emulator);

  FILE *file = fopen(argv[2], "r");
  int n = 0;
  if (!file || fscanf(file, "%d", &n) != 1 || n < 1) return 3;
  double *x = malloc(sizeof *x * (size_t)n * (size_t)n_in), *y = malloc(sizeof *y * (size_t)n * (size_t)n_out);
  if (!x || !y) return 4;
  for (int k = 0; k < n * n_in; ++k)
    if (fscanf(file, "%lf", &x[k]) != 1) return 5;
  fclose(file);

  if (emufort_predict_f64(emulator, NULL, EMUFORT_FEATURES_CONTIGUOUS, n, x, 0, y, 0, NULL, &status))
    return fail(&status);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n_out; ++j) printf("%.17g%c", y[j + i * n_out], j + 1 < n_out ? ' ' : '\n');
  free(x);
  free(y);
  emufort_free(emulator);
  return 0;
}
