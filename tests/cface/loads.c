/* A generated module that loads its weights, called from C; with -DDECODES it decodes its own.
 *
 *   loads WEIGHTS ANOTHER
 *
 * ANOTHER are the weights of another export. Prints the outputs of one call, with and without a workspace.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pond_emulator.h"

enum { NCOL = 40 };

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  static double x[4 * NCOL], y[3 * NCOL], again[3 * NCOL];
  static bool outside[NCOL];
  for (int i = 0; i < NCOL; ++i) {
    x[i] = 1.0 + 0.5 * i;
    x[i + NCOL] = x[i + 2 * NCOL] = 276.0 + 0.1 * i;
    x[i + 3 * NCOL] = 1e-5;
  }
  const pond_emulator_inputs_f64 inputs = {x, x + NCOL, x + 3 * NCOL};
  const pond_emulator_outputs_f64 outputs = {y, y + NCOL}, others = {again, again + NCOL};
  emufort_status status;
  const int layout = EMUFORT_COLUMNS_CONTIGUOUS;

  if (pond_emulator_workspace_size() != 0 || pond_emulator_make_workspace(&status)) return 3;
  if (status.code != EMUFORT_ERROR_NOT_LOADED) return 4;
  if (pond_emulator_predict_f64(NULL, layout, NCOL, &inputs, &outputs, outside, &status) != EMUFORT_ERROR_NOT_LOADED)
    return 5;
  for (int k = 0; k < 3 * NCOL; ++k)
    if (!isnan(y[k]) || !outside[k % NCOL]) return 6;
  if (pond_emulator_predict_f64(NULL, layout, NCOL, &inputs, NULL, NULL, &status) != EMUFORT_ERROR_SHAPE) return 7;

#ifdef DECODES
  if (pond_emulator_init(&status) != EMUFORT_SUCCESS || pond_emulator_init(NULL) != EMUFORT_SUCCESS) return 8;
#else
  if (pond_emulator_load("there is no such file", &status) != EMUFORT_ERROR_FILE) return 8;
  if (pond_emulator_load(NULL, &status) != EMUFORT_ERROR_FILE) return 9;
  if (pond_emulator_load(argv[2], &status) != EMUFORT_ERROR_CONTRACT || !strstr(status.message, "another export")) return 10;
  if (pond_emulator_load_bytes(NULL, 5, &status) != EMUFORT_ERROR_SHAPE) return 11;
  if (pond_emulator_load_bytes(x, sizeof x, &status) != EMUFORT_ERROR_FORMAT) return 12;
  if (pond_emulator_load(argv[1], &status) != EMUFORT_SUCCESS) return 13;
#endif

  emufort_workspace *workspace = pond_emulator_make_workspace(&status);
  if (!workspace || pond_emulator_workspace_size() < 10000) return 14;
  if (pond_emulator_predict_f64(workspace, layout, NCOL, &inputs, &outputs, outside, &status)) return 15;
  if (pond_emulator_predict_f64(NULL, layout, NCOL, &inputs, &others, NULL, &status)) return 16;
  if (memcmp(y, again, sizeof y) != 0 || outside[3]) return 17;
  emufort_free_workspace(workspace);

  /* the same from the file, by a handle */
  emufort_emulator *emulator = emufort_load(argv[1], &status);
  if (!emulator || emufort_workspace_size(emulator) != pond_emulator_workspace_size()) return 18;
  workspace = emufort_make_workspace(emulator, &status);
  for (int with = 0; with < 2; ++with) {
    memset(again, 0, sizeof again);
    if (emufort_predict_f64(emulator, with ? workspace : NULL, layout, NCOL, x, 0, again, 0, NULL, &status)) return 19;
    if (memcmp(y, again, sizeof y) != 0) return 20;
  }
  emufort_free_workspace(workspace);
  emufort_free(emulator);
  for (int k = 0; k < 3 * NCOL; ++k) printf("%.17g\n", y[k]);
  return 0;
}
